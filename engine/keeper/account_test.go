package keeper

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"davbus.org/davbus/engine"
)

func TestEnsureMakesAnAccountWhatItIsAskedToBe(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start(nil, nil)
		cfg := memoryAccount("a", "url", "https://one/")
		cfg.DisplayName = "One"
		for range 2 {
			if id, err := r.k.AddAccount(cfg, true); err != nil || id != "a" {
				t.Fatalf("%s, %v", id, err)
			}
		}
		cfg.Params, cfg.DisplayName = engine.Params{"url": "https://two/"}, ""
		if _, err := r.k.AddAccount(cfg, true); err != nil {
			t.Fatal(err)
		}
		if a := r.acct("a"); a.Params["url"] != "https://two/" || a.DisplayName != "One" {
			t.Errorf("got %+v", a)
		}
		cfg.Kind = "founded"
		_, err := r.k.AddAccount(cfg, true)
		r.refuse(err, engine.AlreadyExists, "of kind memory")
	})
}

func TestUpdateIsOneStepAndNamesWhatWaits(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		if _, err := r.k.UpdateAccount("a", engine.Params{"url": "https://x/", "kind": "calendar"}, []string{"collections"}); err != nil {
			t.Fatal(err)
		}
		_, err := r.k.UpdateAccount("a", engine.Params{"url": "https://y/", "kind": "nonsense"}, nil)
		r.refuse(err, engine.Invalid, "nonsense")
		_, err = r.k.UpdateAccount("a", nil, []string{"nonsense"})
		r.refuse(err, engine.Invalid, "nonsense")
		if got := r.acct("a").Params["url"]; got != "https://x/" {
			t.Errorf("half an update was applied: %v", got)
		}
		hold := r.hold("a")
		id, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		waits, err := r.k.UpdateAccount("a", engine.Params{"url": "https://z/"}, []string{"kind"})
		if err != nil || !slices.Equal(waits, []string{"url", "kind"}) {
			t.Errorf("waits %v, %v", waits, err)
		}
		opened := r.opened["a"]
		hold.open()
		r.wait(id, engine.Success)
		r.sync("g", engine.Success)
		if r.opened["a"] != opened+1 {
			t.Errorf("the source was opened %d times for the change", r.opened["a"]-opened)
		}
		r.store.fail = engine.Fail(engine.InvalidConfig, "change", "a.yaml", "it was changed on disk")
		r.refuse(r.k.SetAccountName("a", "New"), engine.InvalidConfig, "changed on disk")
		if r.acct("a").DisplayName != "" {
			t.Error("it changed though its file did not")
		}
		r.store.fail = nil
		if err := r.k.SetAccountName("a", "New"); err != nil || r.acct("a").DisplayName != "New" {
			t.Errorf("%v, %+v", err, r.acct("a"))
		}
		if err := r.k.EnableAccount("a", false); err != nil || r.acct("a").State != "disabled" {
			t.Errorf("%v, %s", err, r.acct("a").State)
		}
		st := r.sync("g", engine.Failed)
		if st.Failure.Kind != engine.Disabled {
			t.Errorf("%+v", st.Failure)
		}
	})
}

func TestAManagedAccountIsNotChanged(t *testing.T) {
	bubble(t, func(r *rig) {
		a, g := memoryAccount("a"), groupOf("g", "a", "b")
		a.Managed, g.Managed = true, true
		r.start([]engine.AccountConfig{a, memoryAccount("b")}, []engine.GroupConfig{g})
		_, err := r.k.UpdateAccount("a", engine.Params{"url": "x"}, nil)
		r.refuse(err, engine.Managed, "reload")
		r.refuse(r.k.EnableAccount("a", false), engine.Managed, "")
		r.refuse(r.k.RemoveAccount("a", false), engine.Managed, "")
		r.refuse(r.k.RemoveGroup("g"), engine.Managed, "")
		r.refuse(r.k.AddMember("g", "b"), engine.Invalid, "twice")
		_, err = r.k.UpdateGroup("g", map[string]any{"interval-sec": uint32(1)}, nil)
		r.refuse(err, engine.Managed, "")
		// An account that a managed group names may go; the group stays and says so.
		if err := r.k.RemoveAccount("b", false); err != nil {
			t.Fatal(err)
		}
		if st := r.group("g"); st.State != "error" || st.Failure.Kind != engine.NotFound {
			t.Errorf("%s %+v", st.State, st.Failure)
		}
	})
}

func TestAnInvalidAccountIsKeptShownAndNeverAsked(t *testing.T) {
	bubble(t, func(r *rig) {
		bad := memoryAccount("a")
		bad.Invalid = engine.Fail(engine.InvalidConfig, "use", "a.yaml:2:1", "no such key")
		r.collection("b", "cal")
		r.start([]engine.AccountConfig{bad, memoryAccount("b"), {ID: "needy", Kind: "needy", Enabled: true}}, []engine.GroupConfig{groupOf("g", "a", "b")})
		if a := r.acct("a"); a.State != "error" || a.Failure.Kind != engine.InvalidConfig || a.Invalid == nil {
			t.Errorf("%+v", a)
		}
		if a := r.acct("needy"); a.Invalid == nil || !strings.Contains(a.Invalid.Error(), "path") {
			t.Errorf("a missing parameter: %+v", a)
		}
		st := r.sync("g", engine.Failed)
		if st.Failure.Kind != engine.InvalidConfig || r.opened["a"] != 0 {
			t.Errorf("%+v, opened %d times", st.Failure, r.opened["a"])
		}
		// It can be repaired over the bus.
		if _, err := r.k.UpdateAccount("needy", engine.Params{"path": "/p"}, nil); err != nil {
			t.Fatal(err)
		}
		if a := r.acct("needy"); a.Invalid != nil || a.Failure.Set || a.State != "idle" {
			t.Errorf("repaired, and yet %+v", a)
		}
	})
}

