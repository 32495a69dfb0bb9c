package group_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// The token that a survey got tells only once that a name is gone.
func TestANameThatIsGoneStaysGoneWhateverBecomesOfItsItem(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[1].Put("first", event("1", "one"))
	w.put(1, "2", "quiet")
	w.sync()
	w.stores[1].Remove("first")
	w.stores[1].Put("second", event("1", "other"))
	w.put(0, "1", "edited")
	w.sync()
	if got := w.conflicts(); len(got) != 1 {
		t.Fatalf("conflicts %v, want one", got)
	}
	for range 2 {
		w.put(1, "2", "moves") // so that the set is not at rest
		if w.sync(); len(w.problems()) > 0 {
			t.Fatalf("a name that is gone is there again: %+v", w.problems())
		}
	}
	w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "a/cal"}})
	w.all("1=edited 2=moves")
	w.quiet()
}

func TestADuplicateThatIsRemovedIsOver(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[1].Put("first", event("1", "one"))
	w.sync()
	twice := func() {
		w.stores[1].Remove("first")
		w.stores[1].Put("second", event("1", "two"))
		w.stores[1].Put("third", event("1", "three"))
		w.sync()
		if got := w.problems(); len(got) != 1 || got[0].Item != "second, third" {
			t.Fatalf("problems %+v, want both names", got)
		}
		w.explained("b/cal has it under a name that is not known")
	}
	twice()
	w.stores[1].Remove("third")
	w.sync()
	if got := w.problems(); len(got) > 0 {
		t.Errorf("still a problem: %+v", got)
	}
	w.all("1=two")
	w.quiet()

	w.stores[1].Remove("second")
	w.stores[1].Put("first", event("1", "two"))
	w.sync()
	twice()
	w.stores[1].Remove("second")
	w.stores[1].Remove("third")
	w.stores[0].Before = func(c memory.Call) error { // so that nothing is decided yet
		return engine.Fail(engine.ServerBusy, c.Name, "", "busy")
	}
	w.try(group.Options{})
	w.stores[0].Before = nil
	w.put(1, "1", "two") // it is back, which is news
	w.remove(0, "1")
	w.sync()
	w.all("1=two")
	w.quiet()
}

// explained looks for a line of why the item is as it is.
func (w *world) explained(line string) {
	w.t.Helper()
	lines, err := w.ledger.Explain("a/cal", "1")
	if err != nil || !slices.Contains(lines, line) {
		w.t.Errorf("%v, %v: want %q", lines, err, line)
	}
}

func TestWhatIsNotReadYetMayBeWhatADoubtfulWriteMade(t *testing.T) {
	w := ownWorld(t, 2, 1)
	w.put(0, "u", "one")
	lose, blind := true, true
	w.stores[1].After = func(memory.Call) error {
		if lose {
			return engine.Fail(engine.ConnectionLost, "create", "", "lost") // it is there
		}
		return nil
	}
	w.stores[1].Before = func(c memory.Call) error {
		if blind && c.Name == "fetch" && c.Ref != "" {
			return engine.Fail(engine.ServerBusy, "fetch", string(c.Ref), "busy")
		}
		return nil
	}
	w.try(group.Options{})
	lose = false
	for range 3 {
		w.try(group.Options{})
		if n := len(w.places[1].Texts()); n != 1 {
			t.Fatalf("%d items, want the one that was made", n)
		}
	}
	blind = false
	w.sync()
	w.want(0, "u=one")
	w.want(1, "own-1=one")
	w.quiet()
}

