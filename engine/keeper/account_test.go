package keeper

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestIdsHaveTheirForm(t *testing.T) {
	for id, good := range map[string]bool{
		"a": true, "Work-2_x.y": true, "a" + strings.Repeat("0", 63): true,
		"": false, "1a": false, "-a": false, "a b": false, "ä": false, "a/b": false, "a" + strings.Repeat("0", 64): false, "a\x00": false,
	} {
		if goodID(id) != good {
			t.Errorf("%q: good is %v", id, !good)
		}
	}
}

func TestAnAccountIsCheckedAndNamesWhatIsWrong(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		for _, c := range []struct {
			cfg  engine.AccountConfig
			kind engine.Kind
			part string
		}{
			{memoryAccount("1x"), engine.Invalid, "a letter, then up to 63"},
			{engine.AccountConfig{ID: "x", Kind: "caldav"}, engine.NotSupported, "founded, memory, needy"},
			{memoryAccount("x", "usrname", "me"), engine.Invalid, "there are: url, kind, collections"},
			{memoryAccount("x", "url", true), engine.Invalid, `has the type "s", not "b"`},
			{memoryAccount("x", "interval-sec", "9"), engine.Invalid, `has the type "u", not "s"`},
			{memoryAccount("x", "password", "hunter2"), engine.Invalid, "is a secret"},
			{memoryAccount("x", "kind", "todo"), engine.Invalid, "is one of calendar, addressbook"},
			{memoryAccount("x", "url", "https://me:hunter2@h/"), engine.Invalid, "must not hold a user name or a password"},
			{memoryAccount("x", "url", "https://me@h/"), engine.Invalid, "must not hold a user name"},
			{memoryAccount("x", "url", "me:hunter2@h"), engine.Invalid, "must not hold a password"},
			{memoryAccount("x", "url", "https://h/\x00"), engine.Invalid, "NUL"},
			{memoryAccount("x", "password-command", []string{}), engine.Invalid, "needs the name of a program"},
			{engine.AccountConfig{ID: "x", Kind: "needy"}, engine.Invalid, `"path" is required`},
			{memoryAccount("a"), engine.AlreadyExists, "an account has this id"},
			{memoryAccount("g"), engine.AlreadyExists, "one name space"},
		} {
			_, err := r.k.AddAccount(c.cfg, false)
			r.refuse(err, c.kind, c.part)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		}
		if r.store.names() != "" || len(r.k.Snapshot().Accounts) != 2 {
			t.Errorf("something was added: %s", r.store.names())
		}
		for _, url := range []string{"https://h/p", "me@example.org", "example.org", ""} {
			if _, err := r.k.AddAccount(memoryAccount("", "url", url), false); err != nil {
				t.Errorf("%q: %v", url, err)
			}
		}
		if got := r.store.names(); got != "a memory, a memory-2, a memory-3, a memory-4" {
			t.Errorf("ids that were chosen: %s", got)
		}
	})
}

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

func TestWhatACallerPassesIsNotShared(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start(nil, nil)
		params := engine.Params{"collections": []string{"x"}}
		if _, err := r.k.AddAccount(engine.AccountConfig{ID: "a", Kind: "memory", Params: params}, false); err != nil {
			t.Fatal(err)
		}
		params["collections"].([]string)[0] = "y"
		params["url"] = "z"
		if got := r.acct("a").Params; !reflect.DeepEqual(got, engine.Params{"collections": []string{"x"}}) {
			t.Errorf("got %v", got)
		}
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

func TestWhatVanishesKeepsItsObjectUntilItIsLetGo(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		a.Put("1", event("1", "one"))
		g := r.group("g").GroupConfig
		if _, err := r.k.UpdateGroup("g", map[string]any{"create-missing": []string{"a", "b"}}, nil); err != nil {
			t.Fatalf("%v %+v", err, g)
		}
		r.sync("g", engine.Success)
		r.sources["b"].Drop("b!cal")
		st := r.sync("g", engine.Failed)
		c := r.k.Snapshot().Collections["b/cal"]
		if st.Failure.Kind != engine.CollectionGone || c == nil || c.Failure.Kind != engine.CollectionGone {
			t.Errorf("job %+v, collection %+v", st.Failure, c)
		}
		if r.sources["b"].Storage("cal") != nil {
			t.Error("what vanished was made again")
		}
		r.want(a, "one")
		id, err := r.k.Discover("b", true, "me")
		if err != nil {
			t.Fatal(err)
		}
		r.wait(id, engine.Success)
		if r.k.Snapshot().Collections["b/cal"] != nil {
			t.Error("it was let go, and is still shown")
		}
		r.sync("g", engine.Success)
		r.want(r.sources["b"].Storage("cal"), "one")
	})
}

func TestWhatVanishedAndReturnsIsTakenUpWhereItWas(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("1", "one"))
		a.Put("2", event("2", "two"))
		r.sync("g", engine.Success)
		r.sources["b"].Drop("b!cal")
		r.sync("g", engine.Failed)
		a.Remove("1")
		back := r.collection("b", "cal")
		for ref, text := range b.Texts() {
			back.Put(ref, []byte(text))
		}
		r.sync("g", engine.Success)
		r.want(back, "two") // a deletion, for its marks were kept
		if c := r.k.Snapshot().Collections["b/cal"]; c.Failure.Set {
			t.Errorf("%+v", c.Failure)
		}
	})
}

