package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/storagetest"
)

func fresh(tb testing.TB) *Source {
	tb.Helper()
	s, err := Open(filepath.Join(tb.TempDir(), "a store?.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func home(tb testing.TB, s *Source) *Storage {
	tb.Helper()
	c, err := s.Make(tb.Context(), engine.Collection{Name: "home", Kind: engine.Calendar, Components: []string{"VEVENT", "VTODO"}})
	if err != nil {
		tb.Fatal(err)
	}
	storage, err := s.Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	return storage.(*Storage)
}

func TestPromises(t *testing.T) {
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		storagetest.Suite{Kind: kind, Fresh: func(tb testing.TB) engine.Storage { return home(tb, fresh(tb)) }}.Run(t)
	}
}

func TestSourcePromises(t *testing.T) {
	storagetest.RunSource(t, func(tb testing.TB) engine.Source { return fresh(tb) })
}

func apply(tb testing.TB, s *Storage, writes ...engine.Write) []engine.Outcome {
	tb.Helper()
	outs := make([]engine.Outcome, len(writes))
	for i, out := range s.Apply(tb.Context(), writes) {
		if i < 0 || out.Err != nil {
			tb.Fatal(i, out.Err)
		}
		outs[i] = out
	}
	return outs
}

func creation(uid string) engine.Write {
	return engine.Write{Verb: engine.Create, UID: engine.UID(uid), Text: storagetest.Text("", engine.UID(uid), "one")}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	storage := home(t, s)
	out := apply(t, storage, creation("a"), creation("b"))
	apply(t, storage, engine.Write{Verb: engine.Delete, Old: out[1].Head})
	if err := storage.SetMeta(t.Context(), engine.MetaColor, "#112233", true); err != nil {
		t.Fatal(err)
	}
	before, err := s.Look(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("others may read the file: %v, %v", st.Mode(), err)
	}

	s, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	after, err := s.Look(t.Context(), true)
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("was %+v, is %+v, %v", before, after, err)
	}
	again, _ := s.Open(after[0])
	d, err := again.(*Storage).Changes(t.Context(), "1")
	if err != nil || d.Full || len(d.Changed) != 0 || len(d.Gone) != 1 {
		t.Errorf("changes %+v, %v", d, err)
	}
}

func TestTheStateMovesWithEveryChangeAndOnlyThen(t *testing.T) {
	s := fresh(t)
	storage := home(t, s)
	state := func() string {
		found, err := s.Look(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return found[0].State
	}
	var head engine.Head
	seen := map[string]string{state(): "made"}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"created", func() { head = apply(t, storage, creation("a"))[0].Head }},
		{"replaced", func() {
			head = apply(t, storage, engine.Write{Verb: engine.Replace, Old: head, Text: creation("a").Text})[0].Head
		}},
		{"metadata", func() { storage.SetMeta(t.Context(), engine.MetaName, "x", true) }},
		{"deleted", func() { apply(t, storage, engine.Write{Verb: engine.Delete, Old: head}) }},
	} {
		step.do()
		got := state()
		if other, twice := seen[got]; twice {
			t.Errorf("%s: the state is still that of %q", step.name, other)
		}
		seen[got] = step.name
		for _, err := range storage.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if state() != got {
			t.Errorf("%s: reading moved the state", step.name)
		}
	}
}

func TestForgottenRemovalsAreAnsweredWithEverything(t *testing.T) {
	storage := home(t, fresh(t))
	kept := apply(t, storage, creation("kept"))[0].Head
	const n = 2*remembered + 1
	var create, remove []engine.Write
	for i := range n {
		create = append(create, creation(fmt.Sprint("item-", i)))
	}
	for _, out := range apply(t, storage, create...) {
		remove = append(remove, engine.Write{Verb: engine.Delete, Old: out.Head})
	}
	old, err := storage.Changes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, storage, remove[:n-1]...)
	for _, c := range []struct {
		more []engine.Write
		full bool
	}{{nil, false}, {remove[n-1:], true}} {
		apply(t, storage, c.more...)
		d, err := storage.Changes(t.Context(), old.Token)
		if err != nil || d.Full != c.full {
			t.Errorf("full is %v with %d gone, %v", d.Full, len(d.Gone), err)
		}
		if c.full && (len(d.Changed) != 1 || d.Changed[0] != kept) {
			t.Errorf("everything is %v", d.Changed)
		}
		if !c.full && len(d.Gone) != n-1 {
			t.Errorf("%d gone, want %d", len(d.Gone), n-1)
		}
	}
}

func TestANewerOrForeignFileIsRefusedAndLeftAsItIs(t *testing.T) {
	newer := filepath.Join(t.TempDir(), "newer")
	s, err := Open(newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec("PRAGMA user_version = 2"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	foreign := filepath.Join(t.TempDir(), "foreign")
	if err := os.WriteFile(foreign, []byte("this is no database, and longer than a header of one hundred bytes ................................................"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{newer, foreign, filepath.Join(t.TempDir(), "no folder", "x")} {
		before, _ := os.ReadFile(path)
		if s, err := Open(path); !engine.IsKind(err, engine.StorageError) {
			s.Close()
			t.Errorf("%s: got %v", path, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestAFullDiskIsToldAndNothingIsHalfWritten(t *testing.T) {
	s := fresh(t)
	storage := home(t, s)
	apply(t, storage, creation("a"))
	if _, err := s.db.Exec("PRAGMA max_page_count = 16"); err != nil {
		t.Fatal(err)
	}
	big := engine.Write{Verb: engine.Create, UID: "big", Text: make([]byte, 1<<20)}
	n := 0
	for i, out := range storage.Apply(t.Context(), []engine.Write{creation("b"), big}) {
		if n++; i != -1 || !engine.IsKind(out.Err, engine.QuotaExceeded) {
			t.Errorf("write %d: %v", i, out.Err)
		}
	}
	if n != 1 {
		t.Errorf("%d outcomes", n)
	}
	for h, err := range storage.List(t.Context()) {
		if err != nil || h.Ref != "a.ics" {
			t.Errorf("%v, %v", h, err)
		}
	}
}

func TestAfterCloseEveryCallFails(t *testing.T) {
	s := fresh(t)
	storage := home(t, s)
	s.Close()
	if _, err := s.Look(t.Context(), true); !engine.IsKind(err, engine.StorageError) {
		t.Errorf("look: %v", err)
	}
	failed := false
	for _, err := range storage.List(t.Context()) {
		failed = err != nil
	}
	if !failed {
		t.Error("a listing looks complete")
	}
}