// It gave the item up before, so that it has a mark: the write of which nobody knows
// what came of it is news all the same.
func TestADoubtfulWriteOfAnItemThatCameBackIsRecognised(t *testing.T) {
	w := ownWorld(t, 2, 1)
	w.put(1, "9", "one")
	w.sync()
	w.remove(1, "9")
	w.put(0, "9", "two") // which beats that
	w.stores[1].After = func(memory.Call) error { return engine.Fail(engine.ConnectionLost, "create", "", "lost") }
	w.try(group.Options{})
	w.stores[1].After = nil
	w.put(0, "9", "three")
	w.sync()
	w.want(0, "9=three")
	if got := strings.Count(w.has(1), "="); got != 1 || !strings.HasSuffix(w.has(1), "=three") {
		t.Errorf("b has %s", w.has(1))
	}
	w.quiet()
}

func TestAnItemIsNotForgottenWhileSomebodyMayHaveItAgain(t *testing.T) {
	w := newWorld(t, 3)
	w.put(1, "1", "one")
	w.sync()
	w.remove(1, "1")
	w.put(0, "1", "two") // which beats that
	w.stores[1].After = func(memory.Call) error { return engine.Fail(engine.ConnectionLost, "create", "", "lost") }
	w.try(group.Options{})
	w.stores[1].After = nil
	w.members[1].Err = engine.Fail(engine.Offline, "open", "b/cal", "away")
	w.remove(0, "1")
	w.sync()
	w.want(2, "")
	w.members[1].Err = nil
	w.want(1, "1=two")
	w.sync()
	w.all("")
	w.quiet()
}

// A file that an editor has half written tells no UID; its name does.
func TestAnItemWhoseTextTellsNothingIsKnownByItsName(t *testing.T) {
	w := newWorld(t, 2)
	w.put(1, "other", "other")
	w.sync()
	w.put(0, "u", "one")
	w.stores[1].Put("u", []byte("BEGIN:VCAL"))
	w.sync()
	if n := w.stores[1].Counts().Create; n != 0 {
		t.Errorf("%d items made beside it", n)
	}
	w.stores[1].Put("u", event("u", "one"))
	w.sync()
	w.all("other=other u=one")
	w.quiet()
}

// What a run asks for depends on what it knows and on nothing else.
func TestWhatCouldNotBeReadIsAskedForInOneOrder(t *testing.T) {
	for range 8 {
		w := newWorld(t, 2)
		busy, last := true, ""
		w.stores[0].Before = func(c memory.Call) error {
			if c.Name != "fetch" || c.Ref == "" {
				return nil
			}
			if busy {
				return engine.Fail(engine.ServerBusy, "fetch", string(c.Ref), "busy")
			}
			if string(c.Ref) < last {
				t.Errorf("%s was asked for after %s", c.Ref, last)
			}
			last = string(c.Ref)
			return nil
		}
		for _, uid := range []string{"1", "2", "3", "4", "5", "6"} {
			w.put(0, uid, "text")
		}
		w.try(group.Options{})
		busy = false
		w.sync()
		if last != "6" {
			t.Errorf("asked for up to %q", last)
		}
	}
}

// A mute storage does not answer about some of what it is asked for.
type mute struct {
	*memory.Storage
	about engine.Ref
}

func (m *mute) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return m.Storage.Fetch(ctx, slices.DeleteFunc(slices.Clone(refs), func(r engine.Ref) bool { return r == m.about }))
}

// The token that came with its name tells of it only once.
func TestWhatWasNotAnsweredIsAskedForUntilItIs(t *testing.T) {
	for _, known := range []bool{false, true} {
		w := newWorld(t, 2)
		m := &mute{Storage: w.stores[0]}
		w.members[0].Storage = m
		w.put(0, "1", "one")
		want := "1=one 2=two"
		if known {
			w.put(0, "2", "old")
			w.sync()
		}
		w.put(0, "2", "two")
		m.about = "2"
		for range 2 {
			w.sync()
			if strings.Contains(w.has(1), "two") || known && !strings.Contains(w.has(1), "2=old") {
				t.Fatalf("b has %s", w.has(1))
			}
		}
		m.about = ""
		w.sync()
		w.all(want)
		w.quiet()
	}
}
