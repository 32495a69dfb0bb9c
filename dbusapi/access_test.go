package dbusapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// openToSandboxes are the methods that a sandboxed program may call, written
// down a second time on purpose.
var openToSandboxes = strings.Fields(`
	Manager.Sync Manager.GetParameters Manager.Lookup Manager.ListConflicts Manager.ListProblems Manager.GetHistory
	Shell.Sync Shell.SyncAndWait Shell.Wait Shell.Cancel Shell.List Shell.Status
	Control.GetStatistics PluginManager.ListActivatable Introducer.ListOffers
	Account.Sync Account.Discover
	Collection.Sync Collection.ListVersions
	Group.Sync
	Job.Cancel Job.Wait Job.GetReport Job.Watch Job.Unwatch`)

func TestASandboxedCallerMayReadAndSyncAndNothingElse(t *testing.T) {
	fd := secretFile(t)
	b, seen := open(t), map[string]bool{}
	b.must(Root, ifIntroducer+".Register", "desk", peerPath, opts("public", true)) // that takes nobody from a sandbox
	for _, x := range tries(fd, socketFile(t)) {
		if x.kind == engine.Disabled || seen[x.method] || x.method == "Shell.SyncAndWait" && x.want == "" {
			continue
		}
		seen[x.method] = true
		// Each another program: the limit of six jobs a minute is not what is tried here.
		b.callers.be(Caller{Name: ":1.9", Initiator: "org.example." + x.method, Sandboxed: true})
		full := BusName + "." + x.method
		_, err := b.call(served()[BusName+"."+strings.Split(x.method, ".")[0]], full, x.args...)
		e, _ := err.(dbus.Error)
		if refused := e.Name == denied; refused == slices.Contains(openToSandboxes, x.method) && !strings.HasSuffix(x.method, ".Cancel") {
			t.Errorf("%s from a sandbox: %v", x.method, err)
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d methods were tried", len(seen))
	}
}

func TestASandboxedCallerMayReadPropertiesButNotSetThem(t *testing.T) {
	b := open(t)
	b.callers.be(Caller{Name: ":1.9", Sandboxed: true})
	path := Root + "/account/work"
	b.get(path, ifAccount, "DisplayName")
	b.must(path, "org.freedesktop.DBus.Properties.GetAll", ifAccount)
	b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
	b.must(Root, "org.freedesktop.DBus.Introspectable.Introspect")
	b.must(Root, "org.freedesktop.DBus.Peer.Ping")
	b.fails(denied, path, "org.freedesktop.DBus.Properties.Set", ifAccount, "DisplayName", dbus.MakeVariant("x"))
	if got := b.get(path, ifAccount, "DisplayName"); got != "work" {
		t.Errorf("DisplayName is %v", got)
	}
}

func TestASandboxedCallerStopsItsOwnJobsOnly(t *testing.T) {
	b := open(t)
	b.callers.be(Caller{Name: ":1.9", Initiator: "org.example.Box", Sandboxed: true})
	own := numberOf(b.must(Root, ifManager+".Sync", "local", none)[0])
	b.fails(denied, Root+"/job/42", ifJob+".Cancel", none)
	b.fails(denied, Root, ifShell+".Cancel", "42")
	b.fails(denied, Root, ifShell+".Cancel", "home")
	b.must(jobPath(own), ifJob+".Cancel", none)
	if got := b.stateOf(own); got != engine.StateDone {
		t.Errorf("its own job is %s", got)
	}
	if got := b.stateOf(42); got == engine.StateDone {
		t.Error("somebody else's job has ended")
	}
	// Who is not known stops nothing, not even what nobody is known to have started.
	if err := mayCancel(Caller{Sandboxed: true}, &engine.JobState{}); !engine.IsKind(err, engine.Denied) {
		t.Error(err)
	}
}

func TestParametersThatRunAProgramAreRefusedFromASandbox(t *testing.T) {
	specs, _ := newFakeHost().Parameters("dav")
	for _, in := range []dict{opts("password-command", []string{"cat"}), opts("via", "exec:cat")} {
		if _, err := readParams("add", "dav", specs, in, Caller{Sandboxed: true}); !engine.IsKind(err, engine.Denied) {
			t.Errorf("%v: %v", in, err)
		}
		if _, err := readParams("add", "dav", specs, in, Caller{}); err != nil {
			t.Errorf("%v from outside: %v", in, err)
		}
	}
}

func TestAnApplicationThatTheUserNamedMayReadItemsAndNothingMore(t *testing.T) {
	b := open(t)
	b.face.MayRead = func(app string) bool { return app == "org.example.Calendar" }
	path := Root + "/conflict/c1"
	for _, x := range []struct {
		who Caller
		ok  bool
	}{
		{Caller{Name: ":1.9", Initiator: "org.example.Calendar", App: "org.example.Calendar", Sandboxed: true}, true},
		{Caller{Name: ":1.9", Initiator: "org.example.Other", App: "org.example.Other", Sandboxed: true}, false},
		{Caller{Name: ":1.9", Initiator: "org.example.Calendar", Sandboxed: true}, false}, // a program that is only called so
		{Caller{Name: ":1.9", Sandboxed: true}, false},
	} {
		b.callers.be(x.who)
		if _, err := b.call(path, ifConflict+".GetVersions", none); (err == nil) != x.ok {
			t.Errorf("%+v: %v", x.who, err)
		}
		b.fails(denied, Root, ifManager+".Pause", uint32(0), none)
		b.fails(denied, Root, ifManager+".RegisterAgent", dbus.ObjectPath("/a"), none)
	}
}
