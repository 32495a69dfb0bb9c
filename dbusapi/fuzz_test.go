package dbusapi

import (
	"bufio"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

// FuzzArgumentsOfEveryMethod calls the methods of the contract with any bytes as
// arguments that fit their signature or not: each call is answered once, with a
// reply or a named error that is no bug of ours, and the next one works.
func FuzzArgumentsOfEveryMethod(f *testing.F) {
	b := &bench{t: f, host: newFakeHost(), callers: newFakeCallers(), bus: newFakeBus()}
	tr, err := NewTree()
	if err != nil {
		f.Fatal(err)
	}
	if b.face, err = New(tr, b.host, &fakeLog{"info"}, b.callers); err != nil {
		f.Fatal(err)
	}
	service, far := bustest.Raw(f, conn.Options{Handler: tr})
	tr.Bind(service)
	b.serve()
	in := bufio.NewReader(far)
	methods := []struct {
		path       dbus.ObjectPath
		name, args string
	}{
		{Root, ifManager + ".Sync", "sa{sv}"}, {Root, ifManager + ".AddAccount", "ssa{sv}a{sv}"}, {Root, ifManager + ".AddGroup", "sasa{sv}"},
		{Root, ifManager + ".ListProblems", "suua{sv}"}, {Root, ifManager + ".Pause", "ua{sv}"}, {Root, ifShell + ".Status", "s"},
		{Root + "/account/work", ifAccount + ".Update", "a{sv}asa{sv}"}, {Root + "/group/home", ifGroup + ".Update", "a{sv}asa{sv}"},
		{Root + "/account/work", ifAccount + ".Check", "a{sv}"}, {Root + "/conflict/c1", ifConflict + ".Resolve", "sa{sv}"},
		{Root + "/account/work/cal", ifCollection + ".Update", "a{sv}asa{sv}"}, {Root + "/account/work", "org.freedesktop.DBus.Properties.Set", "ssv"},
	}
	f.Add(uint8(0), "", []byte("\x04\x00\x00\x00home\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(5), "", []byte("\x00\x00\x00\x00\x00"))
	f.Add(uint8(8), "a{sv}", []byte("\x13\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00dry-run\x00\x01b\x00\x00\x01\x00\x00\x00"))
	f.Add(uint8(4), "u", []byte{1, 0, 0, 0})
	serial := uint32(0)
	f.Fuzz(func(t *testing.T, method uint8, signature string, body []byte) {
		m := methods[int(method)%len(methods)]
		if signature == "" {
			signature = m.args
		}
		sig, err := dbus.ParseSignature(signature)
		if err != nil || len(body) > 1<<16 {
			return
		}
		i := strings.LastIndexByte(m.name, '.')
		frame, err := service.EncodeWith(&dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(m.path), dbus.FieldInterface: dbus.MakeVariant(m.name[:i]), dbus.FieldMember: dbus.MakeVariant(m.name[i+1:]),
		}}, sig, body)
		if err != nil {
			t.Fatal(err)
		}
		serial++
		binary.LittleEndian.PutUint32(frame[8:], serial)
		far.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := far.Write(frame); err != nil {
			t.Fatal(err)
		}
		for { // signals of what it did come before its answer
			answer, err := dbus.DecodeMessage(in)
			if err != nil {
				t.Fatal(err)
			}
			if to, _ := answer.Headers[dbus.FieldReplySerial].Value().(uint32); to != serial {
				continue
			}
			if name, _ := answer.Headers[dbus.FieldErrorName].Value().(string); name == ours+"Internal" || strings.HasSuffix(name, ".Failed") {
				t.Fatalf("%s of %q answers %s: %v", m.name, body, name, answer.Body)
			}
			break
		}
		b.endAll()
	})
}
