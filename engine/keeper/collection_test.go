package keeper

import (
	"errors"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

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
		for _, id := range []engine.MemberID{"a/cal", "b/cal"} {
			if c := r.k.Snapshot().Collections[id]; c.Meta[engine.MetaColor] != "#112233" {
				t.Errorf("what is shown of %s is %+v", id, c.Meta)
			}
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
