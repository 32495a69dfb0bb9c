package tree_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"go.uber.org/goleak"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// as calls a method under the name of a sender; there is no bus that would mind.
func as(c *dbus.Conn, sender string, flags dbus.Flags, method string, args ...any) *dbus.Call {
	i := strings.LastIndexByte(method, '.')
	m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: flags, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root + "/a")), dbus.FieldInterface: dbus.MakeVariant(method[:i]),
		dbus.FieldMember: dbus.MakeVariant(method[i+1:]), dbus.FieldSender: dbus.MakeVariant(sender),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return c.Send(m, make(chan *dbus.Call, 1))
}

func wait(t testing.TB, c *dbus.Call) *dbus.Call {
	t.Helper()
	select {
	case <-c.Done:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("no answer to ", c.Method)
		return nil
	}
}

func TestAPanicHurtsOnlyItsCaller(t *testing.T) {
	tr := newTree(t)
	var told atomic.Value
	tr.Panicked = func(member string, value any, stack []byte) { told.Store(fmt.Sprint(member, value, len(stack) > 0)) }
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a", newItem("x"))
	o := client.Object("", root+"/a")
	err := o.Call(iface+".Fail", 0, "panic").Err
	if err == nil || strings.Contains(err.Error(), "asked for it") || told.Load() != iface+".Failasked for ittrue" {
		t.Error(err, told.Load())
	}
	if err := o.Call(iface+".Finish", 0).Err; err != nil {
		t.Error(err)
	}
	if err := o.Call(iface+".Finish", 0).Err; err == nil { // it closes a channel again
		t.Error("no error")
	}
}

func TestNoReplyMeansNone(t *testing.T) {
	tr := newTree(t)
	service, far := bustest.Raw(t, conn.Options{Handler: tr})
	tr.Bind(service)
	i := newItem("x")
	noted := make(chan uint32, 1)
	i.note = func(_ tree.Call, n uint32) error { noted <- n; return nil }
	put(t, tr, root+"/a", i)
	other := conn.New(far, true, conn.Options{})
	t.Cleanup(other.Close)
	silent := func(member string, args ...any) {
		m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoReplyExpected, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root + "/a")), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
		}}
		frame, err := other.Encode(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		other.Write(frame, nil, nil)
	}
	before := service.Sent()
	silent("Note", uint32(5))
	silent("Nope")
	silent("Fail", "odd")
	silent("Open", "text")
	if n := <-noted; n != 5 {
		t.Error(n)
	}
	if _, err := other.Call(t.Context(), "", root+"/a", iface+".Finish"); err != nil {
		t.Error(err)
	}
	if n := service.Sent() - before; n > 1 {
		t.Errorf("%d messages for one answer", n)
	}
	tr.Close()
}

func TestTheGuardIsAskedFirst(t *testing.T) {
	tr := newTree(t)
	tr.Allow = func(c tree.Call, i, member string) error {
		if c.Sender() == ":1.66" && (member == "Set" && i == std+"Properties" || i == iface) {
			return dbus.NewError(std+"Error.AccessDenied", []any{"not you"})
		}
		if member == "Finish" {
			panic("guard")
		}
		return nil
	}
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a", newItem("x"))
	for _, c := range []struct {
		sender, method string
		args           []any
		ok             bool
	}{
		{":1.1", iface + ".Note", []any{uint32(1)}, true},
		{":1.66", iface + ".Note", []any{uint32(1)}, false},
		{":1.66", std + "Properties.Get", []any{iface, "Name"}, true},
		{":1.66", std + "Properties.Set", []any{iface, "Name", dbus.MakeVariant("y")}, false},
		{":1.1", std + "Properties.Set", []any{iface, "Name", dbus.MakeVariant("y")}, true},
		{":1.1", iface + ".Finish", nil, false},
	} {
		if err := wait(t, as(client, c.sender, 0, c.method, c.args...)).Err; (err == nil) != c.ok {
			t.Errorf("%s by %s: %v", c.method, c.sender, err)
		}
	}
}

