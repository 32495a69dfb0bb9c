package tree_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
)

func TestCallsOfOneSenderKeepTheirOrder(t *testing.T) {
	const calls = 20_000
	tr := newTree(t)
	service, far := bustest.Raw(t, conn.Options{Handler: tr})
	tr.Bind(service)
	client := conn.New(far, true, conn.Options{})
	t.Cleanup(client.Close)
	t.Cleanup(tr.Close)
	var got []uint32 // written by one call at a time, or the race detector tells
	i := newItem("x")
	i.note = func(_ tree.Call, n uint32) error { got = append(got, n); return nil }
	i.set = func(_ tree.Call, v dbus.Variant) error {
		var n uint32
		_, err := fmt.Sscan(v.Value().(string), &n)
		got = append(got, n)
		return err
	}
	put(t, tr, root+"/a", i)
	for n := range uint32(calls) {
		m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoReplyExpected, Body: []any{n}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root + "/a")), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant("Note"),
		}}
		if n%2 == 0 {
			m.Headers[dbus.FieldInterface], m.Headers[dbus.FieldMember] = dbus.MakeVariant(std+"Properties"), dbus.MakeVariant("Set")
			m.Body = []any{iface, "Name", dbus.MakeVariant(fmt.Sprint(n))}
		}
		frame, err := client.Encode(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		client.Write(frame, nil, nil)
	}
	if _, err := client.Call(t.Context(), "", root+"/a", iface+".Finish"); err != nil {
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

func TestSendersDoNotWaitForEachOther(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	i := newItem("x")
	release := make(chan struct{})
	i.note = func(c tree.Call, n uint32) error {
		if c.Sender() == ":1.1" {
			<-release
		}
		return nil
	}
	put(t, tr, root+"/a", i)
	slow := as(client, ":1.1", 0, iface+".Note", uint32(1))
	behind := as(client, ":1.1", 0, iface+".Note", uint32(2))
	if c := wait(t, as(client, ":1.2", 0, iface+".Note", uint32(3))); c.Err != nil {
		t.Error(c.Err)
	}
	select {
	case <-behind.Done:
		t.Error("the second call overtook the first")
	default:
	}
	close(release)
	wait(t, slow)
	wait(t, behind)
}

func TestAWaitingCallLetsItsSenderGoOn(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a", newItem("x"))
	waiting := as(client, ":1.1", 0, iface+".Wait")
	if c := wait(t, as(client, ":1.1", 0, iface+".Finish")); c.Err != nil {
		t.Error(c.Err)
	}
	if c := wait(t, waiting); c.Err != nil || c.Body[0] != "done" {
		t.Error(c.Body, c.Err)
	}
	if err := tr.Drain(t.Context()); err != nil || tr.InFlight() != 0 {
		t.Error(err, tr.InFlight())
	}
}

func TestOneSenderMayHaveSixtyFourCallsWaiting(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a", newItem("x"))
	var waiting []*dbus.Call
	for range 64 {
		waiting = append(waiting, as(client, ":1.1", 0, iface+".Wait"))
	}
	if e, ok := errors.AsType[dbus.Error](wait(t, as(client, ":1.1", 0, iface+".Wait")).Err); !ok || e.Name != std+"Error.LimitsExceeded" {
		t.Error("the 65th: ", e)
	}
	other := as(client, ":1.2", 0, iface+".Wait")
	wait(t, as(client, ":1.2", 0, iface+".Finish"))
	for _, c := range append(waiting, other) {
		if wait(t, c).Err != nil {
			t.Error(c.Err)
		}
	}
	if err := tr.Drop(root + "/a"); err != nil {
		t.Fatal(err)
	}
	put(t, tr, root+"/a", newItem("y"))
	again := as(client, ":1.1", 0, iface+".Wait") // they were given back
	wait(t, as(client, ":1.1", 0, iface+".Finish"))
	if wait(t, again).Err != nil {
		t.Error(again.Err)
	}
}

func TestWaitingEndsWhenTheCallerIsGone(t *testing.T) {
	tr := newTree(t)
	left := make(chan func(), 1)
	stopped := make(chan string, 1)
	tr.Gone = func(sender string, gone func()) (func(), error) {
		if sender == ":1.9" {
			return nil, dbus.NewError("org.example.Error.Many", []any{"too many"})
		}
		left <- gone
		return func() { stopped <- sender }, nil
	}
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a", newItem("x"))
	waiting := as(client, ":1.1", 0, iface+".Wait")
	(<-left)()
	if c := wait(t, waiting); c.Err == nil {
		t.Error("it goes on")
	}
	if got := <-stopped; got != ":1.1" {
		t.Error(got)
	}
	if c := wait(t, as(client, ":1.9", 0, iface+".Wait")); c.Err == nil || c.Err.Error() != "too many" {
		t.Error(c.Err)
	}
	if err := tr.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseAnswersEveryCall(t *testing.T) {
	tr := newTree(t)
	tr.Errors = func(err error) *dbus.Error {
		if errors.Is(err, tree.ErrStopped) || errors.Is(err, errOdd) {
			return dbus.NewError("org.example.Error.Cancelled", []any{"over"})
		}
		return nil
	}
	client := bustest.Serve(t, tr)
	i := newItem("x")
	running := make(chan struct{})
	i.wait = func(c tree.Call) (string, error) {
		if err := c.Detach(); err != nil {
			return "", err
		}
		close(running)
		<-c.Context().Done()
		return "", errOdd
	}
	put(t, tr, root+"/a", i)
	waiting := as(client, ":1.1", 0, iface+".Wait")
	<-running
	tr.Close()
	for _, c := range []*dbus.Call{waiting, as(client, ":1.1", 0, iface+".Finish")} {
		if e, ok := errors.AsType[dbus.Error](wait(t, c).Err); !ok || e.Name != "org.example.Error.Cancelled" {
			t.Error(c.Method, c.Err)
		}
	}
}
