package dbusapi

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

// A wire is a client that sees messages in the order in which they come, replies
// and signals alike.
type wire struct {
	t      *testing.T
	socket *net.UnixConn
	in     *bufio.Reader
}

// openWire is open with such a client.
func openWire(t *testing.T) (*bench, *wire) {
	t.Helper()
	b := &bench{t: t, host: newFakeHost(), callers: newFakeCallers(), bus: newFakeBus()}
	tr, err := NewTree()
	if err != nil {
		t.Fatal(err)
	}
	if b.face, err = New(tr, b.host, &fakeLog{"info"}, b.callers); err != nil {
		t.Fatal(err)
	}
	service, socket := bustest.Raw(t, conn.Options{Handler: tr})
	tr.Bind(service)
	b.serve()
	return b, &wire{t, socket, bufio.NewReader(socket)}
}

var serials atomic.Uint32

// send calls a method without waiting for its reply.
func (w *wire) send(p dbus.ObjectPath, method string, args ...any) uint32 {
	w.t.Helper()
	i := strings.LastIndexByte(method, '.')
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(p), dbus.FieldInterface: dbus.MakeVariant(method[:i]), dbus.FieldMember: dbus.MakeVariant(method[i+1:]),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	serial := serials.Add(1)
	var frame strings.Builder
	if err := m.EncodeTo(&frame, binary.LittleEndian); err != nil {
		w.t.Fatal(err)
	}
	raw := []byte(frame.String())
	binary.LittleEndian.PutUint32(raw[8:], serial)
	if _, err := w.socket.Write(raw); err != nil {
		w.t.Fatal(err)
	}
	return serial
}

// next reads one message and describes it: "reply 7", "error 7 NAME",
// "JobNew /org/…".
func (w *wire) next() (string, *dbus.Message) {
	w.t.Helper()
	w.socket.SetReadDeadline(time.Now().Add(30 * time.Second))
	m, err := dbus.DecodeMessage(w.in)
	if err != nil {
		w.t.Fatal(err)
	}
	head := func(f dbus.HeaderField) any { return m.Headers[f].Value() }
	switch m.Type {
	case dbus.TypeMethodReply:
		return fmt.Sprintf("reply %d", head(dbus.FieldReplySerial)), m
	case dbus.TypeError:
		return fmt.Sprintf("error %d %s", head(dbus.FieldReplySerial), head(dbus.FieldErrorName)), m
	}
	return fmt.Sprintf("%s %s", head(dbus.FieldMember), head(dbus.FieldPath)), m
}

func TestRepliesNeverOvertakeTheirEffects(t *testing.T) {
	b, w := openWire(t)
	const n = 200
	listed := 0
	for i := range n {
		w.send(Root, ifManager+".Undo", uint32(7), dict{})
		w.send(Root, ifManager+".AddAccount", fmt.Sprint("a", i), "dav", opts("url", "u"), dict{})
		known := map[dbus.ObjectPath]bool{}
		announced := map[dbus.ObjectPath]bool{}
		for replies := 0; replies < 2; {
			what, m := w.next()
			switch {
			case strings.HasPrefix(what, "InterfacesAdded"):
				known[m.Body[0].(dbus.ObjectPath)] = true
			case strings.HasPrefix(what, "JobNew"):
				path := m.Body[1].(dbus.ObjectPath)
				if !known[path] {
					t.Errorf("JobNew of %s before its InterfacesAdded", path)
				}
				announced[path] = true
				b.host.end(engine.JobID(m.Body[0].(uint32)), engine.Success, engine.Failure{})
			case strings.HasPrefix(what, "PropertiesChanged "+string(Root)):
				if list, ok := m.Body[1].(map[string]dbus.Variant)["Accounts"]; ok {
					listed = len(list.Value().([]dbus.ObjectPath))
				}
			case m.Type == dbus.TypeMethodReply:
				replies++
				path := m.Body[0].(dbus.ObjectPath)
				isJob := strings.HasPrefix(string(path), jobPrefix)
				if isJob && !announced[path] {
					t.Errorf("the reply %s comes before JobNew", path)
				}
				if !isJob && (!known[path] || listed != i+3) {
					t.Errorf("the reply %s comes before InterfacesAdded, or Accounts lists %d then", path, listed)
				}
			case m.Type == dbus.TypeError:
				t.Fatal(what, m.Body)
			}
		}
	}
}

func TestARefusalNeverOvertakesItsEffects(t *testing.T) {
	b, w := openWire(t)
	for range 200 {
		b.host.failWith("Reload", engine.InvalidConfig)
		w.send(Root, ifControl+".Reload", dict{})
		if state := stateAtAnswer(w); state != "invalid" {
			t.Fatalf("ConfigState is %q when the refusal comes", state)
		}
		b.host.failWith("Reload", engine.KindCount)
		w.send(Root, ifControl+".Reload", dict{})
		if state := stateAtAnswer(w); state != "loaded" {
			t.Fatalf("ConfigState is %q when the reply comes", state)
		}
	}
}