func TestFilesGoBothWaysAndAreClosed(t *testing.T) {
	tr := newTree(t)
	service, far := bustest.Raw(t, conn.Options{Handler: tr})
	tr.Bind(service)
	put(t, tr, root+"/a", newItem("x"))
	client := conn.New(far, true, conn.Options{})
	t.Cleanup(client.Close)
	t.Cleanup(tr.Close)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing is closed by accident
	count := func() int {
		list, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	pipe := func(text string) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
		w.Close()
		return r
	}
	before := count()
	for n := range 50 {
		want := fmt.Sprint("text ", n)
		r, err := client.Call(t.Context(), "", root+"/a", iface+".Read", pipe(want))
		if err != nil || r.Body[0] != want {
			t.Fatal(r, err)
		}
		if r, err = client.CallForFiles(t.Context(), "", root+"/a", iface+".Open", want); err != nil || len(r.Files) != 1 {
			t.Fatal(r, err)
		}
		if got, err := io.ReadAll(r.Files[0]); string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
		r.Close()
		for _, bad := range [][]any{
			{iface + ".Read", pipe("a"), pipe("b")}, {iface + ".Finish", pipe("a")}, {iface + ".Echo", "t", pipe("a")},
			{iface + ".Read", dbus.UnixFDIndex(0)}, {iface + ".Read", dbus.UnixFDIndex(1 << 31)}, {iface + ".Read", []dbus.UnixFDIndex{0}},
			{std + "Peer.Ping", pipe("a")}, {std + "Introspectable.Introspect", pipe("a")}, {"org.example.Nope.Do", pipe("a")},
		} {
			_, err := client.Call(t.Context(), "", root+"/a", bad[0].(string), bad[1:]...)
			if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != std+"Error.InvalidArgs" {
				t.Fatal(bad[0], err)
			}
		}
	}
	for end := time.Now().Add(10 * time.Second); count() > before; {
		if time.Now().After(end) {
			t.Fatalf("%d files open before, %d after", before, count())
		}
	}
}

func TestChangeWhileIntrospected(t *testing.T) {
	tr := newTree(t)
	service, client := bustest.Pair(t, conn.Options{Handler: tr})
	tr.Bind(service)
	t.Cleanup(tr.Close)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if service.Backlog() > 4<<10 { // a client that is slower than this loop
				runtime.Gosched()
				continue
			}
			p := dbus.ObjectPath(fmt.Sprintf("%s/c%d", root, n%50))
			if err := tr.Put(p, newItem("x").face()); err != nil {
				t.Error(err)
				return
			}
			if err := tr.Changed(p, iface, "Name", "Parts"); err != nil {
				t.Error(err)
			}
			if err := tr.Drop(p); err != nil {
				t.Error(err)
			}
		}
	})
	for range 100 {
		var text string
		if err := client.Object("", root).Call(std+"Introspectable.Introspect", 0).Store(&text); err != nil {
			t.Fatal(err)
		}
		var node introspect.Node
		if err := xml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		var all map[dbus.ObjectPath]map[string]map[string]dbus.Variant
		if err := client.Object("", root).Call(std+"ObjectManager.GetManagedObjects", 0).Store(&all); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestValuesThatAreWrongDoNotLeave(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	i := newItem("x\xe9y\x00")
	i.parts = []dbus.ObjectPath{"/ok", "not ok", ""}
	put(t, tr, root+"/a", i)
	var all map[string]dbus.Variant
	if err := client.Object("", root+"/a").Call(std+"Properties.GetAll", 0, iface).Store(&all); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Name": "x\uFFFDy\uFFFD", "Id": uint32(7), "Parts": []dbus.ObjectPath{"/ok", "/", "/"}}
	for k, v := range want {
		if got := all[k].Value(); !reflect.DeepEqual(got, v) {
			t.Errorf("%s is %v, not %v", k, got, v)
		}
	}
	if err := client.Object("", root+"/a").Call(iface+".Fail", 0, "odd").Err; err == nil || err.Error() != "an odd error: \uFFFD\uFFFD" {
		t.Error(err)
	}
}
