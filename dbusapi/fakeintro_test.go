package dbusapi

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/intro"
)

// One owner has all names of a fakeHost: each run of a tool is another caller.
const everyone = "everyone"

func introErr(err error) error {
	kinds := map[string]engine.Kind{
		intro.NotFound: engine.NotFound, intro.AlreadyExists: engine.AlreadyExists, intro.Invalid: engine.Invalid,
		intro.Denied: engine.Denied, intro.PeerRefused: engine.PeerRefused, intro.LimitExceeded: engine.LimitExceeded,
	}
	if e, ok := errors.AsType[*intro.Error](err); ok {
		return engine.Fail(kinds[e.Name], "do it", "", "%w", err)
	}
	return err
}

func (h *fakeHost) NamesChanged(tell func()) { h.broker.Changed = tell }
func (h *fakeHost) PublicNames() []string    { return h.broker.Names() }
func (h *fakeHost) LeaveNames(string)        { h.broker.Leave(everyone) }

func (h *fakeHost) Register(r RegisterRequest) (string, error) {
	designator, err := h.broker.Register(intro.Registration{
		Name: intro.Name{Name: r.Name, Public: r.Public, AcceptFrom: r.AcceptFrom}, Owner: everyone,
		Deliver: func(ctx context.Context, in intro.Introduction) error {
			return r.Deliver(ctx, Introduction{Name: in.Name, From: Caller{PID: in.Sender.PID, UID: in.Sender.UID, App: in.Sender.App}, Metadata: in.Metadata, Socket: in.Socket})
		},
		Tunnel: func(e intro.TunnelEvent) {
			r.Tunnel(TunnelEvent{Name: e.Name, Service: e.Service, Connected: e.Connected, Disconnected: e.Disconnected, Err: introErr(e.Err)})
		},
	})
	return designator, introErr(err)
}

func (h *fakeHost) Unregister(_, name string) error {
	return introErr(h.broker.Unregister(everyone, name))
}

func (h *fakeHost) Introduce(ctx context.Context, i Introduction) error {
	from := intro.Sender{Owner: i.From.Name, PID: i.From.PID, UID: i.From.UID, App: i.From.App, Sandboxed: i.From.Sandboxed}
	return introErr(h.broker.Introduce(ctx, intro.Introduction{Name: i.Name, Sender: from, Metadata: i.Metadata, Socket: i.Socket}, false))
}

func (h *fakeHost) Offer(_ string, o Offer) error {
	return introErr(h.broker.Offer(everyone, intro.Offer{Name: o.Name, Service: o.Service, Target: o.Target, Parameters: o.Parameters}))
}

func (h *fakeHost) Withdraw(_, name, service string) error {
	return introErr(h.broker.Withdraw(everyone, name, service))
}

func (h *fakeHost) Offers(string) (out []Offer) {
	for _, o := range h.broker.Offers(everyone) {
		out = append(out, Offer{Name: o.Name, Service: o.Service, Parameters: o.Parameters, Own: o.Own})
	}
	return out
}

// OpenStream makes tunnels, through which nothing is carried, and imports where the
// test wants them, which become a job at once.
func (h *fakeHost) OpenStream(_ context.Context, r StreamRequest) (Stream, error) {
	switch {
	case r.Kind == "import" && h.imports.Load():
		go func() {
			r.Told(StreamEvent{Facts: &StreamFacts{Job: h.newJob("import", engine.Target{Collection: r.Collection}, "call")}})
		}()
		return fakeTunnel{}, nil
	case r.Kind != "tunnel":
		return nil, engine.Fail(engine.NotSupported, "open a stream", "", "this host has tunnels alone")
	}
	t, err := h.broker.Take(r.To, r.Service, intro.Sender{Owner: r.Caller.Name, App: r.Caller.App, Sandboxed: r.Caller.Sandboxed})
	if err != nil {
		return nil, introErr(err)
	}
	r.Taken(t.Parameters())
	return fakeTunnel{}, nil
}

type fakeTunnel struct{}

func (fakeTunnel) Listen(StreamDoor) (address, cookie, access string, err error) {
	return "/run/s", "", "peer", nil
}
func (fakeTunnel) OpenFD(uint64) (*os.File, error) { return os.Open(os.DevNull) }
func (fakeTunnel) Bytes() (in, out uint64)         { return 0, 0 }
func (fakeTunnel) Close()                          {}

// A fakePeer is the client's IntroducerPeer: it keeps what it gets, or refuses.
type fakePeer struct {
	got chan arrival

	mu     sync.Mutex
	refuse *dbus.Error
}

type arrival struct {
	name             string
	socket           *os.File
	metadata, sender map[string]dbus.Variant
}

const peerPath = dbus.ObjectPath("/peer")

func (p *fakePeer) Incoming(name string, socket dbus.UnixFD, metadata, sender map[string]dbus.Variant) *dbus.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := os.NewFile(uintptr(socket), "introduced")
	if p.refuse != nil {
		f.Close()
		return p.refuse
	}
	p.got <- arrival{name, f, metadata, sender}
	return nil
}
