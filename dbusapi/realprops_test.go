//go:build real

package dbusapi

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5/introspect"
)

// Every property of the contract is read by busctl and by gdbus, and every one that
// may not be written refuses them.
func TestBusctlAndGdbusReadEveryPropertyAndAreRefusedWhereItIsReadOnly(t *testing.T) {
	address, _ := onBus(t)
	spec, tried := contract(t), 0
	for iface, path := range served() {
		names := propertyNames(spec[iface].Properties, "read", "readwrite")
		if len(names) == 0 {
			continue
		}
		out, err := tool(t, append([]string{"busctl", "--address=" + address, "get-property", BusName, string(path), iface}, names...)...)
		if n := strings.Count(out, "\n"); err != nil || n != len(names) {
			t.Errorf("busctl reads %d of the %d properties of %s: %v\n%s", n, len(names), iface, err, out)
		}
		gdbus := []string{"gdbus", "call", "--address", address, "--dest", BusName, "--object-path", string(path), "--method"}
		out, err = tool(t, append(gdbus, "org.freedesktop.DBus.Properties.GetAll", iface)...)
		for _, name := range names {
			if err != nil || !strings.Contains(out, "'"+name+"': <") {
				t.Errorf("gdbus does not read %s.%s: %v\n%s", iface, name, err, out)
			}
		}
		for _, name := range propertyNames(spec[iface].Properties, "read") {
			tried++
			if out, err := tool(t, "busctl", "--address="+address, "set-property", BusName, string(path), iface, name, "s", "x"); err == nil || !strings.Contains(out, "read") {
				t.Errorf("busctl writes %s.%s: %s", iface, name, out)
			}
			if out, err := tool(t, append(gdbus, "org.freedesktop.DBus.Properties.Set", iface, name, "<'x'>")...); err == nil || !strings.Contains(out, "org.freedesktop.DBus.Error.PropertyReadOnly") {
				t.Errorf("gdbus writes %s.%s: %s", iface, name, out)
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d properties may not be written", tried)
	}
}

func propertyNames(all []introspect.Property, access ...string) (names []string) {
	for _, p := range all {
		for _, a := range access {
			if p.Access == a {
				names = append(names, p.Name)
			}
		}
	}
	return names
}
