package tree_test

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

// BenchmarkManagedObjects asks for 5,000 objects. bare is what the library needs
// to put the same answer into a message; answered/bare should stay below 1.5.
func BenchmarkManagedObjects(b *testing.B) {
	tr := newTree(b)
	service, far := bustest.Raw(b, conn.Options{Handler: tr})
	tr.Bind(service)
	client := conn.New(far, true, conn.Options{MaxMessage: 64 << 20})
	b.Cleanup(client.Close)
	b.Cleanup(tr.Close)
	for n := range 5000 {
		put(b, tr, dbus.ObjectPath(fmt.Sprintf("%s/c%d", root, n)), newItem(fmt.Sprint("item ", n)))
	}
	ask := func() *conn.Reply {
		r, err := client.Call(b.Context(), "", root, std+"ObjectManager.GetManagedObjects")
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	answer := ask().Body
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			m := &dbus.Message{Type: dbus.TypeMethodReply, Body: answer, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(uint32(1))}}
			if _, err := service.Encode(m, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("answered", func(b *testing.B) {
		for b.Loop() {
			before := service.Sent()
			m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root)), dbus.FieldInterface: dbus.MakeVariant(std + "ObjectManager"), dbus.FieldMember: dbus.MakeVariant("GetManagedObjects"),
			}}
			call, err := client.Encode(m, 0)
			if err != nil {
				b.Fatal(err)
			}
			client.Write(call, nil, nil)
			for service.Sent() == before { // until the answer is queued
				if err := tr.Drain(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkPropertyGet(b *testing.B) {
	tr := newTree(b)
	service, far := bustest.Raw(b, conn.Options{Handler: tr})
	tr.Bind(service)
	client := conn.New(far, true, conn.Options{})
	b.Cleanup(client.Close)
	b.Cleanup(tr.Close)
	put(b, tr, root+"/a", newItem("x"))
	for b.Loop() {
		if _, err := client.Call(b.Context(), "", root+"/a", std+"Properties.Get", iface, "Name"); err != nil {
			b.Fatal(err)
		}
	}
}
