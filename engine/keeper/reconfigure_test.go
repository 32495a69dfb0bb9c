package keeper

import (
	"slices"
	"testing"

	"davbus.org/davbus/engine"
)

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