func TestOnlyTheCollectionsThatAnAccountTakesAreShown(t *testing.T) {
	bubble(t, func(r *rig) {
		for _, id := range []engine.AccountID{"a", "b"} {
			r.collection(id, "x")
			r.collection(id, "y")
		}
		r.start([]engine.AccountConfig{memoryAccount("a", "collections", []string{"x"}), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		st := r.sync("g", engine.Success)
		if len(st.Report.Sets) != 1 || r.k.Snapshot().Collections["a/y"] != nil || r.k.Snapshot().Collections["b/y"] == nil {
			t.Errorf("%+v", st.Report.Sets)
		}
		if _, err := r.k.UpdateAccount("a", nil, []string{"collections"}); err != nil {
			t.Fatal(err)
		}
		if st = r.sync("g", engine.Success); len(st.Report.Sets) != 2 || r.k.Snapshot().Collections["a/y"] == nil {
			t.Errorf("%+v", st.Report.Sets)
		}
	})
}

func TestCollectionsAreMadeOnRequest(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		r.sync("g", engine.Success)
		id, err := r.k.CreateCollection(r.Context(), "a", engine.Collection{ID: "new", Kind: engine.AddressBook, Meta: engine.Meta{engine.MetaName: "New"}})
		if err != nil || id != "a/new" {
			t.Fatalf("%s, %v", id, err)
		}
		if c := r.k.Snapshot().Collections["a/new"]; c == nil || c.Kind != engine.AddressBook || c.Meta[engine.MetaName] != "New" {
			t.Errorf("%+v", c)
		}
		for _, c := range []struct {
			c    engine.Collection
			kind engine.Kind
		}{
			{engine.Collection{ID: "new", Kind: engine.Calendar}, engine.AlreadyExists},
			{engine.Collection{ID: "x", Kind: "todo"}, engine.Invalid},
			{engine.Collection{Kind: engine.Calendar}, engine.Invalid},
		} {
			_, err := r.k.CreateCollection(r.Context(), "a", c.c)
			r.refuse(err, c.kind, "")
		}
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "make" {
				return engine.Fail(engine.Forbidden, "make", "x", "%w", errors.New("not here"))
			}
			return nil
		}
		_, err = r.k.CreateCollection(r.Context(), "a", engine.Collection{ID: "x", Kind: engine.Calendar})
		r.refuse(err, engine.Forbidden, "not here")
	})
}

func TestMetadataGoesToTheOtherMembers(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		r.sync("g", engine.Success)
		id, err := r.k.UpdateCollection("a/cal", engine.Meta{engine.MetaColor: "#112233"}, nil, "me")
		if err != nil {
			t.Fatal(err)
		}
		st := r.wait(id, engine.Success)
		if st.Kind != "sync" || st.Target.Collection != "a/cal" {
			t.Errorf("%+v", st)
		}
		for i, s := range []*memory.Storage{a, b} {
			if m, err := s.Meta(r.Context()); err != nil || m[engine.MetaColor] != "#112233" {
				t.Errorf("member %d: %v, %v", i, m, err)
			}
		}
		if c := r.k.Snapshot().Collections["a/cal"]; c.Meta[engine.MetaColor] != "#112233" {
			t.Errorf("%+v", c.Meta)
		}
		_, err = r.k.UpdateCollection("a/nothing", engine.Meta{}, nil, "me")
		r.refuse(err, engine.NotFound, "a/nothing")
		_, err = r.k.UpdateCollection("a/cal", engine.Meta{"size": "1"}, nil, "me")
		r.refuse(err, engine.Invalid, "size")
	})
}

func TestANewPlaceIsPreparedOnceAndOnlyWhereSomethingIsToBeMade(t *testing.T) {
	for _, c := range []struct {
		name   string
		create []string
		dry    bool
		want   int
	}{{"a group makes collections there", []string{"b"}, false, 1}, {"no group does", nil, false, 0}, {"a dry run", []string{"b"}, true, 0}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.collection("a", "cal").Put("1", event("1", "one"))
				b := memoryAccount("b")
				b.Kind = "founded"
				r.sources["b"] = &memory.Source{}
				r.sources["b"].Before = func(call memory.Call) error {
					r.mu.Lock()
					defer r.mu.Unlock()
					if call.Name == "look" && len(r.found) == 0 {
						return errOffline
					}
					return nil
				}
				g := groupOf("g", "a", "b")
				g.CreateMissing = c.create
				r.start([]engine.AccountConfig{memoryAccount("a"), b}, []engine.GroupConfig{g})
				id, _ := r.k.Sync(SyncRequest{What: "g", DryRun: c.dry})
				st := r.wait(id, "")
				if len(r.found) != c.want {
					t.Errorf("prepared %d times, want %d", len(r.found), c.want)
				}
				switch {
				case c.dry && (st.Result != engine.Success || st.Report.Added != 1):
					t.Errorf("a dry run tells what would be added: %s %+v", st.Result, st.Report)
				case !c.dry && c.want == 1:
					r.want(r.sources["b"].Storage("cal"), "one")
					r.found = nil // it is unmounted: that must not be mended
					st = r.sync("g", engine.Failed)
					if len(r.found) != 0 || st.Failure.Kind != engine.Offline {
						t.Errorf("prepared again: %v, %+v", r.found, st.Failure)
					}
				}
			})
		})
	}
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
