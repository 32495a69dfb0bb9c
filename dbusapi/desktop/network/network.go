// Package network tells whether the network is there: as NetworkManager says,
// else as the desktop portal says, else by the links of this machine.
//
// It is a hint for what runs by itself. Whether a server can be reached only a
// request can tell.
package network

import (
	"context"
	"net"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

const (
	managerName = "org.freedesktop.NetworkManager"
	managerPath = dbus.ObjectPath("/org/freedesktop/NetworkManager")

	portalName  = "org.freedesktop.portal.Desktop"
	portalPath  = dbus.ObjectPath("/org/freedesktop/portal/desktop")
	portalIface = "org.freedesktop.portal.NetworkMonitor"

	// connectedLocal is the least state of NetworkManager in which anything can be
	// reached; zero says that it does not know.
	connectedLocal = 50

	// patience is how long a service may take to answer.
	patience = 5 * time.Second
)

// Options say where to ask. What is nil is not asked.
type Options struct {
	System  func(context.Context) (*conn.Conn, error) // joins the system bus
	Session func(context.Context) (*conn.Conn, error) // joins the session bus

	Linked func() bool // whether there is a link; nil looks
}

// A monitor asks again whenever one of its sources tells that something changed.
type monitor struct {
	o      Options
	asked  []*source
	wake   chan struct{} // holds a token when something changed
	online bool
	told   bool
}

// A source is one service that knows.
type source struct {
	dial  func(context.Context) (*conn.Conn, error)
	name  string
	rules []string
	ask   func(context.Context, *conn.Conn) (online, known bool)
	bus   *conn.Conn
}

// Run tells whether the network is there, at first and after each change, until
// the context ends.
func Run(ctx context.Context, o Options, tell func(online bool)) {
	if o.Linked == nil {
		o.Linked = linked
	}
	m := &monitor{o: o, wake: make(chan struct{}, 1)}
	m.asked = []*source{
		{dial: o.System, name: managerName, ask: askManager, rules: []string{
			"type='signal',sender='" + managerName + "',path='" + string(managerPath) + "'"}},
		{dial: o.Session, name: portalName, ask: askPortal, rules: []string{
			"type='signal',sender='" + portalName + "',interface='" + portalIface + "'"}},
	}
	defer m.close()
	links, stop := watchLinks()
	defer stop()
	for {
		if online := m.look(ctx); ctx.Err() == nil && (!m.told || online != m.online) {
			m.online, m.told = online, true
			tell(online)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-links:
		}
	}
}

func (m *monitor) close() {
	for _, s := range m.asked {
		if s.bus != nil {
			s.bus.Close()
		}
	}
}

// look asks the first source that knows.
func (m *monitor) look(ctx context.Context) bool {
	for _, s := range m.asked {
		if online, known := m.askOne(ctx, s); known {
			return online
		}
	}
	return m.o.Linked()
}

// askOne asks a service if it runs; it is not started for it.
func (m *monitor) askOne(ctx context.Context, s *source) (online, known bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.bus != nil && s.bus.Err() != nil {
		s.bus.Close()
		s.bus = nil
	}
	if s.bus == nil && (s.dial == nil || m.join(ctx, s) != nil) {
		return false, false
	}
	var here bool
	r, err := s.bus.Call(ctx, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner", s.name)
	if err != nil || r.Store(&here) != nil || !here {
		return false, false
	}
	return s.ask(ctx, s.bus)
}

func (m *monitor) join(ctx context.Context, s *source) error {
	bus, err := s.dial(ctx)
	if err != nil {
		return err
	}
	bus.Listen(func(*dbus.Signal) {
		select {
		case m.wake <- struct{}{}:
		default: // one that is not yet seen says it too
		}
	})
	for _, rule := range append(s.rules, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='"+s.name+"'") {
		if err := bus.AddMatch(ctx, rule); err != nil {
			bus.Close()
			return err
		}
	}
	s.bus = bus
	return nil
}

func askManager(ctx context.Context, bus *conn.Conn) (online, known bool) {
	var v dbus.Variant
	r, err := bus.Call(ctx, managerName, managerPath, "org.freedesktop.DBus.Properties.Get", managerName, "State")
	if err != nil || r.Store(&v) != nil {
		return false, false
	}
	state, ok := v.Value().(uint32)
	return state >= connectedLocal, ok && state != 0
}

func askPortal(ctx context.Context, bus *conn.Conn) (online, known bool) {
	r, err := bus.Call(ctx, portalName, portalPath, portalIface+".GetAvailable")
	known = err == nil && r.Store(&online) == nil
	return online, known
}

// linked reports whether any interface but the loopback is up and has an address
// that others can know.
func linked() bool {
	all, err := net.Interfaces()
	if err != nil {
		return true // nobody knows: a request will tell
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return true
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				return true
			}
		}
	}
	return false
}
