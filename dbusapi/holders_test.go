package dbusapi

import (
	"os"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

func (b *bench) stateOf(id engine.JobID) string {
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	return b.host.state.Jobs[id].State
}

func numberOf(path any) engine.JobID {
	id, _ := jobNamed(string(path.(dbus.ObjectPath)))
	return id
}

func TestABoundJobEndsWithItsCaller(t *testing.T) {
	b := open(t)
	bound := numberOf(b.must(Root, ifManager+".Sync", "local", opts("bind-to-caller", true))[0])
	free := numberOf(b.must(Root, ifManager+".Sync", "work/cal", none)[0])
	others := numberOf(b.must(Root, ifManager+".Sync", "home", opts("bind-to-caller", true))[0])
	if others != 42 {
		t.Fatalf("Sync of home gives job %d, want to join 42", others)
	}
	b.callers.leave()
	if got := b.stateOf(bound); got != engine.StateDone {
		t.Errorf("the bound job is %s after its caller left", got)
	}
	for _, id := range []engine.JobID{free, others} {
		if got := b.stateOf(id); got == engine.StateDone {
			t.Errorf("job %d is %s, though it was not the caller's to end", id, got)
		}
	}
}

func TestAJobThatSomebodyElseJoinedDoesNotEndWithItsFirstCaller(t *testing.T) {
	b := open(t)
	id := numberOf(b.must(Root, ifManager+".Sync", "local", opts("bind-to-caller", true))[0])
	b.callers.be(Caller{Name: ":1.8", Initiator: "other"})
	if got := numberOf(b.must(Root, ifManager+".Sync", "local", none)[0]); got != id {
		t.Fatalf("job %d instead of %d", got, id)
	}
	b.callers.leave()
	if got := b.stateOf(id); got == engine.StateDone {
		t.Error("it ended")
	}
	if n := b.callers.followed(); n != 0 {
		t.Errorf("%d callers are still followed", n)
	}
}

func TestABoundPauseEndsWithItsCallerAndNoOtherDoes(t *testing.T) {
	b := open(t)
	state := func() any { return b.get(Root, ifManager, "State") }
	b.must(Root, ifManager+".Pause", uint32(0), opts("bind-to-caller", true))
	if got := state(); got != "paused" {
		t.Fatalf("State is %v", got)
	}
	b.callers.leave()
	eventually(t, "the pause has ended", func() bool { return state() == "idle" })
	b.must(Root, ifManager+".Pause", uint32(0), opts("bind-to-caller", true))
	b.must(Root, ifManager+".Pause", uint32(60), none)
	b.callers.leave()
	if got := state(); got != "paused" {
		t.Errorf("State is %v: the second pause ended with the caller of the first", got)
	}
}

func fdOf(t *testing.T, body []any) *os.File {
	t.Helper()
	f := os.NewFile(uintptr(body[0].(dbus.UnixFD)), "got")
	t.Cleanup(func() { f.Close() })
	return f
}

func TestAnInhibitorHoldsUntilAllCopiesOfItsDescriptorAreClosed(t *testing.T) {
	b := open(t)
	f := fdOf(t, b.must(Root, ifManager+".Inhibit", "backup", none))
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	copied := os.NewFile(uintptr(fd), "copy")
	f.Close()
	b.must(Root, ifManager+".Inhibit", "other", none)
	if n := b.host.inhibitors(); n != 2 {
		t.Errorf("%d inhibitors hold, want 2: a copy is open", n)
	}
	copied.Close()
	eventually(t, "one is released", func() bool { return b.host.inhibitors() == 1 })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if n := b.host.inhibitors(); n != 0 {
		t.Errorf("%d inhibitors are left after the end", n)
	}
}

func TestAWatchEndsWithItsCaller(t *testing.T) {
	b := open(t)
	b.must(Root+"/job/42", ifJob+".Watch", none)
	if n := b.face.pub.watches.Load(); n != 1 {
		t.Fatalf("%d watches", n)
	}
	b.must(Root+"/job/42", ifJob+".Watch", opts("interval-ms", uint32(200))) // once more is the same one
	b.callers.leave()
	if n := b.face.pub.watches.Load(); n != 0 {
		t.Errorf("%d watches are left", n)
	}
	b.face.quota.mu.Lock()
	defer b.face.quota.mu.Unlock()
	if len(b.face.quota.held) != 0 {
		t.Errorf("still counted: %v", b.face.quota.held)
	}
}

func TestNothingIsHeldForCallersAfterTheirThingsHaveEnded(t *testing.T) {
	b := open(t)
	fdOf(t, b.must(Root, ifManager+".Inhibit", "backup", none)).Close()
	b.must(Root+"/job/42", ifJob+".Watch", none)
	b.must(Root+"/job/42", ifJob+".Unwatch")
	fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", none)).Close()
	b.must(Root, ifManager+".Sync", "local", opts("bind-to-caller", true))
	b.endAll()
	b.must(Root, ifManager+".Sync", "local", none) // this one sweeps
	eventually(t, "nothing is held", func() bool {
		b.face.quota.mu.Lock()
		defer b.face.quota.mu.Unlock()
		b.host.publish(progressOf(42, 1)) // a write tells that the reader is gone
		return len(b.face.quota.held) == 0
	})
	if n := b.callers.followed(); n != 0 {
		t.Errorf("%d callers are still followed", n)
	}
}

func TestWhatCannotBeBoundToItsCallerIsUndone(t *testing.T) {
	b := open(t)
	b.callers.mu.Lock()
	b.callers.fail = engine.Fail(engine.Cancelled, "follow", ":1.7", "it has left the bus")
	b.callers.mu.Unlock()
	b.fails(ours+"Cancelled", Root, ifManager+".Sync", "local", opts("bind-to-caller", true))
	if id := b.face.view.lastJob(); id != 44 || b.stateOf(id) != engine.StateDone {
		t.Errorf("job %d is %s", id, b.stateOf(id))
	}
	b.fails(ours+"Cancelled", Root, ifManager+".Pause", uint32(0), opts("bind-to-caller", true))
	if got := b.get(Root, ifManager, "State"); got != "idle" {
		t.Errorf("State is %v", got)
	}
	b.fails(ours+"Cancelled", Root+"/job/42", ifJob+".Watch", none)
	b.must(Root, ifManager+".Sync", "home", opts("bind-to-caller", true)) // somebody else's job: it is not bound
	b.face.quota.mu.Lock()
	defer b.face.quota.mu.Unlock()
	if len(b.face.quota.held) != 0 {
		t.Errorf("still counted: %v", b.face.quota.held)
	}
}

// Readers of the tree while it changes all the time: none gets an error, and
// nothing is left.
func TestTheTreeIsReadWhileThousandsOfJobsComeAndGo(t *testing.T) {
	b := open(t)
	b.client.RemoveSignal(b.signals)
	const n = 1000
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range n {
			id := b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
			b.host.end(id, engine.Success, engine.Failure{})
			b.host.publish(engine.JobGone{ID: id})
		}
		b.face.settle()
	}()
	reads := 0
	for going := true; going; reads++ {
		select {
		case <-over:
			going = false
		default:
		}
		b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
		b.must(Root+"/job", "org.freedesktop.DBus.Introspectable.Introspect")
	}
	all := b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")[0].(map[dbus.ObjectPath]map[string]map[string]dbus.Variant)
	if len(all) != 9 || reads < 5 {
		t.Errorf("%d objects are left after %d reads, want 9", len(all), reads)
	}
}
