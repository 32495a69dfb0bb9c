package tree_test

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
)

func TestWhatACallAnnouncesComesBeforeItsReply(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	signals := make(chan *dbus.Signal, 1000)
	client.Signal(signals)
	i := newItem("x")
	i.note = func(_ tree.Call, n uint32) error {
		i.name = fmt.Sprint("name ", n)
		if err := tr.Changed(root+"/a", iface, "Name"); err != nil {
			return err
		}
		p := dbus.ObjectPath(fmt.Sprintf("%s/job/%d", root, n))
		if err := tr.Put(p, newItem("job").face()); err != nil {
			return err
		}
		if err := tr.Emit(root+"/a", iface, "Seen", n); err != nil {
			return err
		}
		if err := tr.Changed(p, iface, "Parts"); err != nil {
			return err
		}
		return tr.Drop(p)
	}
	put(t, tr, root+"/a", i)
	<-signals
	for n := range uint32(100) {
		call := client.Object("", root+"/a").Call(iface+".Note", 0, n)
		if call.Err != nil {
			t.Fatal(call.Err)
		}
		job := dbus.ObjectPath(fmt.Sprintf("%s/job/%d", root, n))
		for k, want := range []string{
			fmt.Sprint(root, "/a PropertiesChanged [", iface, " map[Name:\"name ", n, "\"] []]"),
			fmt.Sprint(root, " InterfacesAdded [", job, " map[", iface, ":map[Id:@u 7 Name:\"job\" Parts:@ao []]]]"),
			fmt.Sprint(root, "/a Seen [", n, "]"),
			fmt.Sprint(job, " PropertiesChanged [", iface, " map[] [Parts]]"),
			fmt.Sprint(root, " InterfacesRemoved [", job, " [", iface, "]]"),
		} {
			s := <-signals
			if got := fmt.Sprint(s.Path, " ", s.Name[strings.LastIndexByte(s.Name, '.')+1:], " ", s.Body); got != want {
				t.Fatalf("signal %d of call %d is %s, not %s", k, n, got, want)
			}
			if s.Sequence > call.ResponseSequence {
				t.Fatalf("%s came after the reply", s.Name)
			}
		}
	}
}

// A client that keeps a copy, from GetAll and then from the signals, must end
// with the truth.
func TestACopyKeptFromTheSignalsIsTrue(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	signals := make(chan *dbus.Signal, 100)
	client.Signal(signals)
	i := newItem("0")
	var now, told atomic.Int64
	face := i.face()
	face.Properties["Name"] = tree.Property{Get: func() any { return fmt.Sprint(now.Load()) }, Set: face.Properties["Name"].Set}
	if err := tr.Put(root+"/a", face); err != nil {
		t.Fatal(err)
	}
	<-signals
	const changes = 4_000
	type seen struct {
		at    dbus.Sequence
		value int64
	}
	var signalled, reads []seen
	var wg sync.WaitGroup
	wg.Go(func() {
		for told.Load() < changes {
			s := <-signals
			var n int64
			fmt.Sscan(s.Body[1].(map[string]dbus.Variant)["Name"].Value().(string), &n)
			signalled = append(signalled, seen{s.Sequence, n})
			told.Store(n)
		}
	})
	wg.Go(func() {
		for n := int64(1); n <= changes; n++ {
			for n-told.Load() > 20 { // the client keeps up
				runtime.Gosched()
			}
			now.Store(n)
			if err := tr.Changed(root+"/a", iface, "Name"); err != nil {
				t.Error(err)
			}
		}
	})
	for told.Load() < changes {
		var all map[string]dbus.Variant
		call := client.Object("", root+"/a").Call(std+"Properties.GetAll", 0, iface)
		if err := call.Store(&all); err != nil {
			t.Fatal(err)
		}
		var n int64
		fmt.Sscan(all["Name"].Value().(string), &n)
		reads = append(reads, seen{call.ResponseSequence, n})
	}
	wg.Wait()
	k := 0
	for _, r := range reads {
		for k < len(signalled) && signalled[k].at < r.at {
			k++
		}
		if k > 0 && r.value < signalled[k-1].value {
			t.Fatalf("a reply said %d after a signal had said %d", r.value, signalled[k-1].value)
		}
	}
	t.Logf("%d reads among %d signals", len(reads), len(signalled))
}

