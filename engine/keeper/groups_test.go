package keeper

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestAGroupIsCheckedAndNamesWhatIsWrong(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, nil)
		with := func(edit func(*engine.GroupConfig)) engine.GroupConfig {
			g := groupOf("g", "a", "b")
			edit(&g)
			return g
		}
		for _, c := range []struct {
			cfg  engine.GroupConfig
			kind engine.Kind
			part string
		}{
			{groupOf("g", "a"), engine.Invalid, "two members or more"},
			{groupOf("g", "a", "nobody"), engine.NotFound, `no account "nobody"`},
			{groupOf("g", "a", "a"), engine.Invalid, "twice"},
			{groupOf("g", "a", "b/cal"), engine.Invalid, "all accounts or all collections"},
			{groupOf("g", "a/", "b/cal"), engine.Invalid, "no member"},
			{groupOf("a", "a", "b"), engine.AlreadyExists, "an account has this id"},
			{groupOf("?", "a", "b"), engine.Invalid, "a letter"},
			{with(func(g *engine.GroupConfig) { g.Direction = "from:c" }), engine.Invalid, "from:MEMBER"},
			{with(func(g *engine.GroupConfig) { g.Direction = "up" }), engine.Invalid, "two-way or"},
			{with(func(g *engine.GroupConfig) { g.ConflictPolicy = "coin" }), engine.Invalid, "keep-both"},
			{with(func(g *engine.GroupConfig) { g.ConflictPolicy = "member:c" }), engine.Invalid, "member:ID"},
			{with(func(g *engine.GroupConfig) { g.ConflictPolicy = "command" }), engine.Invalid, "conflict-command"},
			{with(func(g *engine.GroupConfig) { g.CreateMissing = []string{"c"} }), engine.Invalid, "no member"},
			{with(func(g *engine.GroupConfig) { g.ReadOnlyPolicy = "x" }), engine.Invalid, "ignore or revert"},
			{with(func(g *engine.GroupConfig) { g.HoldPercent = 101 }), engine.Invalid, "at most 100"},
		} {
			_, err := r.k.AddGroup(c.cfg, false)
			r.refuse(err, c.kind, c.part)
		}
		if r.store.names() != "" {
			t.Errorf("saved %s", r.store.names())
		}
		for i, g := range []engine.GroupConfig{
			groupOf("", "a/x", "b/y"), groupOf("", "a/x", "a/y"),
			with(func(g *engine.GroupConfig) { g.ID, g.ConflictPolicy, g.Direction = "", "member:a", "from:b" }),
			with(func(g *engine.GroupConfig) { g.ID, g.HoldPercent, g.CreateMissing = "", 100, []string{"a"} }),
		} {
			if _, err := r.k.AddGroup(g, false); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

func TestACollectionThatAGroupNamesHasAnObjectFoundOrNot(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("a", "x").Put("1", event("1", "one"))
		r.collection("b", "other")
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, nil)
		g := groupOf("g", "a/x", "b/y")
		if _, err := r.k.AddGroup(g, false); err != nil {
			t.Fatal(err)
		}
		for _, id := range []engine.MemberID{"a/x", "b/y"} {
			c := r.k.Snapshot().Collections[id]
			if c == nil || c.Collection.ID != memberCollection(string(id)) || !slices.Equal(c.Groups, []engine.GroupID{"g"}) {
				t.Errorf("%s: %+v", id, c)
			}
		}
		if tgt, err := r.k.Lookup("b/y"); err != nil || tgt.Collection != "b/y" {
			t.Errorf("%+v, %v", tgt, err)
		}
		st := r.sync("b/y", engine.Failed)
		if st.Failure.Kind != engine.NotFound {
			t.Errorf("%+v", st.Failure)
		}
		if _, err := r.k.UpdateGroup("g", map[string]any{"create-missing": []string{"b/y"}}, nil); err != nil {
			t.Fatal(err)
		}
		r.sync("g", engine.Success)
		r.want(r.sources["b"].Storage("y"), "one")
		if err := r.k.RemoveGroup("g"); err != nil {
			t.Fatal(err)
		}
		if c := r.k.Snapshot().Collections["a/x"]; c == nil || len(c.Groups) != 0 {
			t.Errorf("after the group: %+v", c)
		}
		if len(r.sources["b"].Storage("y").Texts()) != 1 {
			t.Error("removing a group took items away")
		}
	})
}

