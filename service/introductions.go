package service

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn/callers"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/intro/ocapn"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/stream"
)

var _ dbusapi.Introducer = (*host)(nil)

// introErrors are the kinds of errors of introductions.
var introErrors = map[string]engine.Kind{
	intro.NotFound: engine.NotFound, intro.AlreadyExists: engine.AlreadyExists, intro.Invalid: engine.Invalid, intro.Denied: engine.Denied,
	intro.LimitExceeded: engine.LimitExceeded, intro.PeerRefused: engine.PeerRefused, intro.Timeout: engine.Timeout, intro.NotSupported: engine.NotSupported,
}

func introError(op string, err error) error {
	if e, ok := errors.AsType[*intro.Error](err); ok {
		return engine.Fail(introErrors[e.Name], op, "", "%w", err)
	}
	return err
}

func (h *host) NamesChanged(tell func()) { h.program.broker.Changed = tell }
func (h *host) PublicNames() []string    { return h.program.broker.Names() }

func (h *host) Register(r dbusapi.RegisterRequest) (string, error) {
	designator, err := h.program.broker.Register(intro.Registration{
		Name:  intro.Name{Name: r.Name, Public: r.Public, AcceptFrom: r.AcceptFrom},
		Owner: r.Caller,
		Deliver: func(ctx context.Context, in intro.Introduction) error {
			return r.Deliver(ctx, dbusapi.Introduction{Name: in.Name, From: callerOf(in.Sender), Metadata: in.Metadata, Socket: in.Socket})
		},
		Tunnel: func(e intro.TunnelEvent) {
			r.Tunnel(dbusapi.TunnelEvent{Name: e.Name, Service: e.Service, Connected: e.Connected, Disconnected: e.Disconnected, Taker: callerOf(e.Taker), Err: introError("carry a connection", e.Err)})
		},
	})
	return designator, introError("register", err)
}

func callerOf(s intro.Sender) dbusapi.Caller {
	return dbusapi.Caller{App: s.App, PID: s.PID, UID: s.UID, Sandboxed: s.Sandboxed}
}

func senderOf(c dbusapi.Caller) intro.Sender {
	return intro.Sender{Owner: c.Name, App: c.App, PID: c.PID, UID: c.UID, Sandboxed: c.Sandboxed}
}

func (h *host) Unregister(caller, name string) error {
	return introError("unregister", h.program.broker.Unregister(caller, name))
}

func (h *host) LeaveNames(caller string) { h.program.broker.Leave(caller) }

func (h *host) Introduce(ctx context.Context, i dbusapi.Introduction) error {
	in := intro.Introduction{Name: i.Name, Sender: senderOf(i.From), Metadata: i.Metadata, Socket: i.Socket}
	return introError("introduce", h.program.broker.Introduce(ctx, in, false))
}

func (h *host) Offer(caller string, o dbusapi.Offer) error {
	return introError("offer", h.program.broker.Offer(caller, intro.Offer{Name: o.Name, Service: o.Service, Target: o.Target, Parameters: o.Parameters}))
}

func (h *host) Withdraw(caller, name, service string) error {
	return introError("withdraw", h.program.broker.Withdraw(caller, name, service))
}

func (h *host) Offers(caller string) (out []dbusapi.Offer) {
	for _, o := range h.program.broker.Offers(caller) {
		out = append(out, dbusapi.Offer{Name: o.Name, Service: o.Service, Parameters: o.Parameters, Own: o.Own})
	}
	return out
}

// A tunnel carries the connections of a stream to what somebody offers.
type tunnel struct {
	*intro.Tunnel
	work   sync.WaitGroup
	closed chan struct{}
}

func (h *host) openTunnel(r dbusapi.StreamRequest) (cargo, error) {
	taken, err := h.program.broker.Take(r.To, r.Service, senderOf(r.Caller))
	if err != nil {
		return nil, introError("take the offer", err)
	}
	r.Taken(taken.Parameters())
	t := &tunnel{Tunnel: taken, closed: make(chan struct{})}
	t.work.Go(func() {
		select {
		case <-taken.Withdrawn():
			r.Told(dbusapi.StreamEvent{Closed: true})
		case <-t.closed:
		}
	})
	return t, nil
}

func (t *tunnel) carry(ctx context.Context, c *stream.Conn, _ uint64) error {
	return introError("carry a connection", t.Carry(ctx, c))
}

func (t *tunnel) close() {
	close(t.closed)
	t.work.Wait()
}

// serveIntroductions serves the socket for those who are on no bus.
func (s *sockets) serveIntroductions(ctx context.Context, p *program) {
	door := &intro.Door{Listener: s.intro, Broker: p.broker, Ended: p.sentAway("introduction"), Who: applicationOf}
	if err := door.Serve(ctx); err != nil {
		p.log.fault("the introduction socket is closed; everything else goes on", err)
	}
}

// applicationOf tells what a sandbox keeps a process from.
func applicationOf(pid int) (app string, sandboxed bool) {
	_, sandboxed = callers.Process(pid)
	return callers.Application(pid), sandboxed
}

// serveOCapN serves the socket for those who speak the records of OCapN. Its key
// is made anew each time: peers register anew too, and no secret lies in a file.
func (s *sockets) serveOCapN(ctx context.Context, p *program) {
	_, key, err := ed25519.GenerateKey(nil)
	if err == nil {
		err = (&ocapn.Door{Listener: s.ocapn, Broker: p.broker, Key: key, Ended: p.sentAway("OCapN"), Who: applicationOf}).Serve(ctx)
	}
	if err != nil {
		p.log.fault("the OCapN socket is closed; everything else goes on", err)
	}
}

// sentAway tells of clients of a socket that broke its rules.
func (p *program) sentAway(socket string) func(peer.Cred, error) {
	return func(cred peer.Cred, err error) {
		if !errors.Is(err, context.Canceled) {
			p.log.fault(fmt.Sprintf("a client of the %s socket was sent away: pid %d", socket, cred.PID), err)
		}
	}
}
