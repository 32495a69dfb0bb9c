package dbusapi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// eventually polls a condition of another goroutine.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not so after 20 s", what)
}

func TestWaitAndRaiseTellHowAJobEnded(t *testing.T) {
	b := open(t)
	full := engine.Failure{Kind: engine.QuotaExceeded, Message: "the server is full", Set: true}
	for _, x := range []struct {
		result string
		why    engine.Failure
		want   string // error of Wait with raise, and of Shell.Wait
	}{
		{engine.Success, engine.Failure{}, ""},
		{engine.Partial, full, ""},
		{engine.Skipped, engine.Failure{}, ""},
		{engine.Failed, full, ours + "QuotaExceeded"},
		{engine.Failed, engine.Failure{}, ours + "Internal"},
		{engine.Cancel, engine.Failure{}, ours + "Cancelled"},
	} {
		id := b.host.newJob("sync", engine.Target{Group: "home"}, "")
		b.face.settle()
		waits := make(chan *dbus.Call, 3)
		obj := b.client.Object("", jobPath(id))
		obj.Go(ifJob+".Wait", 0, waits, none)
		b.face.settle()
		b.host.end(id, x.result, x.why)
		body := (<-waits).Body
		if body[0] != x.result || body[1].(map[string]dbus.Variant)["error-name"].Value() != failureName(x.why) {
			t.Errorf("%s: Wait gives %v", x.result, body)
		}
		if x.want == "" {
			if got := b.must(jobPath(id), ifJob+".Wait", opts("raise", true))[0]; got != x.result {
				t.Errorf("%s: Wait with raise gives %v", x.result, got)
			}
			if got := b.must(Root, ifShell+".Wait", fmt.Sprint(id))[0]; got != x.result {
				t.Errorf("%s: Shell.Wait gives %v", x.result, got)
			}
			continue
		}
		b.fails(x.want, jobPath(id), ifJob+".Wait", opts("raise", true))
		b.fails(x.want, Root, ifShell+".Wait", string(jobPath(id)))
	}
}

// spoil puts bytes that are no UTF-8 into every string of a value.
func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(v.String() + "caf\xe9\x00")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			spoil(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 && v.CanSet() && v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	}
}

func spoiled[T any](v T, then func(*T)) *T {
	spoil(reflect.ValueOf(&v).Elem())
	then(&v)
	return &v
}

func TestBytesThatAreNoTextSpoilNoReply(t *testing.T) {
	b := open(t)
	why := engine.Failure{Kind: engine.ServerError, Message: "caf\xe9\x00", Set: true}
	b.host.publish(
		engine.ManagerChanged{State: *spoiled(engine.ManagerState{}, func(*engine.ManagerState) {})},
		engine.AccountChanged{State: spoiled(engine.AccountState{}, func(a *engine.AccountState) {
			a.ID, a.Failure = "acc\xe9", why
			a.Params = engine.Params{"path\xe9": "p\xe9", "kinds": []string{"k\xe9"}}
		})},
		engine.CollectionChanged{State: spoiled(engine.CollectionState{}, func(c *engine.CollectionState) {
			c.ID, c.Account, c.Failure = "acc\xe9/col\xe9", "acc\xe9", why
			c.Meta = engine.Meta{engine.MetaName: "n\xe9", engine.MetaOrder: "\xe9"}
		})},
		engine.GroupChanged{State: spoiled(engine.GroupState{}, func(g *engine.GroupState) { g.ID, g.Failure = "grp\xe9", why })},
		engine.ConflictChanged{State: spoiled(engine.ConflictState{}, func(c *engine.ConflictState) { c.ID = "con\xe9" })},
		engine.JobChanged{State: spoiled(engine.JobState{}, func(j *engine.JobState) {
			j.ID, j.Failure, j.State = 99, why, engine.StateDone
			j.Report.Extra = map[string]any{"x\xe9": "y\xe9"}
		})},
		engine.Attention{Account: "acc\xe9", Failure: why, URL: "h\xe9"},
		engine.ItemsChanged{Collection: "acc\xe9/col\xe9", Added: []string{"i\xe9.ics"}},
		engine.JobItems{Job: 42, Items: []engine.ItemStep{{Action: "a\xe9", Member: "m\xe9/c", Item: "i\xe9"}}},
	)
	b.face.settle()
	for path, iface := range map[dbus.ObjectPath]string{
		Root: ifManager, accountPath("acc\xe9"): ifAccount, collectionPath("acc\xe9/col\xe9"): ifCollection,
		groupPath("grp\xe9"): ifGroup, conflictPath("con\xe9"): ifConflict, jobPath(99): ifJob,
	} {
		b.must(path, "org.freedesktop.DBus.Properties.GetAll", iface)
	}
	b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
	if got := b.get(collectionPath("acc\xe9/col\xe9"), ifCollection, "FolderPath"); got != "caf%E9%00" {
		t.Errorf("FolderPath is %q", got)
	}
	b.must(jobPath(42), ifJob+".Watch", none)
	if got := b.find(ifJob + ".Items").Body[0].([][]any)[0]; !reflect.DeepEqual(got, []any{"a\uFFFD", "m%E9/c", "i%E9"}) {
		t.Errorf("Items carries %q", got)
	}
	if got := b.find(ifCollection + ".ItemsChanged").Body[0].([]string); got[0] != "i%E9.ics" {
		t.Errorf("ItemsChanged carries %q", got)
	}
	b.find(ifManager + ".AttentionRequired")
	b.host.mu.Lock()
	b.host.fail["AddMember"] = engine.Fail(engine.ServerError, "do", "caf\xe9", "said %s", "\xff\x00")
	b.host.mu.Unlock()
	if text := b.fails(ours+"ServerError", Root+"/group/home", ifGroup+".AddMember", "x", none); !strings.Contains(text, "caf\uFFFD") {
		t.Errorf("the error says %q", text)
	}
	// A name that was given out is understood when it comes back.
	b.must(Root+"/group/home", ifGroup+".RemoveMember", "local/caf%E9", none)
	if got := b.host.last(); got != "local/caf\xe9" {
		t.Errorf("the host is asked to remove %q", got)
	}
}