func TestMembersComeAndGoAndTwoRemain(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		c := r.collection("c", "cal")
		if _, err := r.k.AddAccount(memoryAccount("c"), false); err != nil {
			t.Fatal(err)
		}
		a.Put("1", event("1", "one"))
		c.Put("same", event("1", "one"))
		r.sync("g", engine.Success)
		r.refuse(r.k.RemoveMember("g", "b"), engine.Invalid, "two members must remain")
		r.refuse(r.k.RemoveMember("g", "c"), engine.NotFound, "no member")
		r.refuse(r.k.AddMember("g", "nobody"), engine.NotFound, "nobody")
		if err := r.k.AddMember("g", "c"); err != nil {
			t.Fatal(err)
		}
		c.ResetCounts()
		r.sync("g", engine.Success)
		if n := c.Counts().Writes(); n != 0 {
			t.Errorf("an equal item was copied: %d writes", n)
		}
		if _, err := r.k.UpdateGroup("g", map[string]any{"direction": "from:a"}, nil); err != nil {
			t.Fatal(err)
		}
		r.refuse(r.k.RemoveMember("g", "a"), engine.Invalid, "direction")
		if err := r.k.RemoveMember("g", "b"); err != nil {
			t.Fatal(err)
		}
		a.Put("2", event("2", "two"))
		r.sync("g", engine.Success)
		r.want(c, "one two")
		r.want(b, "one")
	})
}

func TestUpdateOfAGroupKnowsItsKeysAndTypes(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		if _, err := r.k.UpdateGroup("g", map[string]any{
			"direction": "from:a", "conflict-policy": "command", "conflict-command": []string{"x"}, "interval-sec": uint32(7), "create-missing": []string{"a"},
			"read-only-policy": "revert", "hold-items": uint32(1), "hold-percent": uint32(2), "enabled": false,
		}, nil); err != nil {
			t.Fatal(err)
		}
		g := r.group("g")
		if g.Direction != "from:a" || g.ConflictPolicy != "command" || g.IntervalSec != 7 || g.HoldItems != 1 || g.HoldPercent != 2 || g.Enabled || g.State != "disabled" || g.ReadOnlyPolicy != "revert" {
			t.Errorf("%+v", g)
		}
		if _, err := r.k.UpdateGroup("g", nil, groupKeys()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%+v", r.group("g").GroupConfig); got != fmt.Sprintf("%+v", groupOf("g", "a", "b")) {
			t.Errorf("after unsetting everything: %s", got)
		}
		for _, set := range []map[string]any{{"interval": uint32(1)}, {"interval-sec": "1"}, {"members": []string{"a", "b"}}, {"enabled": "true"}} {
			_, err := r.k.UpdateGroup("g", set, nil)
			r.refuse(err, engine.Invalid, "")
		}
		_, err := r.k.UpdateGroup("x", nil, nil)
		r.refuse(err, engine.NotFound, "x")
	})
}

// conflicted is a pair with one conflict.
func (r *rig) conflicted() (a, b *memory.Storage, id string) {
	r.Helper()
	a, b = r.pair()
	a.Put("1", event("1", "left"))
	b.Put("1", event("1", "right"))
	r.sync("g", engine.Success)
	for id = range r.k.Snapshot().Conflicts {
	}
	if len(r.k.Snapshot().Conflicts) != 1 {
		r.Fatalf("conflicts: %v", r.k.Snapshot().Conflicts)
	}
	return a, b, id
}

func TestAConflictIsShownAndResolved(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b, id := r.conflicted()
		c := r.k.Snapshot().Conflicts[id]
		if st := r.group("g"); st.State != "conflicts" || st.ConflictCount != 1 || c.Group != "g" || c.State != "open" || r.k.Snapshot().Manager.ConflictCount != 1 {
			t.Errorf("group %s, conflict %+v", st.State, c)
		}
		list, err := r.k.Conflicts("a/cal", 0, 10)
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Errorf("%v, %v", list, err)
		}
		texts, err := r.k.ConflictTexts(id)
		if err != nil || len(texts.Members) != 2 {
			t.Fatalf("%+v, %v", texts, err)
		}
		for _, bad := range []string{"", "mine", "member:c", "member:"} {
			_, err := r.k.Resolve(id, engine.Resolution{Choice: bad}, "me")
			r.refuse(err, engine.Invalid, "")
		}
		_, err = r.k.Resolve("nothing", engine.Resolution{Choice: "skip"}, "me")
		r.refuse(err, engine.NotFound, "nothing")
		_, err = r.k.Resolve(id, engine.Resolution{Choice: "member:a", Revision: "old"}, "me")
		r.refuse(err, engine.Changed, "look at it again")
		hold := r.hold("a")
		job, err := r.k.Resolve(id, engine.Resolution{Choice: "member:b", Revision: texts.Revision}, "me")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := r.k.Snapshot().Conflicts[id].State; st != "resolving" {
			t.Errorf("while it runs it is %s", st)
		}
		hold.open()
		st := r.wait(job, engine.Success)
		if st.Kind != "resolve" || len(r.k.Snapshot().Conflicts) != 0 || r.group("g").State != "idle" {
			t.Errorf("%+v, conflicts %v", st, r.k.Snapshot().Conflicts)
		}
		r.want(a, "right")
		r.want(b, "right")
	})
}

