//go:build real

package tree_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
)

const name = "org.example.Box1"

// onRealBus serves a tree on a real bus, with an item at root/a.
func onRealBus(t *testing.T, tr *tree.Tree, i *item) (address string, service *conn.Conn) {
	t.Helper()
	address = bustest.Daemon(t)
	return address, onBusAt(t, address, tr, i)
}

func onBusAt(t *testing.T, address string, tr *tree.Tree, i *item) (service *conn.Conn) {
	t.Helper()
	service = dial(t, address, conn.Options{Handler: tr})
	tr.Bind(service)
	put(t, tr, root+"/a", i)
	if err := service.RequestName(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return service
}

// toItem makes a call of the item.
func toItem(member string, body ...any) *dbus.Message {
	return &dbus.Message{Type: dbus.TypeMethodCall, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root + "/a")), dbus.FieldInterface: dbus.MakeVariant(iface),
		dbus.FieldMember: dbus.MakeVariant(member), dbus.FieldDestination: dbus.MakeVariant(name),
	}}
}

func dial(t *testing.T, address string, o conn.Options) *conn.Conn {
	t.Helper()
	c, err := conn.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTwentyThousandCallsOverARealBusKeepTheirOrder(t *testing.T) {
	const calls = 20_000
	tr := newTree(t)
	i := newItem("x")
	var got []uint32
	i.note = func(_ tree.Call, n uint32) error { got = append(got, n); return nil }
	address, _ := onRealBus(t, tr, i)
	client := dial(t, address, conn.Options{})
	for n := range uint32(calls) {
		frame, err := client.Encode(toItem("Note", n), 0)
		if err != nil {
			t.Fatal(err)
		}
		client.Write(frame, nil, nil)
	}
	if _, err := client.Call(t.Context(), name, root+"/a", iface+".Finish"); err != nil {
		t.Fatal(err)
	}
	if err := tr.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	inversions := 0
	for n := range got {
		if got[n] != uint32(n) {
			inversions++
		}
	}
	if len(got) != calls || inversions > 0 {
		t.Errorf("%d calls, %d out of order", len(got), inversions)
	}
}

func countFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("never happened: ", what)
		}
	}
}

// 1,000 waiting calls of one caller and what becomes of them when it leaves.
func TestAThousandWaitingCallsOfOneCaller(t *testing.T) { waitInCrowds(t, bustest.Daemon(t)) }

func waitInCrowds(t *testing.T, address string) {
	tr := newTree(t)
	var mu sync.Mutex
	gone := map[string][]func(){}
	tr.Gone = func(sender string, left func()) (func(), error) {
		mu.Lock()
		defer mu.Unlock()
		gone[sender] = append(gone[sender], left)
		return func() {}, nil
	}
	service := onBusAt(t, address, tr, newItem("x"))
	client := bustest.Client(t, address)
	done := make(chan *dbus.Call, 1000)
	for range 1000 {
		client.Object(name, root+"/a").Go(iface+".Wait", 0, done)
	}
	for range 1000 - 64 {
		if e, ok := errors.AsType[dbus.Error]((<-done).Err); !ok || e.Name != std+"Error.LimitsExceeded" {
			t.Fatal(e)
		}
	}
	sender := client.Names()[0]
	client.Close()
	mu.Lock()
	for _, left := range gone[sender] {
		left()
	}
	mu.Unlock()
	if err := tr.Drain(t.Context()); err != nil || service.Err() != nil {
		t.Error(err, service.Err())
	}
}

func TestAnObjectCanBeIntrospectedByOtherPrograms(t *testing.T) {
	tr := newTree(t)
	address, _ := onRealBus(t, tr, newItem("x"))
	for _, argv := range [][]string{
		{"busctl", "--address=" + address, "tree", "--list", name},
		{"busctl", "--address=" + address, "introspect", name, root + "/a"},
		{"busctl", "--address=" + address, "introspect", name, root},
		{"busctl", "--address=" + address, "introspect", name, "/org"},
		{"busctl", "--address=" + address, "call", name, root + "/a", iface, "Note", "u", "7"},
		{"busctl", "--address=" + address, "get-property", name, root + "/a", iface, "Name", "Id"},
		{"busctl", "--address=" + address, "call", name, root, std + "ObjectManager", "GetManagedObjects"},
		{"gdbus", "introspect", "--address", address, "--dest", name, "--object-path", "/", "--recurse"},
		{"gdbus", "call", "--address", address, "--dest", name, "--object-path", root + "/a", "--method", iface + ".Echo", "hello", "{'k': <true>}"},
	} {
		text, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		out := string(text)
		if err != nil || !strings.Contains(out, map[bool]string{true: iface, false: ""}[argv[0] == "gdbus" && argv[1] == "introspect"]) {
			t.Errorf("%v: %v\n%s", argv, err, out)
		}
	}
}
