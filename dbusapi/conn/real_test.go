//go:build real

package conn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/conn/callers"
)

func dial(t *testing.T, address string, o conn.Options) *conn.Conn {
	t.Helper()
	c, err := conn.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestARealBusIsJoinedNamedAndLost(t *testing.T) {
	address, bus := bustest.DaemonProcess(t)
	one, two := dial(t, "unix:path=/nowhere;"+address, conn.Options{}), dial(t, address, conn.Options{})
	if !strings.HasPrefix(one.Name(), ":1.") || one.Name() == two.Name() || !one.PassesFiles() {
		t.Errorf("%q %q %v", one.Name(), two.Name(), one.PassesFiles())
	}
	if err := one.RequestName(t.Context(), "org.example.One"); err != nil {
		t.Error(err)
	}
	if err := one.RequestName(t.Context(), "org.example.One"); err != nil {
		t.Error("again: ", err)
	}
	if err := two.RequestName(t.Context(), "org.example.One"); !errors.Is(err, conn.ErrNameTaken) {
		t.Error(err)
	}
	if err := two.RequestName(t.Context(), "no name"); err == nil || errors.Is(err, conn.ErrNameTaken) {
		t.Error(err)
	}
	if err := one.ReleaseName(t.Context(), "org.example.One"); err != nil {
		t.Error(err)
	}
	if err := two.RequestName(t.Context(), "org.example.One"); err != nil {
		t.Error(err)
	}
	if err := one.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := one.Call(t.Context(), two.Name(), "/x", "a.B.C"); err == nil {
		t.Error("somebody is there")
	}
	bus.Kill()
	for _, c := range []*conn.Conn{one, two} {
		select {
		case <-c.Done():
		case <-time.After(30 * time.Second):
			t.Error("the end of the bus goes unnoticed")
		}
		if _, err := c.Call(t.Context(), "a.B", "/x", "a.B.C"); err == nil {
			t.Error("a call after the end")
		}
	}
}

// rules counts the match rules that a connection has on the bus.
func rules(t *testing.T, c *conn.Conn, of string) int {
	t.Helper()
	r, err := c.Call(t.Context(), "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats.GetAllMatchRules")
	var all map[string][]string
	if err == nil {
		err = r.Store(&all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(all[of])
}

func TestCallersOnARealBusAreKnownAndMissed(t *testing.T) {
	address := bustest.Daemon(t)
	c := dial(t, address, conn.Options{})
	who := callers.New(c)
	t.Cleanup(who.Close)
	var clients []*dbus.Conn
	gone := make(chan string, 100)
	var stops []func()
	for n := range 20 {
		client := bustest.Client(t, address)
		clients = append(clients, client)
		name := client.Names()[0]
		got := who.Identify(name)
		if got.Name != name || got.Initiator != "conn.test" || got.Sandboxed {
			t.Errorf("%+v", got)
		}
		stop, err := who.Gone(name, func() { gone <- name })
		if err != nil {
			t.Fatal(n, err)
		}
		stops = append(stops, stop)
	}
	if n := rules(t, c, c.Name()); n != 20 {
		t.Errorf("%d rules for 20 callers", n)
	}
	stops[0]()
	for _, client := range clients[:10] {
		client.Close()
	}
	left := map[string]bool{}
	limit := time.After(30 * time.Second)
	for len(left) < 9 {
		select {
		case name := <-gone:
			left[name] = true
		case <-limit:
			t.Fatalf("only %d of 9 were missed", len(left))
		}
	}
	for _, stop := range stops {
		stop()
	}
	for end := time.Now().Add(30 * time.Second); rules(t, c, c.Name()) > 0; {
		if time.Now().After(end) {
			t.Fatal("rules stay behind")
		}
	}
	if _, err := who.Gone(":1.9999", func() { gone <- "nobody" }); err != nil || <-gone != "nobody" {
		t.Error(err)
	}
	if got := who.Identify(":1.9999"); !got.Sandboxed {
		t.Errorf("nobody: %+v", got)
	}
}

// ReleaseName is the first step of leaving without losing a call.
func TestNoCallIsLostBeforeANameIsGiven(t *testing.T) {
	address := bustest.Daemon(t)
	got := 0 // written by the reading goroutine, read when the name is released
	service := dial(t, address, conn.Options{Handler: handler(func(c *conn.Conn, m *conn.Incoming) { got++; m.Close() })})
	client := dial(t, address, conn.Options{})
	if err := service.RequestName(t.Context(), "org.example.One"); err != nil {
		t.Fatal(err)
	}
	const calls = 1000
	for n := range calls {
		frame, err := client.Encode(&dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoReplyExpected, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/x")), dbus.FieldMember: dbus.MakeVariant(fmt.Sprint("M", n)),
			dbus.FieldDestination: dbus.MakeVariant("org.example.One"),
		}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		client.Write(frame, nil, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := service.ReleaseName(ctx, "org.example.One"); err != nil {
		t.Fatal(err)
	}
	service.Close()
	if got != calls {
		t.Errorf("%d of %d calls came", got, calls)
	}
}

type handler func(*conn.Conn, *conn.Incoming)

func (f handler) HandleCall(c *conn.Conn, m *conn.Incoming) { f(c, m) }
