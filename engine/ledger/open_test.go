package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"davbus.org/davbus/engine"
)

func TestJobNumbersAreNeverUsedAgain(t *testing.T) {
	l, path := fresh(t)
	seen := map[engine.JobID]bool{}
	next := func() {
		job, err := l.NextJob()
		if err != nil || seen[job] || job == 0 {
			t.Fatalf("job %d, %v", job, err)
		}
		seen[job] = true
	}
	for range 3 {
		next()
	}
	l.Close()
	l, _ = reopen(t, path)
	next()
}

func TestReports(t *testing.T) {
	l, path := fresh(t)
	for job := range engine.JobID(10) {
		r := engine.Report{Job: job, Kind: "sync", Target: engine.Target{Group: "g" + odd}, Result: engine.Partial, Started: time.UnixMicro(5), Counts: engine.Counts{Added: 3},
			Failure: engine.FailureOf(engine.Fail(engine.Offline, "x", odd, "")), Sets: []engine.PartReport{{ID: odd}}, Lines: []string{"a"},
			Extra: map[string]any{"capabilities": []string{"x"}, "collections": uint32(7)}}
		if err := l.FinishJob(r); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	l, _ = reopen(t, path)
	even := func(r engine.Report) bool { return r.Job%2 == 0 }
	all, err := l.History(even, 1, 3)
	if err != nil || len(all) != 3 || all[0].Job != 6 || all[2].Job != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	r := all[0]
	if r.Target.Group != "g"+odd || r.Sets[0].ID != odd || !r.Started.Equal(time.UnixMicro(5)) || r.Extra["collections"] != uint32(7) || !slices.Equal(r.Extra["capabilities"].([]string), []string{"x"}) || r.Failure.Kind != engine.Offline {
		t.Errorf("%+v", r)
	}
	if r, found, err := l.Report(4); err != nil || !found || r.Job != 4 {
		t.Errorf("%+v %v", r, err)
	}
	if _, found, err := l.Report(99); err != nil || found {
		t.Errorf("found %v %v", found, err)
	}
	if err := l.Prune(time.Hour, 1, 4); err != nil {
		t.Fatal(err)
	}
	if all, _ := l.History(nil, 0, 100); len(all) != 4 || all[3].Job != 6 {
		t.Errorf("after pruning: %+v", all)
	}
}

func TestCollections(t *testing.T) {
	l, path := fresh(t)
	k := KnownCollection{ID: "cal", Gone: true, Collection: engine.Collection{Name: odd, Kind: engine.Calendar, Components: []string{"VTODO"}, Meta: engine.Meta{engine.MetaName: odd}, Identity: odd, Writable: true}}
	if err := l.KeepCollection("work", odd, k); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l, _ = reopen(t, path)
	k.Collection.ID = "cal"
	known, err := l.CollectionIDs("work")
	if err != nil || len(known) != 1 || !reflect.DeepEqual(known[odd], k) {
		t.Fatalf("%+v %v", known, err)
	}
	if known, _ := l.CollectionIDs("other"); len(known) > 0 {
		t.Errorf("%+v", known)
	}
	if err := l.ForgetCollection("work", odd); err != nil {
		t.Fatal(err)
	}
	if known, _ := l.CollectionIDs("work"); len(known) > 0 {
		t.Errorf("%+v", known)
	}
}

func TestNotes(t *testing.T) {
	l, _ := fresh(t)
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		if err := l.Note(name, map[string]int{name: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var got map[string]int
	if found, err := l.Noted("a/2", &got); !found || err != nil || got["a/2"] != 1 {
		t.Errorf("%v %v %v", got, found, err)
	}
	if err := l.ForgetNotes("a/"); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Noted("a/2", &got); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if found, _ := l.Noted("b/1", &got); !found {
		t.Error("another is gone too")
	}
}

func TestConflictsKeepTheirIDsAndNeverShareThem(t *testing.T) {
	l, path := fresh(t)
	s := l.Set(cal)
	put := func(k string, text TextID) (id string) {
		f := Conflict{Key: k, UID: "u" + odd, Item: "i" + odd, Component: "VEVENT", Kind: "modified", Summary: "s", Clashes: []string{"A", "B"}, Sides: []Side{{Member: "b/c", Text: text}, {Member: "a/c", Gone: true}}}
		do(t, s, func(c *Change) error { return c.PutConflict(&f) })
		all, err := s.Conflicts()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Key == k {
				return c.ID
			}
		}
		return ""
	}
	first := put("k1", 1)
	second := put("k2", 1)
	if first == second || put("k1", 1) != first || put("k1", 2) != first {
		t.Errorf("ids %s, %s", first, second)
	}
	do(t, s, func(c *Change) error { return c.DropConflict("k2") })
	l.Close()
	l, _ = reopen(t, path)
	s = l.Set(cal)
	if third := put("k2", 1); third == second || third == first {
		t.Errorf("%s was used again", third)
	}
	all, err := l.Conflicts(func(c engine.ConflictState) bool { return c.ID == first }, 0, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	c := all[0]
	if c.UID != "u"+odd || c.ItemName != "i"+odd || c.Set != cal.ID || c.Group != "home" || !slices.Equal(c.Members, []engine.MemberID{"b/c", "a/c"}) || c.State != "open" {
		t.Errorf("%+v", c)
	}
	if all, _ := l.Conflicts(nil, 1, 10); len(all) != 1 {
		t.Errorf("the second page has %d", len(all))
	}
	if all, _ := l.Conflicts(nil, 0, 1); len(all) != 1 || all[0].ID != first {
		t.Errorf("the oldest is %+v", all)
	}
	for _, bad := range []string{"", "c", "c0x1", "c999", "1", "c-1"} {
		if _, err := l.ConflictTexts(bad); !engine.IsKind(err, engine.NotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestASkippedConflictIsNotShownUntilAMemberMoves(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	put := func(text TextID) {
		do(t, s, func(c *Change) error {
			return c.PutConflict(&Conflict{Key: "k", Sides: []Side{{Member: "a/c", Text: text}}})
		})
	}
	open := func() int {
		n, _, _, err := l.Counts("home")
		all, e := l.Conflicts(nil, 0, 10)
		if err != nil || e != nil || len(all) != n {
			t.Fatal(all, n, err, e)
		}
		return n
	}
	put(1)
	do(t, s, func(c *Change) error { return c.SkipConflict("c1") })
	put(1)
	if open() != 0 {
		t.Error("it is shown")
	}
	put(2)
	if open() != 1 {
		t.Error("it moved, and is not shown")
	}
}

func TestProblems(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	since := time.UnixMicro(1_000_000)
	do(t, s, func(c *Change) error {
		for i, held := range []bool{false, true, false} {
			p := Problem{Problem: engine.Problem{Member: "m/c", Item: "i" + odd, UID: "u", Held: held, Since: since.Add(time.Duration(i)), Tries: uint32(i), NextTry: since,
				Failure: engine.FailureOf(engine.Fail(engine.TooLarge, "x", "", "really"))}, Key: fmt.Sprint("k", i), Verb: engine.Delete, Version: 7, Sum: engine.Sum{9}}
			if err := c.PutProblem(p); err != nil {
				return err
			}
		}
		return nil
	})
	all, err := l.Problems(func(p engine.Problem) bool { return !p.Held }, 1, 10)
	if err != nil || len(all) != 1 || all[0].Tries != 2 || all[0].Failure.Kind != engine.TooLarge || all[0].Item != "i"+odd || all[0].Group != "home" || !all[0].NextTry.Equal(since) {
		t.Fatalf("%+v %v", all, err)
	}
	if _, p, h, err := l.Counts("home"); p != 2 || h != 1 || err != nil {
		t.Errorf("%d problems, %d held", p, h)
	}
	own, err := s.Problems()
	if err != nil || len(own) != 3 || own[1].Version != 7 || own[1].Sum != (engine.Sum{9}) || own[1].Verb != engine.Delete || own[1].Key != "k1" {
		t.Errorf("%+v %v", own, err)
	}
	do(t, s, func(c *Change) error { return c.DropProblem("m/c", "k1", true) })
	if _, _, h, _ := l.Counts("home"); h != 0 {
		t.Errorf("%d held", h)
	}
}

func TestNobodyElseMayReadTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	for range 2 { // a new file, and one that was left open to all
		l, _, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		all, err := filepath.Glob(path + "*")
		if err != nil || len(all) < 2 {
			t.Fatalf("%v, %v", all, err)
		}
		for _, file := range all {
			if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", filepath.Base(file), st.Mode(), err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
