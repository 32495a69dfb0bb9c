package group_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// The tests below are the scenarios of research/sync-engines.md, section 4, by
// number, as far as they concern sets and members.

func TestScenario1BothEmptyWithARowLeft(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.remove(0, "1")
		w.remove(1, "1")
		w.sync()
		w.all("")
		if b := w.book(); len(b.Items)+len(b.Marks)+len(b.Seen) > 0 {
			t.Errorf("the ledger still has %+v", b)
		}
	})
}

func TestScenario2TheSameOnBothIsLinked(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.places[1].Put("other-name", event("1", "one"))
		w.sync()
		if w.writes() != 0 || len(w.book().Items) != 1 || len(w.conflicts()) > 0 {
			t.Errorf("%d writes, %+v", w.writes(), w.book().Items)
		}
		w.quiet()
	})
}

func TestScenario3DifferentAtFirstSightIsAConflict(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "left")
		w.put(1, "1", "right")
		w.sync()
		w.want(0, "1=left")
		w.want(1, "1=right")
		if got := w.conflicts(); !slices.Equal(got, []string{"1 added"}) {
			t.Errorf("conflicts %v", got)
		}
		w.quiet()
		w.rules.Policy, w.rules.Prefer = "member", "a/cal"
		w.sync()
		w.all("1=left")
		if got := w.conflicts(); len(got) > 0 {
			t.Errorf("it is settled, and still open: %v", got)
		}
		if got := w.history(); !slices.Equal(got, []string{"b overwritten right"}) {
			t.Errorf("history %v", got)
		}
	})
}

func TestScenario4NewItemsAndEditsGoEitherWay(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.all("1=one")
		w.put(1, "1", "uno")
		w.sync()
		w.all("1=uno")
		w.put(1, "2", "two")
		w.put(0, "1", "eins")
		w.sync()
		w.all("1=eins 2=two")
		w.quiet()
	})
}

func TestScenario5DeletionsGoEitherWay(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.put(0, "2", "two")
		w.sync()
		w.remove(1, "1")
		w.sync()
		w.all("2=two")
		w.put(0, "1", "one")
		w.sync()
		w.all("1=one 2=two")
		w.remove(0, "2")
		w.sync()
		w.all("1=one")
		w.quiet()
		if got := w.history(); !slices.Equal(got, []string{"a deleted one", "b deleted two"}) {
			t.Errorf("history %v", got)
		}
	})
}

// A second run asks what moved; a third, told that nothing did, asks nothing.
func TestScenario6FurtherRunsReadFetchAndWriteNothing(t *testing.T) {
	over(t, 3, func(t *testing.T, w *world) {
		for i := range 5 {
			w.put(i%3, fmt.Sprint(i), "x")
		}
		w.sync()
		for range 3 {
			w.quiet()
		}
	})
}

func TestScenario6WhatDidNotMoveIsNotEvenAsked(t *testing.T) {
	t.Run("memory", func(t *testing.T) { asksNobody(t, newWorldOnDisk(t, 3)) })
	t.Run("folder, server, folder", func(t *testing.T) {
		w := newWorldOnDisk(t, 3)
		w.furnish(t, "folder", "server", "folder")
		asksNobody(t, w)
	})
}

func asksNobody(t *testing.T, w *world) {
	for i := range 5 {
		w.put(i%3, fmt.Sprint(i), "x")
	}
	w.sync()
	w.quiet()
	for i := range w.members {
		w.members[i].State = "s1"
	}
	w.sync()
	before := fmt.Sprintf("%+v", w.book())
	log, err := os.ReadFile(w.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	w.reset()
	w.sync()
	if now, err := os.ReadFile(w.path + "-wal"); err != nil || !bytes.Equal(log, now) {
		t.Errorf("something was written to the ledger (%v)", err)
	}
	for i, p := range w.places {
		if c := p.Counts(); c != (memory.Counts{}) {
			t.Errorf("%s was asked: %+v", w.members[i].ID, c)
		}
	}
	if after := fmt.Sprintf("%+v", w.book()); after != before {
		t.Errorf("the ledger moved\n%s\n%s", before, after)
	}
	// What is told to have moved is looked at.
	w.put(0, "1", "moved")
	w.members[0].State = "s2"
	w.sync()
	w.want(2, w.has(0))
}

func TestScenario7BothEditedIsAConflictThatMembersMayWin(t *testing.T) {
	for _, winner := range []engine.MemberID{"a/cal", "b/cal"} {
		over(t, 2, func(t *testing.T, w *world) {
			w.put(0, "1", "one")
			w.put(0, "2", "two")
			w.sync()
			w.put(0, "1", "a")
			w.put(1, "1", "b")
			w.put(1, "2", "zwei")
			w.sync()
			w.want(0, "1=a 2=zwei") // the other item is not held up
			w.want(1, "1=b 2=zwei")
			w.quiet()
			w.rules.Policy, w.rules.Prefer = "member", winner
			w.sync()
			w.all("1=" + string(winner[0]) + " 2=zwei")
			w.quiet()
		})
	}
}

func TestScenario8BothEditedToTheSame(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.put(0, "1", "two")
		w.put(1, "1", "two")
		w.reset()
		w.sync()
		if w.writes() > 0 || len(w.conflicts()) > 0 {
			t.Errorf("%d writes, conflicts %v", w.writes(), w.conflicts())
		}
		w.quiet()
		w.put(1, "1", "three")
		w.sync()
		w.all("1=three")
	})
}

func TestScenario9AnEditBeatsADeletion(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.put(0, "1", "two")
		w.remove(1, "1")
		w.sync()
		w.all("1=two")
		w.quiet()
	})
}

func TestScenario10ADeletionOfWhatNobodyChanged(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.remove(1, "1")
		w.sync()
		w.all("")
		w.quiet()
	})
}

func TestScenario11AnUnknownPolicyChangesNothing(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.rules.Policy = "whatever"
		if _, err := w.try(group.Options{}); !engine.IsKind(err, engine.Invalid) {
			t.Errorf("got %v", err)
		}
		w.want(1, "")
	})
}

func TestScenario12WrongEtagsAreCorrected(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.touch(0, "1")
		w.reset()
		w.sync()
		if w.writes() > 0 {
			t.Errorf("%d writes", w.writes())
		}
		w.quiet()
	})
}

func TestScenario13ATouchIsNoEdit(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.touch(0, "1")
		w.put(1, "1", "two")
		w.reset()
		w.sync()
		w.all("1=two")
		if n := w.places[1].Counts().Writes(); n > 0 {
			t.Errorf("%d writes at b", n)
		}
	})
}

func TestScenario14NewItemsAreFetchedInOneCall(t *testing.T) {
	overServer(t, 0, func(t *testing.T, w *world) {
		for i := range 100 {
			w.put(0, fmt.Sprint(i), "x")
		}
		w.sync()
		w.want(1, w.has(0))
		if !w.real && w.places[0].Counts().Fetch != 1 {
			t.Errorf("%d calls", w.places[0].Counts().Fetch)
		}
		if w.real && (w.servers[0].Count("REPORT") > 2 || w.servers[0].Count("GET") > 0) {
			t.Errorf("%d reports, %d times one by one", w.servers[0].Count("REPORT"), w.servers[0].Count("GET"))
		}
	})
}

// Scenario 19, a policy "error" for read-only members, is not ours: what they
// cannot take stays where it is, and is seen in the plan of a dry run.

// Scenario 28 is storm_test.go.
