package group_test

import (
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

// withClock is a world whose clock a test turns.
func withClock(t *testing.T, members int) (*world, *time.Time) {
	w := newWorld(t, members)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l, err := ledger.OpenMemory(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	w.ledger.Close()
	w.ledger = l
	return w, &now
}

// I10: a refused write waits for its time, and for no longer when the clock was
// wrong in between.
func TestAClockThatIsSetBackMakesNothingWaitForYears(t *testing.T) {
	w, now := withClock(t, 2)
	refuse := true
	w.stores[1].Refuse = func(engine.Write) error {
		if refuse {
			return engine.Fail(engine.TooLarge, "create", "1", "no")
		}
		return nil
	}
	w.put(0, "1", "one")
	w.sync()
	refuse = false
	*now = now.Add(14 * time.Minute)
	w.sync()
	w.want(1, "") // not yet: it waits for a quarter of an hour
	*now = now.AddDate(-3, 0, 0)
	w.sync()
	w.all("1=one")
}

// I10: the storage that a member was last is the one that was surveyed last,
// whatever the clock said then.
func TestAnAbsentMemberIsTheStorageItWasLastThoughTheClockWentBack(t *testing.T) {
	w, now := withClock(t, 3)
	w.put(0, "1", "one")
	w.sync()
	*now = now.AddDate(-3, 0, 0)
	w.stores[2] = w.stores[2].Copy() // c moves to another, empty, storage
	w.places[2] = w.stores[2]
	w.members[2].Storage, w.members[2].Identity = w.stores[2], "memory:other"
	w.put(0, "2", "two")
	w.sync()
	w.all("1=one 2=two")
	// Away, and known by its name alone, it still has what it was given there:
	// the item is not forgotten while c may have it.
	w.members[2].Storage, w.members[2].Identity, w.members[2].Err = nil, "", engine.Fail(engine.Offline, "open", "c/cal", "away")
	w.remove(0, "2")
	w.remove(1, "2")
	w.sync()
	w.members[2].Storage, w.members[2].Identity, w.members[2].Err = w.stores[2], "memory:other", nil
	w.sync()
	w.all("1=one")
}

// What a person decides is about what that person saw.
func TestADecisionIsNotAppliedToATextThatNobodySaw(t *testing.T) {
	for _, choice := range []string{"merged", "member", "both"} {
		w := newWorld(t, 2)
		w.put(0, "1", "left")
		w.put(1, "1", "right")
		w.sync()
		w.put(0, "1", "left again")
		decide := group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: choice, Member: "b/cal"}}
		if _, err := w.try(decide); !engine.IsKind(err, engine.Changed) {
			t.Errorf("%s: got %v", choice, err)
		}
		w.want(0, "1=left again")
		w.want(1, "1=right")
		w.sync(decide) // now it was seen
		if len(w.conflicts()) > 0 {
			t.Errorf("%s: conflicts %v", choice, w.conflicts())
		}
	}
}

// A server that gives no etags and rewrites: who edits there between our write
// and our look at it has edited.
func TestAnEditBeforeTheReadBackIsNotTakenForTheServersRewriting(t *testing.T) {
	for _, inline := range []bool{false, true} {
		w := newWorld(t, 2)
		s := w.stores[1]
		s.NoEtags, s.Rewrite, s.Inline = true, rewriter, inline
		w.put(0, "1", "one")
		w.sync()
		w.put(0, "1", "two")
		edited := false
		s.After = func(memory.Call) error {
			if !edited {
				edited = true
				s.Put("1", rewriter(event("1", "three")))
			}
			return nil
		}
		w.sync()
		w.sync()
		w.all("1=three")
		if !edited || len(w.conflicts()) > 0 {
			t.Errorf("edited %v, conflicts %v", edited, w.conflicts())
		}
		w.sync()
		w.reset()
		if w.sync(); w.writes() > 0 {
			t.Errorf("it goes on: %v", w.steps)
		}
	}
}

// An item that somebody holds (423) waits; nothing of the write is left behind.
func TestABusyItemIsTriedAgainAndLeavesNoTrace(t *testing.T) {
	w, now := withClock(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	busy := true
	w.stores[1].Before = func(c memory.Call) error {
		if c.Name == "replace" && c.Ref == "1" && busy {
			return engine.Fail(engine.Busy, "replace", "1", "locked")
		}
		return nil
	}
	w.put(0, "1", "uno")
	w.put(0, "2", "dos")
	w.sync()
	w.want(1, "1=one 2=dos")
	if p, h := w.problems(), w.history(); len(p) != 1 || len(h) != 1 {
		t.Errorf("problems %+v, history %v", p, h)
	}
	busy = false
	*now = now.Add(time.Hour)
	w.sync()
	w.all("1=uno 2=dos")
	if p := w.problems(); len(p) > 0 {
		t.Errorf("problems %+v", p)
	}
}
