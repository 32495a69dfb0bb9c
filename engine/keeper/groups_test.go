package keeper

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"davbus.org/davbus/engine"
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
// held is a pair in which 20 items were deleted at a and nowhere else.
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