// stateAtAnswer reads up to an answer, and gives what was told of ConfigState.
func stateAtAnswer(w *wire) (state any) {
	for {
		what, m := w.next()
		if m.Type != dbus.TypeSignal {
			return state
		}
		if strings.HasPrefix(what, "PropertiesChanged") && m.Body[0] == ifControl {
			if v, ok := m.Body[1].(map[string]dbus.Variant)["ConfigState"]; ok {
				state = v.Value()
			}
		}
	}
}

func TestAStreamNamesItsJobOnceThatCanBeAsked(t *testing.T) {
	b, w := openWire(t)
	b.host.imports.Store(true)
	known := map[dbus.ObjectPath]bool{}
	const n = 60 // of the 64 that a caller may have
	for range n {
		w.send(collectionPath("work/cal"), ifCollection+".Import", dict{})
		for named := false; !named; {
			what, m := w.next()
			switch word, _, _ := strings.Cut(what, " "); word {
			case "InterfacesAdded":
				known[m.Body[0].(dbus.ObjectPath)] = true
			case "PropertiesChanged":
				v, ok := m.Body[1].(map[string]dbus.Variant)["Job"]
				if ok && !known[v.Value().(dbus.ObjectPath)] {
					t.Fatalf("the stream names %v before its InterfacesAdded", v)
				}
				named = ok
			case "error":
				t.Fatal(what, m.Body)
			}
		}
	}
}

// Every job of many, in a trace of what is on the wire: each signal once, in the
// promised order.
func TestTheTraceOfAThousandJobsIsInOrder(t *testing.T) {
	b, w := openWire(t)
	const n = 1000
	go func() {
		for range n {
			id := b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
			b.host.change(id, func(j *engine.JobState) { j.State = "running" })
			b.host.publish(progressOf(id, 500), progressOf(id, 1000))
			b.host.end(id, engine.Success, engine.Failure{})
			b.host.publish(engine.JobGone{ID: id})
		}
	}()
	// What each job has come to: 1 added, 2 new, 3 changed, 4 done, 5 completed, 6 removed, 7 gone.
	at := map[dbus.ObjectPath]int{}
	step := func(p dbus.ObjectPath, what string, from, to int) {
		if at[p] != from && !(to == 3 && at[p] == 2 && from == 3) {
			t.Errorf("%s of %s comes after step %d", what, p, at[p])
		}
		at[p] = to
	}
	for gone := 0; gone < n; {
		what, m := w.next()
		word, on, _ := strings.Cut(what, " ")
		p := dbus.ObjectPath(on)
		switch word {
		case "InterfacesAdded":
			step(m.Body[0].(dbus.ObjectPath), word, 0, 1)
		case "JobNew":
			step(m.Body[1].(dbus.ObjectPath), word, 1, 2)
		case "PropertiesChanged":
			if p == Root {
				continue
			}
			changed := m.Body[1].(map[string]dbus.Variant)
			if state, ok := changed["State"]; ok && state.Value() == "done" {
				if changed["ItemsDone"].Value() != uint64(1000) && changed["ItemsDone"] != (dbus.Variant{}) {
					t.Errorf("the last progress of %s is %v", p, changed["ItemsDone"])
				}
				step(p, word, 3, 4)
			} else {
				step(p, word, 3, 3)
			}
		case "Completed":
			step(p, word, 4, 5)
		case "JobRemoved":
			step(m.Body[1].(dbus.ObjectPath), word, 5, 6)
		case "InterfacesRemoved":
			step(m.Body[0].(dbus.ObjectPath), word, 6, 7)
			gone++
		}
	}
}

func TestAWaitIsCancelledOnTheSameConnection(t *testing.T) {
	b, w := openWire(t)
	b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
	b.face.settle()
	path := jobPath(42)
	wait := w.send(path, ifJob+".Wait", opts("raise", true))
	cancel := w.send(path, ifJob+".Cancel", dict{})
	var got []string
	for len(got) < 2 {
		if what, m := w.next(); m.Type != dbus.TypeSignal {
			got = append(got, what)
		}
	}
	want := []string{fmt.Sprintf("error %d %sCancelled", wait, ours), fmt.Sprintf("reply %d", cancel)}
	if !(got[0] == want[0] && got[1] == want[1]) && !(got[0] == want[1] && got[1] == want[0]) {
		t.Errorf("got %q, want %q", got, want)
	}
}
