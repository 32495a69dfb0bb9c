package intro

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
)

// An Offer is a service of an owner that others may reach, as with ssh -L.
type Offer struct {
	Name       string // that the owner registered
	Service    string // what it speaks, as in DNS-SD
	Target     string // "unix:PATH", "tcp:127.0.0.1:PORT"; told to nobody
	Parameters any    // told to whoever takes it; json.Marshal takes it
	Own        bool   // in a list: it is the asker's
}

// A TunnelEvent tells an owner of a connection that somebody made or ended.
type TunnelEvent struct {
	Name, Service           string
	Connected, Disconnected uint32 // one of them: the number of the connection
	Taker                   Sender
	Err                     error // why it ended, if not in good order
}

// An offer is open until it is withdrawn.
type offer struct {
	Offer
	target target
	owner  *entry
	ctx    context.Context
	end    context.CancelFunc

	number uint32 // of the last connection; Broker.mu
	open   int    // connections; Broker.mu
}

// Offer lets others reach a service of the owner's under a name that it
// registered. A second offer of the same service is refused.
func (b *Broker) Offer(owner string, o Offer) error {
	if err := checkName(o.Service); err != nil {
		return err
	}
	to, err := parseTarget(o.Target)
	if err != nil {
		return err
	}
	if raw, err := json.Marshal(o.Parameters); err != nil || len(raw) > maxMetadata {
		return failed(Invalid, "the parameters must be values that JSON has and take at most %d bytes there", maxMetadata)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.owned[owner][o.Name]
	count := 0
	for _, other := range b.owned[owner] {
		count += len(other.offers)
	}
	switch {
	case e == nil:
		return failed(NotFound, "this caller has not registered %q", o.Name)
	case e.Tunnel == nil:
		return failed(NotSupported, "services are offered over the bus alone")
	case e.offers[o.Service] != nil:
		return failed(AlreadyExists, "%q offers %q already; withdraw it first", o.Name, o.Service)
	case count >= maxOffers:
		return failed(LimitExceeded, "one caller may offer %d services", maxOffers)
	}
	made := &offer{Offer: o, target: to, owner: e}
	made.ctx, made.end = context.WithCancel(e.ctx)
	e.offers[o.Service] = made
	return nil
}

// Withdraw ends an offer, and every connection through it.
func (b *Broker) Withdraw(owner, name, service string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.owned[owner][name]
	if e == nil || e.offers[service] == nil {
		return failed(NotFound, "this caller offers no %q as %q", service, name)
	}
	e.offers[service].end()
	delete(e.offers, service)
	return nil
}

// Offers lists what is offered under public names, and what an owner itself
// offers, without the targets.
func (b *Broker) Offers(owner string) []Offer {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Offer
	for _, e := range b.byDesignator {
		for _, o := range e.offers {
			if own := e.Owner == owner; own || e.Public {
				listed := o.Offer
				listed.Target, listed.Own = "", own
				all = append(all, listed)
			}
		}
	}
	slices.SortFunc(all, func(a, b Offer) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Service, b.Service)) })
	return all
}

// A Tunnel leads to what was offered.
type Tunnel struct {
	broker *Broker
	offer  *offer
	taker  Sender
}

// Take gives a tunnel to a service that the owner of a designator or a public
// name offers.
func (b *Broker) Take(to, service string, taker Sender) (*Tunnel, error) {
	e, _ := b.find(to)
	if e == nil {
		return nil, failed(NotFound, "nobody has registered %q", to)
	}
	if err := e.allows(taker); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o := e.offers[service]
	if o == nil {
		return nil, failed(NotFound, "%q offers no %q", to, service)
	}
	return &Tunnel{b, o, taker}, nil
}

// Parameters are as offered.
func (t *Tunnel) Parameters() any { return t.offer.Parameters }

// Withdrawn is closed when the offer has ended.
func (t *Tunnel) Withdrawn() <-chan struct{} { return t.offer.ctx.Done() }

// Carry carries one connection to the service, both ways, until both have ended,
// the offer is withdrawn or ctx ends, and closes it. The owner of the offer is
// told.
func (t *Tunnel) Carry(ctx context.Context, from Stream) error {
	defer from.Close()
	n, err := t.begin()
	if err != nil {
		return err
	}
	told := func(e TunnelEvent) {
		e.Name, e.Service, e.Taker = t.offer.Name, t.offer.Service, t.taker
		t.offer.owner.Tunnel(e)
	}
	told(TunnelEvent{Connected: n})
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.offer.ctx, cancel)
	err = t.carry(ctx, from)
	switch {
	case t.offer.ctx.Err() != nil:
		err = failed(PeerRefused, "the offer was withdrawn")
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	stop()
	cancel()
	t.broker.mu.Lock()
	t.offer.open--
	t.broker.mu.Unlock()
	told(TunnelEvent{Disconnected: n, Err: err})
	return err
}

// begin numbers a connection.
func (t *Tunnel) begin() (uint32, error) {
	t.broker.mu.Lock()
	defer t.broker.mu.Unlock()
	o := t.offer
	if o.ctx.Err() != nil {
		return 0, failed(PeerRefused, "the offer was withdrawn")
	}
	if o.open >= maxTunnels {
		return 0, failed(LimitExceeded, "%d connections go through this offer already", maxTunnels)
	}
	o.open++
	o.number++
	return o.number, nil
}

func (t *Tunnel) carry(ctx context.Context, from Stream) error {
	to, err := t.offer.target.dial(ctx)
	if err != nil {
		return err
	}
	return pump(ctx, from, to)
}
