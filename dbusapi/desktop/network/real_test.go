//go:build real

package network

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
	"go.uber.org/goleak"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A told is what a monitor said.
type told chan bool

func (c told) want(t *testing.T, online bool, why string) {
	t.Helper()
	select {
	case got := <-c:
		if got != online {
			t.Errorf("%s: online is %v", why, got)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it says nothing", why)
	}
}

// start runs a monitor until the end of the test.
func start(t *testing.T, o Options) told {
	ctx, cancel := context.WithCancel(context.Background())
	said, ended := make(told, 16), make(chan struct{})
	go func() { defer close(ended); Run(ctx, o, func(on bool) { said <- on }) }()
	t.Cleanup(func() { cancel(); <-ended })
	return said
}

func dialer(address string) func(context.Context) (*conn.Conn, error) {
	return func(ctx context.Context) (*conn.Conn, error) { return conn.Dial(ctx, address, conn.Options{}) }
}

// own makes a client the service of a name.
func own(t *testing.T, c *dbus.Conn, name string) {
	t.Helper()
	if r, err := c.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
}

// A portal says whether the network is available.
type portal struct{ on atomic.Bool }

func (p *portal) GetAvailable() (bool, *dbus.Error) { return p.on.Load(), nil }

func TestNetworkManagerIsAskedFirstThenThePortalThenTheLinks(t *testing.T) {
	system, session := bustest.Daemon(t), bustest.Daemon(t)
	desk := bustest.Client(t, session)
	p := &portal{}
	if err := desk.Export(p, portalPath, portalIface); err != nil {
		t.Fatal(err)
	}
	said := start(t, Options{System: dialer(system), Session: dialer(session), Linked: func() bool { return true }})
	said.want(t, true, "links alone")
	own(t, desk, portalName)
	said.want(t, false, "a portal without a network")
	p.on.Store(true)
	if err := desk.Emit(portalPath, portalIface+".changed"); err != nil {
		t.Fatal(err)
	}
	said.want(t, true, "a portal with one")

	nm := bustest.Client(t, system)
	state, err := prop.Export(nm, managerPath, prop.Map{managerName: {"State": {Value: uint32(20), Emit: prop.EmitTrue}}})
	if err != nil {
		t.Fatal(err)
	}
	own(t, nm, managerName)
	said.want(t, false, "NetworkManager is disconnected")
	for _, x := range []struct {
		state  uint32
		online bool
	}{{70, true}, {40, false}, {50, true}, {10, false}} {
		state.SetMust(managerName, "State", x.state)
		said.want(t, x.online, "NetworkManager in another state")
	}
	state.SetMust(managerName, "State", uint32(0))
	said.want(t, true, "NetworkManager does not know: the portal does")
	p.on.Store(false)
	nm.Close()
	said.want(t, false, "NetworkManager has gone")
	desk.Close()
	said.want(t, true, "the portal has gone: the links")
}

func TestWithoutAnyBusTheLinksTell(t *testing.T) {
	start(t, Options{System: dialer("unix:path=/nonexistent"), Linked: func() bool { return false }}).want(t, false, "no link")
	start(t, Options{}).want(t, linked(), "the links of this machine")
}
