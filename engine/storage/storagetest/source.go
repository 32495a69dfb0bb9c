package storagetest

import (
	"fmt"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
)

// RunSource tests the sources that fresh makes. Each must have no collections
// and be able to make calendars.
func RunSource(t *testing.T, fresh func(testing.TB) engine.Source) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(*testing.T, engine.Source)
	}{
		{"what is made is found, and opens", madeIsFound},
		{"collections do not share items", ownItems},
		{"a collection that nobody found does not open as an empty one", unknownCollection},
		{"a hostile name makes nothing outside", hostileCollections},
		{"a name that is taken is not made again", takenName},
		{"under a cancelled context nothing looks empty", cancelledLook},
	} {
		t.Run(p.name, func(t *testing.T) {
			s := fresh(t)
			p.test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func look(t *testing.T, s engine.Source) []engine.Collection {
	t.Helper()
	found, err := s.Look(t.Context(), true)
	if err != nil {
		t.Fatalf("look: %v", err)
	}
	seen := map[string]bool{}
	for _, c := range found {
		if c.Identity == "" || seen[c.Identity] {
			t.Errorf("%q has the identity %q, like another or none", c.Name, c.Identity)
		}
		seen[c.Identity] = true
		if c.ID != "" {
			t.Errorf("%q has the id %q: only the keeper gives ids", c.Name, c.ID)
		}
	}
	return found
}

func madeCollection(t *testing.T, s engine.Source, name string) (engine.Collection, bench) {
	t.Helper()
	made, err := s.Make(t.Context(), engine.Collection{ID: name, Name: name, Kind: engine.Calendar})
	if err != nil {
		t.Fatalf("make %q: %v", name, err)
	}
	return made, opened(t, s, made)
}

func opened(t *testing.T, s engine.Source, c engine.Collection) bench {
	t.Helper()
	storage, err := s.Open(c)
	if err != nil {
		t.Fatalf("open %q: %v", c.Name, err)
	}
	return bench{T: t, s: storage}
}

func madeIsFound(t *testing.T, s engine.Source) {
	if found := look(t, s); len(found) != 0 {
		t.Fatalf("a fresh source has %d collections", len(found))
	}
	made, b := madeCollection(t, s, "home")
	if made.Identity == "" || made.Name != "home" || made.ID != "home" || made.Kind != engine.Calendar {
		t.Errorf("made %+v", made)
	}
	b.create("a", "one")
	for range 2 {
		found := look(t, s)
		if len(found) != 1 || found[0].Identity != made.Identity || found[0].Name != made.Name || !found[0].Writable {
			t.Fatalf("found %+v, want what was made", found)
		}
		again := opened(t, s, found[0])
		again.holds(b.text("a", "one"))
	}
}

func ownItems(t *testing.T, s engine.Source) {
	_, a := madeCollection(t, s, "one")
	_, c := madeCollection(t, s, "two")
	a.create("same", "in one")
	c.create("same", "in two")
	a.holds(a.text("same", "in one"))
	c.holds(c.text("same", "in two"))
}

func unknownCollection(t *testing.T, s engine.Source) {
	made, _ := madeCollection(t, s, "home")
	made.Identity, made.Name, made.Folder, made.URL = "another", "another", made.Folder+"-another", ""
	storage, err := s.Open(made)
	if err == nil {
		for _, e := range storage.List(t.Context()) {
			err = e
		}
	}
	if !engine.IsKind(err, engine.CollectionGone) {
		t.Errorf("got %v, want an error of kind %v", err, engine.CollectionGone)
	}
}

func hostileCollections(t *testing.T, s engine.Source) {
	made := 0
	for i, name := range Hostile {
		c, err := s.Make(t.Context(), engine.Collection{ID: "id", Name: string(name), Kind: engine.Calendar})
		if err != nil {
			kinds := []engine.Kind{engine.Invalid, engine.AlreadyExists, engine.Forbidden, engine.NotSupported}
			if !slices.Contains(kinds, engine.KindOf(err)) {
				t.Errorf("make %q: %v, want one of %v", name, err, kinds)
			}
			continue
		}
		made++
		b := opened(t, s, c)
		b.create("a", fmt.Sprint("of number ", i))
	}
	if found := look(t, s); len(found) != made {
		t.Errorf("made %d collections, found %d", made, len(found))
	}
}

func takenName(t *testing.T, s engine.Source) {
	first, b := madeCollection(t, s, "home")
	b.create("a", "one")
	second, err := s.Make(t.Context(), engine.Collection{ID: "home", Name: "home", Kind: engine.Calendar})
	if err == nil && (second.Identity == first.Identity || second.Name == first.Name) || err != nil && !engine.IsKind(err, engine.AlreadyExists) {
		t.Errorf("made %+v, %v", second, err)
	}
	b.holds(b.text("a", "one"))
}

func cancelledLook(t *testing.T, s engine.Source) {
	_, b := madeCollection(t, s, "home")
	if found, err := s.Look(b.cancelled(), true); err == nil {
		t.Errorf("found %d collections under a cancelled context", len(found))
	}
}
