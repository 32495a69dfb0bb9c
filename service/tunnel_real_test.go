//go:build real

package service

import (
	"net"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

func TestRealT13TakingByBusctlAndByADescriptor(t *testing.T) {
	d := home(t)
	d.start()
	_, err := d.c.Register(t.Context(), "desk", client.Options{"public": true})
	d.must(err)
	d.must(d.c.Offer(t.Context(), "desk", "echo", lab.Echo(t, "tcp", "127.0.0.1:0"), client.Options{"path": "/x"}))
	out := tool(t, "", "busctl", "--address="+d.bus.Address, "call", client.Name, string(client.Root), client.Name+".Introducer", "Take", "ssa{sv}", "desk", "echo", "1", "keep", "b", "true")
	if !strings.Contains(out, `"path" s "/x"`) {
		t.Errorf("busctl says %s", out)
	}
	path, parameters, err := d.c.Take(t.Context(), "desk", "echo", client.Options{})
	d.must(err)
	if parameters.Str("path") != "/x" {
		t.Errorf("parameters %v", parameters)
	}
	file, err := d.c.OpenFd(t.Context(), path, client.Options{})
	d.must(err)
	c, err := net.FileConn(file)
	file.Close()
	d.must(err)
	defer c.Close()
	if got := d.talk(c.(*net.UnixConn), "by descriptor"); got != "heard by descriptor" {
		t.Errorf("%q", got)
	}
}

// A whole message bus is one more service: it is reached by the address of a
// taken stream, and the bus's own login goes through.
func TestRealT16ABusOfAnotherIsTakenAndUsedByItsAddress(t *testing.T) {
	d := home(t)
	d.start()
	private := lab.Bus(t)
	_, err := d.c.Register(t.Context(), "desk", client.Options{"public": true})
	d.must(err)
	d.must(d.c.Offer(t.Context(), "desk", "dbus", "unix:"+strings.TrimPrefix(private.Address, "unix:path="), client.Options{}))
	path, _, err := d.c.Take(t.Context(), "desk", "dbus", client.Options{})
	d.must(err)
	address, _, err := d.c.Listen(t.Context(), path, "unix", "", nil)
	d.must(err)
	address = "unix:path=" + address
	id := func(address string) string {
		return tool(t, "", "gdbus", "call", "--address", address, "--dest", "org.freedesktop.DBus", "--object-path", "/", "--method", "org.freedesktop.DBus.GetId")
	}
	if got, want := id(address), id(private.Address); got != want || got == id(d.bus.Address) {
		t.Errorf("by gdbus it is the bus %s, not %s", got, want)
	}
	if got := tool(t, "", "busctl", "--address="+address, "list"); !strings.Contains(got, "org.freedesktop.DBus") || strings.Contains(got, client.Name) {
		t.Errorf("by busctl: %s", got)
	}
}
