package dbusapi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func TestAPendingWaitIsAnsweredWhenTheDaemonStops(t *testing.T) {
	b := open(t)
	wait := b.client.Object("", Root+"/job/42").Go(ifJob+".Wait", 0, nil, none)
	eventually(t, "the wait has come", func() bool { return b.face.InFlight() == 1 })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	<-wait.Done
	if e, ok := errors.AsType[dbus.Error](wait.Err); !ok || e.Name != ours+"Cancelled" {
		t.Errorf("got %v", wait.Err)
	}
	want := []string{"request org.davbus.Sync1", "release org.davbus.Sync1", "finish", "flush"}
	if got := b.bus.said(); !slices.Equal(got, want) {
		t.Errorf("the bus was asked %q, want %q", got, want)
	}
}

func TestAJobThatEndsWhileTheDaemonStopsAnswersItsWaits(t *testing.T) {
	h := newFakeHost()
	id := h.newJob("sync", engine.Target{}, "")
	tr, _ := NewTree()
	f, err := New(tr, h, &fakeLog{}, newFakeCallers())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	err = f.serve(ctx, newFakeBus(), func() {
		go func() {
			_, _, err := f.jobWait(tree.Call{}, id, nil)
			waited <- err
		}()
		cancel()
	}, func() { h.end(id, engine.Success, engine.Failure{}) })
	if err := errors.Join(err, <-waited); err != nil {
		t.Error(err)
	}
}

func TestServeRefusesToRunBesideAnother(t *testing.T) {
	tr, _ := NewTree()
	f, err := New(tr, newFakeHost(), &fakeLog{}, newFakeCallers())
	if err != nil {
		t.Fatal(err)
	}
	bus := newFakeBus()
	bus.taken = true
	err = f.serve(t.Context(), bus, func() { t.Error("ready without the name") }, func() { bus.note("finish") })
	if err == nil || !strings.Contains(err.Error(), "another davbusd serves this session already") {
		t.Error(err)
	}
	if got := bus.said(); slices.Contains(got, "release org.davbus.Sync1") || !slices.Contains(got, "finish") {
		t.Errorf("the bus was asked %q", got)
	}
}

func TestServeEndsWhenTheBusOrTheNameIsLost(t *testing.T) {
	for _, lose := range []func(*fakeBus){
		func(b *fakeBus) { close(b.done) },
		func(b *fakeBus) {
			b.tell(&dbus.Signal{Name: "org.freedesktop.DBus.NameLost", Body: []any{BusName}})
		},
	} {
		tr, _ := NewTree()
		f, err := New(tr, newFakeHost(), &fakeLog{}, newFakeCallers())
		if err != nil {
			t.Fatal(err)
		}
		bus := newFakeBus()
		finished := false
		err = f.serve(t.Context(), bus, func() { lose(bus) }, func() { finished = true })
		if err == nil || !finished {
			t.Errorf("got %v, finished %v", err, finished)
		}
	}
}

func TestEverythingIsThereBeforeTheNameIsAskedFor(t *testing.T) {
	tr, _ := NewTree()
	f, err := New(tr, newFakeHost(), &fakeLog{}, newFakeCallers())
	if err != nil {
		t.Fatal(err)
	}
	for path, ifaces := range objectsOf {
		if path != LogPath && path != Root && !strings.HasPrefix(string(path), jobPrefix) && f.pub.objects[path] == nil && f.plugins.objects["todo"].path != path {
			t.Errorf("%s with %v is not there", path, ifaces)
		}
	}
	if len(f.view.accounts) != 2 {
		t.Errorf("%d accounts", len(f.view.accounts))
	}
	if err := f.serve(canceled(), newFakeBus(), func() {}, func() {}); err != nil {
		t.Error(err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCodeThatDiffersFromTheContractIsNotServed(t *testing.T) {
	tr, err := tree.New(Root, data.Interfaces)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Put(Root, tree.Interface{Name: ifControl, Methods: map[string]any{"Quit": func() error { return nil }}}); err == nil {
		t.Error("an interface that lacks half of its members is served")
	}
}

func TestQuitIsAnsweredFirst(t *testing.T) {
	b := open(t)
	b.must(Root, ifControl+".Quit", opts("finish-jobs", false))
	if finish := <-b.host.quit; finish {
		t.Error("finish-jobs was lost")
	}
}

func TestLastCallIsKept(t *testing.T) {
	b := open(t)
	if !b.face.LastCall().IsZero() {
		t.Error("there was a call before the first")
	}
	before := time.Now()
	b.get(Root, ifManager, "Version")
	if at := b.face.LastCall(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("the last call was at %v", at)
	}
}

// An idle daemon does not leave anybody who counts on it.
func TestWhoHoldsSomethingIsAwaitedUntilItIsGivenBack(t *testing.T) {
	b := open(t)
	socket := b.face.Join("shell", false)
	defer socket.Leave()
	job := Root + "/job/42"
	for name, hold := range map[string]func() (giveBack func()){
		"an agent": func() func() {
			b.must(Root, ifManager+".RegisterAgent", dbus.ObjectPath("/agent"), none)
			return func() { b.must(Root, ifManager+".UnregisterAgent", dbus.ObjectPath("/agent")) }
		},
		"a watch": func() func() {
			b.must(job, ifJob+".Watch", none)
			return func() { b.must(job, ifJob+".Unwatch") }
		},
		"a plugin": func() func() {
			b.must(Root, ifPluginManager+".Register", "p", none)
			return func() { b.must(Root, ifPluginManager+".Unregister", "p") }
		},
		"an inhibitor": func() func() {
			f := fdOf(t, b.must(Root, ifManager+".Inhibit", "backup", none))
			return func() { f.Close() }
		},
		"a subscription": func() func() {
			_, stop, err := socket.Subscribe(func(Event) {})
			if err != nil {
				t.Fatal(err)
			}
			return stop
		},
	} {
		if b.face.Awaited() {
			t.Fatalf("awaited before %s", name)
		}
		giveBack := hold()
		if !b.face.Awaited() {
			t.Errorf("%s is left alone", name)
		}
		giveBack()
		eventually(t, "nobody counts on us after "+name, func() bool { return !b.face.Awaited() })
	}
	// What was for a job that has ended holds nobody.
	b.must(Root, ifManager+".Sync", "local", opts("bind-to-caller", true))
	b.endAll()
	if b.face.Awaited() {
		t.Error("a job that has ended is awaited")
	}
}

// Whoever calls between the decision to leave and the last moment is answered:
// while the name is given up, and while the last jobs end after that.
func TestCallsThatComeWhileTheDaemonLeavesAreAnswered(t *testing.T) {
	b := open(t)
	var answered []string
	b.bus.noted = func(now string) {
		if now != "flush" {
			if _, err := b.call(Root, "org.freedesktop.DBus.Properties.Get", ifManager, "Version"); err != nil {
				t.Errorf("%s: %v", now, err)
			}
			answered = append(answered, now)
		}
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if want := []string{"release " + BusName, "finish"}; !slices.Equal(answered, want) {
		t.Errorf("answered during %q, want %q", answered, want)
	}
}