func TestRemovingAnAccountLetsItsMarksGoAndNoItem(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		if err := r.k.RemoveAccount("b", true); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.secrets.set, []string{"b forget "}) {
			t.Errorf("secrets: %q", r.secrets.set)
		}
		st := r.group("g")
		if st.State != "error" || st.Failure.Kind != engine.NotFound || !slices.Equal(st.Members, []string{"a"}) || r.acct("b") != nil || r.k.Snapshot().Collections["b/cal"] != nil {
			t.Errorf("group %s %+v, members %v", st.State, st.Failure, st.Members)
		}
		if !r.k.Snapshot().Manager.AttentionNeeded {
			t.Error("the group needs a person, and nobody is asked")
		}
		r.want(b, "one")
		known, err := r.book.CollectionIDs("b")
		if err != nil || len(known) != 0 {
			t.Errorf("still known: %v, %v", known, err)
		}
		// Back again, with an item less: that is no deletion, for nothing is known.
		b.Remove(slices.Collect(maps.Keys(b.Texts()))[0])
		if _, err := r.k.AddAccount(memoryAccount("b"), false); err != nil {
			t.Fatal(err)
		}
		if err := r.k.AddMember("g", "b"); err != nil {
			t.Fatal(err)
		}
		r.sync("g", engine.Success)
		r.want(a, "one")
		r.want(b, "one")
	})
}

func TestAnAccountThatIsRemovedWhileItIsUsedIsForgottenWhenItIsNot(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		hold := r.hold("a")
		id, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		if err := r.k.RemoveAccount("a", false); err != nil {
			t.Fatal(err)
		}
		_, err := r.k.AddAccount(memoryAccount("a"), false)
		r.refuse(err, engine.Busy, "try again soon")
		hold.open()
		r.wait(id, engine.Cancel)
		if _, err := r.k.AddAccount(memoryAccount("a"), false); err != nil {
			t.Error(err)
		}
		if !r.sources["a"].Closed() {
			t.Error("the source of the removed account is still open")
		}
	})
}

func TestCheckTellsWhatIsThereAndChangesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("a", "cal")
		r.sources["a"].Has = []string{"sync-collection"}
		r.start([]engine.AccountConfig{memoryAccount("a")}, nil)
		id, err := r.k.Check("a", nil, "me")
		if err != nil {
			t.Fatal(err)
		}
		st := r.wait(id, engine.Success)
		if st.Report.Extra["collections"] != uint32(1) || !reflect.DeepEqual(st.Report.Extra["capabilities"], []string{"sync-collection"}) || len(st.Report.Lines) == 0 {
			t.Errorf("%+v", st.Report)
		}
		if len(r.k.Snapshot().Collections) != 0 {
			t.Error("it took collections in")
		}
		if rep, err := r.k.Report(id); err != nil || rep.Extra["collections"] != uint32(1) {
			t.Errorf("%+v, %v", rep.Extra, err)
		}
		_, err = r.k.Check("a", engine.Params{"nonsense": "x"}, "me")
		r.refuse(err, engine.Invalid, "nonsense")
		r.openErr["a"] = errOffline
		id, _ = r.k.Check("a", engine.Params{"url": "https://elsewhere/"}, "me")
		r.wait(id, engine.Failed)
		if r.acct("a").Failure.Set {
			t.Error("parameters that were tried spoil the account")
		}
		if err := r.k.EnableAccount("a", false); err != nil {
			t.Fatal(err)
		}
		id, err = r.k.Check("a", nil, "me")
		if err != nil {
			t.Errorf("a disabled account may be checked: %v", err)
		}
		r.wait(id, engine.Failed)
	})
}

func TestTheStateOfAnAccountSaysWhyItFails(t *testing.T) {
	for kind, want := range map[engine.Kind]string{
		engine.AuthRequired: "secret-missing", engine.SecretLocked: "secret-locked", engine.CertUntrusted: "untrusted-certificate",
		engine.CertExpired: "untrusted-certificate", engine.Offline: "offline", engine.HostNotFound: "offline", engine.ConnectionRefused: "offline",
		engine.Timeout: "offline", engine.AuthFailed: "error", engine.ServerError: "error", engine.PluginMissing: "plugin-missing",
	} {
		if got := failureWord(engine.Failure{Kind: kind, Set: true}); got != want {
			t.Errorf("%v: %s, want %s", kind, got, want)
		}
	}
	if failureWord(engine.Failure{}) != "idle" {
		t.Error("well is not idle")
	}
}
