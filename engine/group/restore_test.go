package group_test

import (
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

// versionOf finds what a member's item was before.
func (w *world) versionOf(member int, summary string) (name string, text []byte) {
	w.t.Helper()
	versions, err := w.ledger.Versions(w.members[member].ID, "", 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range versions {
		text, err := w.ledger.VersionText(v.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if item.Read(text).Summary == summary {
			return v.Item, text
		}
	}
	w.t.Fatalf("no version %q in %v", summary, w.history())
	return "", nil
}

func TestRestoreAfterAnEditAndADeletionAndAsACopy(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	w.put(0, "1", "worse")
	w.remove(0, "2")
	w.sync()
	restore := func(summary string, asCopy bool) {
		t.Helper()
		name, text := w.versionOf(1, summary)
		if err := group.Restore(t.Context(), w.ledger, w.members[1], name, text, asCopy, 50); err != nil {
			t.Fatal(err)
		}
		w.sync()
	}
	restore("one", false)
	restore("two", false)
	w.all("1=one 2=two")
	if !slices.Contains(w.history(), "b overwritten worse") {
		t.Errorf("history %v", w.history())
	}
	w.reset()
	restore("one", false) // it is that already
	if w.writes() > 0 {
		t.Errorf("%d writes for nothing", w.writes())
	}
	restore("worse", true)
	got := w.has(0)
	if !strings.Contains(got, "1=one") || !strings.Contains(got, "=worse") || strings.Count(got, "=") != 3 {
		t.Errorf("a has %q", got)
	}
	w.all(got)
	w.quiet()
}

func TestRestoreFindsAnItemThatWasRenamed(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "worse")
	w.sync()
	name, text := w.versionOf(1, "one")
	now := w.text(1, "1")
	w.stores[1].Remove("1")
	w.stores[1].Put("renamed", now)
	if err := group.Restore(t.Context(), w.ledger, w.members[1], name, text, false, 50); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.all("1=one")
}

func TestRestoreOverwritesNothingThatMovedMeanwhile(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "now")
	w.stores[0].Before = func(c memory.Call) error {
		if c.Name == "replace" {
			w.stores[0].Put("1", event("1", "caught"))
		}
		return nil
	}
	err := group.Restore(t.Context(), w.ledger, w.members[0], "1", event("1", "old"), false, 50)
	if !engine.IsKind(err, engine.Changed) {
		t.Errorf("got %v", err)
	}
	w.want(0, "1=caught")
}

func TestScenario85RepairGivesNewUIDsWhereTheyAreMissingOrTwice(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.places[0].Put("a", event("1", "first"))
		w.places[0].Put("b", event("1", "twin"))
		w.places[0].Put("c", event("", "none"))
		w.places[0].Put("d", []byte("garbage"))
		w.put(0, "2", "two")
		before := w.has(0)
		counts, err := group.Repair(t.Context(), w.ledger, w.members[0], 50, true, w)
		if err != nil || counts.Modified != 2 || w.has(0) != before || !slices.Equal(w.steps, []string{"modify a b", "modify a c"}) {
			t.Errorf("a dry run: %+v %v %v", counts, err, w.steps)
		}
		counts, err = group.Repair(t.Context(), w.ledger, w.members[0], 50, false, w)
		if err != nil || counts.Modified != 2 || counts.Failed != 0 {
			t.Errorf("%+v %v", counts, err)
		}
		texts := w.places[0].Texts()
		if item.Read([]byte(texts["a"])).UID != "1" || item.Read([]byte(texts["b"])).UID == "1" || item.Read([]byte(texts["c"])).UID == "" || texts["d"] != "garbage" {
			t.Errorf("%v", texts)
		}
		if counts, err := group.Repair(t.Context(), w.ledger, w.members[0], 51, false, w); err != nil || counts.Modified != 0 {
			t.Errorf("a second time: %+v %v", counts, err)
		}
		w.sync()
		if got := w.has(1); !strings.Contains(got, "1=first") || !strings.Contains(got, "=twin") || !strings.Contains(got, "=none") || !strings.Contains(got, "2=two") {
			t.Errorf("b has %q", got)
		}
		if got := w.history(); !slices.Equal(got, []string{"a overwritten none", "a overwritten twin"}) {
			t.Errorf("history %v", got)
		}
	})
}

func TestExplainTellsWhoWhichJobAndWhy(t *testing.T) {
	w := newWorld(t, 3)
	w.put(0, "1", "one")
	w.sync()
	w.put(1, "1", "two")
	w.members[2].Storage = nil
	w.sync()
	explain := func(want ...string) {
		t.Helper()
		lines, err := w.ledger.Explain("a/cal", "1")
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(lines, "\n")
		for _, line := range want {
			if !strings.Contains(all, line) {
				t.Errorf("no %q in\n%s", line, all)
			}
		}
	}
	explain("version 2 was agreed by job 2", "edited there (b/cal)", "a/cal has it as 1", "c/cal is behind", "job 2 replaced (overwritten)")
	w.members[2].Storage = w.stores[2]
	w.stores[2].Refuse = func(engine.Write) error { return engine.Fail(engine.TooLarge, "replace", "1", "no room") }
	w.sync()
	explain("problem at c/cal", "no room", "tried 1 times")
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	explain("conflict c1 (modified)")
	w.sync(group.Options{Decide: &group.Decision{Conflict: "c1", Choice: "member", Member: "a/cal"}})
	explain("chosen by a person")
	if _, err := w.ledger.Explain("a/cal", "unknown"); !engine.IsKind(err, engine.NotFound) {
		t.Errorf("got %v", err)
	}
}