// held is a pair in which 20 items were deleted at a and nowhere else.
func (r *rig) held() (a, b *memory.Storage) {
	r.Helper()
	a, b = r.pair()
	for i := range 25 {
		a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
	}
	r.sync("g", engine.Success)
	for i := range 20 {
		a.Remove(engine.Ref(fmt.Sprint(i)))
	}
	st := r.sync("g", engine.Partial)
	if st.Failure.Kind != engine.NeedsConfirmation || st.Report.Held != 20 || len(b.Texts()) != 25 {
		r.Fatalf("%+v, %+v, %d left", st.Failure, st.Report.Counts, len(b.Texts()))
	}
	return a, b
}

func TestHeldDeletionsWaitForAPerson(t *testing.T) {
	for _, proceed := range []bool{true, false} {
		t.Run(fmt.Sprint("proceed ", proceed), func(t *testing.T) {
			bubble(t, func(r *rig) {
				a, b := r.held()
				st := r.group("g")
				if st.State != "confirm-deletions" || st.HeldDeletions != 20 || st.LastSuccess.IsZero() || st.Failure.Set {
					t.Errorf("%s, %d held, %+v", st.State, st.HeldDeletions, st.Failure)
				}
				if asked := seenEvents[engine.Attention](r); len(asked) != 1 || asked[0].Group != "g" || asked[0].Failure.Kind != engine.NeedsConfirmation {
					t.Errorf("attention: %+v", asked)
				}
				list, err := r.k.Problems("g", true, 0, 500)
				if err != nil || len(list) != 20 || list[0].Failure.Kind != engine.NeedsConfirmation {
					t.Errorf("%d problems, %v", len(list), err)
				}
				wrong, right := uint32(19), uint32(20)
				_, err = r.k.ConfirmDeletions("g", proceed, "", &wrong, "me")
				r.refuse(err, engine.Changed, "20 deletions are held and 19 were expected")
				job, err := r.k.ConfirmDeletions("g", proceed, "", &right, "me")
				if err != nil {
					t.Fatal(err)
				}
				r.wait(job, engine.Success)
				want := map[bool]int{true: 5, false: 25}[proceed]
				if len(a.Texts()) != want || len(b.Texts()) != want || r.group("g").HeldDeletions != 0 || r.k.Snapshot().Manager.AttentionNeeded {
					t.Errorf("%d and %d items, want %d; %d held", len(a.Texts()), len(b.Texts()), want, r.group("g").HeldDeletions)
				}
			})
		})
	}
}

func TestAYesIsForWhatWasHeldWhenItWasSaid(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.held()
		hold := r.hold("a")
		running, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		expect := uint32(20)
		yes, err := r.k.ConfirmDeletions("g", true, "", &expect, "me")
		if err != nil {
			t.Fatal(err)
		}
		a.Remove("24") // the run before it will hold one more
		hold.open()
		r.wait(running, engine.Partial)
		st := r.wait(yes, engine.Failed)
		if st.Failure.Kind != engine.Changed || len(b.Texts()) != 25 {
			t.Errorf("%+v, %d items left", st.Failure, len(b.Texts()))
		}
	})
}

func TestAMoveBetweenCalendarsArrivesWhereUIDsAreUnique(t *testing.T) {
	bubble(t, func(r *rig) {
		var all []*memory.Storage
		for _, id := range []engine.AccountID{"a", "b"} {
			for _, name := range []string{"x", "y"} {
				all = append(all, r.collection(id, name))
			}
		}
		ax, ay, bx, by := all[0], all[1], all[2], all[3]
		// The server of b has each UID once in the whole account.
		refuse := func(other *memory.Storage) func(engine.Write) error {
			return func(w engine.Write) error {
				if w.Verb == engine.Create && summaries(other) != "" {
					return engine.Fail(engine.AlreadyExists, "create", "1", "no-uid-conflict")
				}
				return nil
			}
		}
		bx.Refuse, by.Refuse = refuse(by), refuse(bx)
		// The deletion comes late, so that it is not luck.
		bx.Before = func(c memory.Call) error {
			if c.Name == "delete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		ax.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		ax.Remove("1")
		ay.Put("1", event("1", "one"))
		st := r.sync("g", engine.Success)
		r.want(bx, "")
		r.want(by, "one")
		if c := st.Report.Counts; c.Failed != 0 || c.Added != 1 || c.Removed != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestItemsThatChangedAreToldOnceASecond(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		for i := range 400 {
			a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
		}
		r.sync("g", engine.Success)
		for i := range 5 {
			a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "y"))
			r.sync("g", engine.Success)
		}
		r.after(3 * time.Second)
		n := 0
		for _, e := range seenEvents[engine.ItemsChanged](r) {
			if e.Collection == "b/cal" {
				n++
				if n == 1 && len(e.Added) != maxShown+1 {
					t.Errorf("the first tells %d names; one more than 256 says that some were left out", len(e.Added))
				}
				if n == 2 && len(e.Modified) != 5 {
					t.Errorf("the second tells %v", e.Modified)
				}
			}
		}
		if n != 2 {
			t.Errorf("told %d times within a second or two, want 2", n)
		}
	})
}

func TestResetComparesEverythingAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		if r.group("g").SlowSyncReason != "first" {
			t.Errorf("a new group: %q", r.group("g").SlowSyncReason)
		}
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		hold := r.hold("a")
		id, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		r.refuse(r.k.ResetState("g"), engine.Busy, "")
		hold.open()
		r.wait(id, engine.Success)
		if err := r.k.ResetState("g"); err != nil || r.group("g").SlowSyncReason != "asked" {
			t.Errorf("%v, %q", err, r.group("g").SlowSyncReason)
		}
		b.Remove(engine.Ref("1")) // by whatever name it has there
		for ref := range b.Texts() {
			b.Remove(ref)
		}
		r.sync("g", engine.Success)
		r.want(a, "one") // nothing is known, so nothing is deleted
		r.want(b, "one")
		r.refuse(r.k.ResetState("x"), engine.NotFound, "x")
	})
}

func reading(accounts []engine.AccountConfig, groups []engine.GroupConfig) func() (Reading, error) {
	return func() (Reading, error) { return Reading{Accounts: accounts, Groups: groups}, nil }
}

func TestReconfigureTakesAllOrNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		same, err := r.k.Reconfigure(reading([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")}), false)
		if err != nil || len(same) != 0 {
			t.Errorf("nothing changed, and %v, %v", same, err)
		}
		_, err = r.k.Reconfigure(reading([]engine.AccountConfig{memoryAccount("a", "url", "https://me:pw@h/"), memoryAccount("b")}, nil), false)
		r.refuse(err, engine.InvalidConfig, "url")
		_, err = r.k.Reconfigure(reading([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("a", "a", "b")}), false)
		r.refuse(err, engine.InvalidConfig, "name space")
		if r.group("g") == nil {
			t.Fatal("a bad configuration was applied")
		}
		r.collection("c", "cal")
		accounts := []engine.AccountConfig{memoryAccount("a", "interval-sec", uint32(5)), memoryAccount("c")}
		groups := []engine.GroupConfig{groupOf("g", "a", "c"), groupOf("h", "a/cal", "c/cal")}
		want := []string{"a", "b", "c", "g", "h"}
		if changed, err := r.k.Reconfigure(reading(accounts, groups), true); err != nil || !slices.Equal(changed, want) || r.acct("c") != nil {
			t.Errorf("dry run: %v, %v", changed, err)
		}
		if changed, err := r.k.Reconfigure(reading(accounts, groups), false); err != nil || !slices.Equal(changed, want) {
			t.Errorf("%v, %v", changed, err)
		}
		if r.acct("b") != nil || r.acct("c") == nil || r.group("h") == nil {
			t.Error("it was not applied")
		}
		r.sync("g", engine.Success)
		r.want(r.sources["c"].Storage("cal"), "one")
		if r.store.names() != "" {
			t.Errorf("files were written: %s", r.store.names())
		}
	})
}

func TestWhatWasWrongBeforeHoldsUpNoReload(t *testing.T) {
	bubble(t, func(r *rig) {
		bad := func() []engine.AccountConfig {
			return []engine.AccountConfig{memoryAccount("a", "url", "https://me:pw@h/"),
				{ID: "b", Enabled: true, Invalid: engine.Fail(engine.InvalidConfig, "use", "b.yaml:1:1", "no kind")}, memoryAccount("c")}
		}
		r.start(bad(), nil)
		if a := r.acct("a"); a.Invalid == nil || a.State != "error" {
			t.Fatalf("%+v", a)
		}
		now := bad()
		now[2].DisplayName = "New"
		changed, err := r.k.Reconfigure(reading(now, nil), false)
		if err != nil || !slices.Equal(changed, []string{"c"}) || r.acct("c").DisplayName != "New" {
			t.Errorf("changed %v, %v", changed, err)
		}
		now[1].Invalid = engine.Fail(engine.InvalidConfig, "use", "b.yaml:2:1", "no such key")
		_, err = r.k.Reconfigure(reading(now, nil), false)
		r.refuse(err, engine.InvalidConfig, "b.yaml:2:1")
		now[1].Invalid, now[1].Kind = nil, "memory"
		if _, err = r.k.Reconfigure(reading(now, nil), false); err != nil || r.acct("b").State != "idle" || r.acct("b").Failure.Set {
			t.Errorf("repaired: %v, %+v", err, r.acct("b"))
		}
	})
}
