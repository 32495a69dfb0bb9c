package tree_test

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

// FuzzCall calls every method of an item, and the standard ones, with any
// arguments: each call is answered, nothing panics, and the next call works.
func FuzzCall(f *testing.F) {
	tr := newTree(f)
	var panics atomic.Value
	tr.Panicked = func(member string, value any, _ []byte) { panics.Store(member) }
	service, far := bustest.Raw(f, conn.Options{Handler: tr})
	tr.Bind(service)
	put(f, tr, root+"/a", newItem("x"))
	client := conn.New(far, true, conn.Options{})
	f.Cleanup(client.Close)
	f.Cleanup(tr.Close)
	members := []string{iface + ".Note", iface + ".Echo", iface + ".Read", iface + ".Open", iface + ".Fail",
		std + "Properties.Get", std + "Properties.GetAll", std + "Properties.Set", std + "Introspectable.Introspect", ".Echo"}
	frame := func(method string, sig string, body []byte) []byte {
		i := strings.LastIndexByte(method, '.')
		m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root + "/a")), dbus.FieldMember: dbus.MakeVariant(method[i+1:]),
		}}
		if i > 0 {
			m.Headers[dbus.FieldInterface] = dbus.MakeVariant(method[:i])
		}
		if s, err := dbus.ParseSignature(sig); err == nil && sig != "" {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(s)
		}
		out, err := client.Encode(m, 0)
		if err != nil {
			f.Fatal(err)
		}
		binary.LittleEndian.PutUint32(out[4:], uint32(len(body)))
		return append(out, body...)
	}
	f.Add(uint8(0), "u", []byte{1, 0, 0, 0})
	f.Add(uint8(1), "sa{sv}", []byte("\x01\x00\x00\x00x\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(2), "h", []byte{0, 0, 0, 0})
	f.Add(uint8(7), "ssv", []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00Name\x00\x01s\x00\x01\x00\x00\x00y\x00"))
	f.Fuzz(func(t *testing.T, member uint8, sig string, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		before := service.Sent()
		method := members[int(member)%len(members)]
		client.Write(frame(method, sig, body), nil, nil)
		if _, err := client.Call(t.Context(), "", root+"/a", std+"Peer.Ping"); err != nil {
			t.Fatal(err)
		}
		if n := service.Sent() - before; n != 2 {
			t.Errorf("%s and Ping had %d answers", method, n)
		}
		// One panic is asked for, by name.
		if p := panics.Swap(""); p != nil && p != "" && p != iface+".Fail" {
			t.Errorf("%v panicked", p)
		}
	})
}