func TestStatusAndListsAreForPeople(t *testing.T) {
	b := open(t)
	b.host.account("work", func(a *engine.AccountState) {
		a.State, a.Failure = "error", engine.Failure{Kind: engine.AuthFailed, Message: "the server refused the password", Set: true}
	})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	b.host.group("home", func(g *engine.GroupState) { g.LastSuccess, g.NextRun = at, at.Add(time.Hour) })
	b.face.settle()
	want := []string{
		"local: idle, last success never, next run 2026-01-02 04:04:05",
		"work: error, last success never, next run 2026-01-02 04:04:05, the server refused the password",
		"home: idle, last success 2026-01-02 03:04:05, next run 2026-01-02 04:04:05",
	}
	if got := b.must(Root, ifShell+".Status", "")[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("Status gives %q, want %q", got, want)
	}
	for kind, want := range map[string][]string{
		"accounts": {"local", "work"}, "collections": {"local/cal", "work/cal"}, "groups": {"home"},
		"jobs": {"42", "43"}, "conflicts": {"c1"}, "plugins": {},
	} {
		if got := b.must(Root, ifShell+".List", kind)[0]; !reflect.DeepEqual(got, want) {
			t.Errorf("List %s gives %q, want %q", kind, got, want)
		}
	}
	if got := b.must(Root, ifShell+".Status", "work/cal")[0].([]string); len(got) != 1 || !strings.HasPrefix(got[0], "work/cal: ok") {
		t.Errorf("Status of a collection gives %q", got)
	}
}

func TestConflictsAreListedWithTheirPathIfTheyHaveOne(t *testing.T) {
	b := open(t)
	list := b.must(Root, ifManager+".ListConflicts", "home", uint32(0), uint32(9), none)[0].([]map[string]dbus.Variant)
	if list[0]["path"].Value() != Root+"/conflict/c1" || list[0]["ItemName"].Value() != "c1.ics" {
		t.Errorf("the first is %v", list[0])
	}
	if _, ok := list[1]["path"]; ok {
		t.Errorf("the second has a path, and no object: %v", list[1])
	}
	problems := b.must(Root, ifManager+".ListProblems", "", uint32(0), uint32(9), none)[0].([]map[string]dbus.Variant)
	if problems[1]["error-name"].Value() != ours+"NeedsConfirmation" || problems[0]["error-name"].Value() != ours+"InvalidItem" {
		t.Errorf("got %v", problems)
	}
}
