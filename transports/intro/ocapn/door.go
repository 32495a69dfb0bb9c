package ocapn

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

// A Door lets peers in that speak the records. Its key is what hints name: one
// for each run of the program is enough, since peers register anew anyway.
type Door struct {
	Listener *private.Listener
	Broker   *intro.Broker
	Key      ed25519.PrivateKey
	// Who tells of a process what a sandbox keeps it from: who is in one is sent
	// away. nil: nobody is.
	Who func(pid int) (app string, sandboxed bool)
	// Ended is told why a peer was sent away. It may be nil, and must not wait.
	Ended func(cred peer.Cred, err error)
	// Patience is how long a peer may take to show who it is, and to read what it
	// is told; 0 is 30 s.
	Patience time.Duration

	last atomic.Uint64
}

// maxAtOnce is how many introductions of one peer may be under way before it is
// not read from any more.
const maxAtOnce = 16

// Serve serves until ctx ends; then every peer is sent away.
func (d *Door) Serve(ctx context.Context) error {
	return d.Listener.Serve(ctx, func(ctx context.Context, c *private.Conn) {
		if err := d.client(ctx, c); err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil && d.Ended != nil {
			d.Ended(c.Cred, err)
		}
	})
}

// A guest is one peer that has shown who it is.
type guest struct {
	*wire
	locator Locator
	sender  intro.Sender
}

func (d *Door) client(ctx context.Context, c *private.Conn) error {
	g := &guest{wire: newWire(c.Files()), sender: intro.Sender{
		Owner: "ocapn " + strconv.FormatUint(d.last.Add(1), 10), PID: uint32(c.Cred.PID), UID: c.Cred.UID,
	}}
	defer g.Close()
	if d.Who != nil {
		if app, sandboxed := d.Who(c.Cred.PID); sandboxed {
			return fmt.Errorf("programs in a sandbox cannot register (%s)", app)
		}
	}
	if g.Patience = d.Patience; d.Patience == 0 {
		g.Patience = 30 * time.Second
	}
	if err := g.SetReadDeadline(time.Now().Add(g.Patience)); err != nil {
		return err
	}
	if err := d.greet(g); err != nil {
		return err
	}
	if err := g.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	name := intro.Name{Name: g.locator.Designator}
	if _, err := d.Broker.Register(intro.Registration{Name: name, Owner: g.sender.Owner, Designator: g.locator.Designator, Deliver: g.deliver}); err != nil {
		return err
	}
	defer d.Broker.Leave(g.sender.Owner)
	return d.serve(ctx, g)
}

// greet has a peer show that it has the key of its designator, after this door
// has shown its own.
func (d *Door) greet(g *guest) error {
	r, err := g.expect("uds:register", 2)
	if err != nil {
		return err
	}
	if g.locator, err = locatorOf(r.Args[0]); err != nil {
		return err
	}
	key, err := KeyOf(g.locator.Designator)
	if err != nil {
		return err
	}
	challenge, ok := r.Args[1].([]byte)
	if !ok || len(challenge) != challengeSize || g.locator.Transport != Transport {
		return syntax("a registration needs the transport %s and a challenge of %d bytes", Transport, challengeSize)
	}
	ours := newChallenge()
	public := d.Key.Public().(ed25519.PublicKey)
	if err := g.send(Record{Symbol("uds:server-response"), []any{publicKey(public), ours, signature(ed25519.Sign(d.Key, challenge))}}); err != nil {
		return err
	}
	if r, err = g.expect("uds:signature", 2); err != nil {
		return err
	}
	if signed, _ := r.Args[0].([]byte); !bytes.Equal(signed, ours) {
		return errors.New("the peer signed another challenge than it was given")
	}
	return verify(key, ours, r.Args[1])
}

// serve takes introductions. A peer of that designator that is not there yet is
// waited for.
func (d *Door) serve(ctx context.Context, g *guest) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { g.Close() })
	defer stop()
	places := make(chan struct{}, maxAtOnce)
	for {
		r, err := g.expect("uds:new-connection", 2)
		if err != nil {
			return err
		}
		socket, err := g.socket()
		if err != nil {
			return err
		}
		from, err1 := locatorOf(r.Args[0])
		to, err2 := locatorOf(r.Args[1])
		if err := errors.Join(err1, err2); err != nil {
			socket.Close()
			return err
		}
		if !from.Same(g.locator) {
			socket.Close()
			return fmt.Errorf("%s asked for an introduction in the name of %s", g.locator.Designator, from.Designator)
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			// The records have no word for a refusal: the socket is closed.
			_ = d.Broker.Introduce(ctx, intro.Introduction{Name: to.Designator, Sender: g.sender, Metadata: asker{from.Designator}, Socket: socket}, true)
		})
	}
}

// An asker is what the sender of these records tells.
type asker struct {
	Designator string `json:"designator"`
}

// deliver hands a socket to the peer. Who comes through another door has no
// designator; false stands for it.
func (g *guest) deliver(_ context.Context, in intro.Introduction) error {
	defer in.Socket.Close()
	var from any = false
	if a, ok := in.Metadata.(asker); ok {
		from = Locator{Designator: a.Designator}.record(false)
	}
	return g.hand(from, g.locator, in.Socket)
}