func TestOnlyWhatTheXMLPromisesIsAnnounced(t *testing.T) {
	tr := newTree(t)
	put(t, tr, root+"/a", newItem("x"))
	for want, do := range map[string]func() error{
		"not announced":           func() error { return tr.Changed(root+"/a", iface, "Id") },
		"no such property":        func() error { return tr.Changed(root+"/a", iface, "Nope") },
		"no object":               func() error { return tr.Changed(root+"/b", iface, "Name") },
		"no such signal":          func() error { return tr.Emit(root+"/a", iface, "Nope") },
		`"s" here and "u" in the`: func() error { return tr.Emit(root+"/a", iface, "Seen", "x") },
		"no XML file describes":   func() error { return tr.Emit(root+"/a", "org.example.Nope", "Seen") },
		"object already":          func() error { return tr.Put(root+"/a", newItem("y").face()) },
		"not a path":              func() error { return tr.Put("a", newItem("y").face()) },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something with %q", err, want)
		}
	}
	for _, err := range []error{tr.Changed(root+"/a", iface, "Name", "Parts"), tr.Changed(root+"/a", iface), tr.Emit(root+"/a", iface, "Seen", uint32(1)), tr.Drop(root + "/z")} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestASignalToOneProgramNamesIt(t *testing.T) {
	tr := newTree(t)
	service, far := bustest.Raw(t, conn.Options{Handler: tr})
	tr.Bind(service)
	put(t, tr, "/elsewhere", newItem("x")) // beside the root: not announced
	if err := tr.EmitTo(":1.7", "/elsewhere", iface, "Seen", uint32(3)); err != nil {
		t.Fatal(err)
	}
	m, err := dbus.DecodeMessage(far)
	if err != nil || m.Headers[dbus.FieldDestination].Value() != ":1.7" || m.Headers[dbus.FieldMember].Value() != "Seen" {
		t.Error(m, err)
	}
	tr.Close()
}

// A bus that does not read holds up nobody, neither who announces nor who reads.
func TestASlowBusHoldsUpNobody(t *testing.T) {
	tr := newTree(t)
	service := bustest.Deaf(t, conn.Options{Handler: tr})
	tr.Bind(service)
	done := make(chan error, 1)
	go func() {
		for n := range 5_000 { // far more than a socket takes
			p := dbus.ObjectPath(fmt.Sprintf("%s/c%d", root, n%100))
			if err := tr.Put(p, newItem(strings.Repeat("x", 500)).face()); err != nil {
				done <- err
				return
			}
			if err := tr.Drop(p); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil || service.Err() != nil {
			t.Error(err, service.Err())
		}
	case <-time.After(60 * time.Second):
		t.Error("announcing waits for the bus")
	}
	if service.Backlog() < 1<<20 {
		t.Errorf("only %d bytes are waiting: the socket took everything, so this proves nothing", service.Backlog())
	}
	tr.Close()
}

func TestClean(t *testing.T) {
	type pair struct {
		A string
		B []string
	}
	for _, c := range []struct{ in, want any }{
		{"fine", "fine"}, {"a\x00b\xff", "a\uFFFDb\uFFFD"}, {dbus.ObjectPath("x"), dbus.ObjectPath("/")}, {dbus.ObjectPath("/x"), dbus.ObjectPath("/x")},
		{[]string{"a", "\xff"}, []string{"a", "\uFFFD"}}, {map[string]string{"\xff": "\xfe"}, map[string]string{"\uFFFD": "\uFFFD"}},
		{map[string]dbus.Variant{"k": dbus.MakeVariant([]string{"\xff"})}, map[string]dbus.Variant{"k": dbus.MakeVariant([]string{"\uFFFD"})}},
		{[]pair{{"\xff", []string{"\x00"}}}, []pair{{"\uFFFD", []string{"\uFFFD"}}}},
		{dbus.MakeVariant(dbus.MakeVariant("\xff")), dbus.MakeVariant(dbus.MakeVariant("\uFFFD"))},
		{dbus.Variant{}, dbus.MakeVariant("")}, {map[string]dbus.Variant{"k": {}}, map[string]dbus.Variant{"k": dbus.MakeVariant("")}},
		{[]any{"\xff", uint32(1)}, []any{"\uFFFD", uint32(1)}}, {[2]string{"\xff", "b"}, [2]string{"\uFFFD", "b"}},
		{[]map[string]dbus.Variant{{"a": dbus.MakeVariant("\xff")}}, []map[string]dbus.Variant{{"a": dbus.MakeVariant("\uFFFD")}}},
		{uint64(1), uint64(1)}, {nil, nil}, {[]byte{0xff}, []byte{0xff}},
	} {
		before := fmt.Sprintf("%#v", c.in)
		if got := tree.Clean(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Clean(%#v) is %#v, not %#v", c.in, got, c.want)
		}
		if after := fmt.Sprintf("%#v", c.in); after != before {
			t.Errorf("%s was changed in place to %s", before, after)
		}
	}
	list := []string{"a", "b"}
	if got := tree.Clean(list).([]string); &got[0] != &list[0] {
		t.Error("what is clean was copied")
	}
}
