package group_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

var errDied = errors.New("the process has died")

// dieAfter lets the daemon die when a member has made n writes: that write is
// made, and nothing can be recorded or asked any more.
func (w *world) dieAfter(member, n int) (revive func()) {
	if w.real {
		return w.dieAfterRequest(member, n)
	}
	dead := false
	s := w.stores[member]
	s.After = func(memory.Call) error {
		if n--; n == 0 {
			dead = true
		}
		if dead {
			return engine.Fail(engine.ConnectionLost, "write", "", "gone")
		}
		return nil
	}
	for _, s := range w.stores {
		s.Before = func(c memory.Call) error {
			if dead {
				return engine.Fail(engine.Offline, c.Name, "", "gone")
			}
			return nil
		}
	}
	w.ledger.Before = func() error {
		if dead {
			return errDied
		}
		return nil
	}
	return func() {
		dead = false
		s.After, w.ledger.Before = nil, nil
		for _, s := range w.stores {
			s.Before = nil
		}
	}
}

func died(err error) bool { return errors.Is(err, errDied) || engine.IsKind(err, engine.Cancelled) }

func TestScenario40KilledDuringTheFirstUploadDeletedItemsStayDeleted(t *testing.T) {
	overServer(t, 1, func(t *testing.T, w *world) {
		all := 300
		if w.real {
			all = 60
		}
		for i := range all {
			w.put(0, fmt.Sprintf("%03d", i), "x")
		}
		revive := w.dieAfter(1, all*2/3)
		if _, err := w.try(group.Options{}); !died(err) {
			t.Fatalf("got %v", err)
		}
		revive()
		for i := range 5 {
			w.remove(0, fmt.Sprintf("%03d", i))
		}
		w.sync()
		want := w.has(0)
		w.want(1, want)
		if strings.Contains(want, "003=") || strings.Count(want, "=") != all-5 || len(w.conflicts()) > 0 {
			t.Errorf("%d items, conflicts %v", strings.Count(want, "="), w.conflicts())
		}
		w.quiet()
	})
}

func TestScenario41KilledBetweenAWriteAndItsRecord(t *testing.T) {
	for _, rewrite := range []bool{false, true} {
		for _, real := range []bool{false, true} {
			w := newWorldOnDisk(t, 2)
			if real {
				w.furnish(t, "folder", "server")
			}
			if rewrite {
				w.stores[1].Rewrite = rewriter
			}
			w.put(0, "1", "one")
			w.put(0, "2", "two")
			w.put(0, "3", "three")
			w.sync()
			// One of each verb, each cut off.
			w.put(0, "1", "uno")
			w.remove(0, "2")
			w.put(0, "4", "four")
			for n := range 3 {
				revive := w.dieAfter(1, 1)
				// Two requests under way at once may both have been cut off.
				if _, err := w.try(group.Options{}); !died(err) && !(real && n > 0 && err == nil) {
					t.Fatalf("run %d: %v", n, err)
				}
				revive()
				w.ledger.Close()
				w.open()
			}
			w.sync()
			w.all("1=uno 3=three 4=four")
			if len(w.conflicts()) > 0 || len(w.problems()) > 0 {
				t.Errorf("conflicts %v, problems %v", w.conflicts(), w.problems())
			}
			if got := w.history(); !slices.Equal(got, []string{"b deleted two", "b overwritten one"}) {
				t.Errorf("history %v", got)
			}
			w.quiet()
		}
	}
}

// A server that applies a write and then answers 500.
func TestAWriteThatWasMadeAndDeniedIsRecognised(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[1].After = func(memory.Call) error { return engine.Fail(engine.ServerError, "write", "", "500") }
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one")
	w.put(0, "1", "two")
	w.sync()
	w.all("1=two")
	w.remove(0, "1")
	w.sync()
	w.all("")
	if len(w.conflicts()) > 0 || len(w.problems()) > 0 {
		t.Errorf("conflicts %v, problems %+v", w.conflicts(), w.problems())
	}
}

// What somebody else put in the place of a write of unknown fate is not ours.
func TestAStrangersTextInThePlaceOfALostWriteIsNotOurs(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	fail := true
	w.stores[1].Before = func(c memory.Call) error {
		if c.Name == "create" && fail {
			fail = false
			return engine.Fail(engine.Timeout, "create", "", "who knows")
		}
		return nil
	}
	w.sync()
	w.put(1, "1", "somebody's own")
	w.sync()
	w.want(0, "1=one")
	w.want(1, "1=somebody's own")
	if len(w.conflicts()) != 1 {
		t.Errorf("conflicts %v", w.conflicts())
	}
}

// I8: a lost ledger is a first run.
func TestALostLedgerDeletesNothing(t *testing.T) {
	w := newWorldOnDisk(t, 2)
	for i := range 5 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	w.put(0, "0", "moved")
	w.remove(1, "4")
	w.ledger.Close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(w.path + suffix)
	}
	w.open()
	w.reset()
	w.sync()
	w.want(0, "0=moved 1=x 2=x 3=x 4=x")
	w.want(1, "0=x 1=x 2=x 3=x 4=x") // united; what differs is a conflict
	if got := w.conflicts(); !slices.Equal(got, []string{"0 added"}) || w.writes() != 1 {
		t.Errorf("conflicts %v, %d writes", got, w.writes())
	}
	if w.result.Set.SlowReason != "first sync" {
		t.Errorf("reason %q", w.result.Set.SlowReason)
	}
}

func TestACancelledRunKeepsWhatIsDone(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 500 {
		uid := fmt.Sprintf("%03d", i)
		w.stores[0].Put(engine.Ref(uid), event(uid, "x"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.stores[1].After = func(c memory.Call) error {
		if c.N == 199 {
			cancel()
		}
		return nil
	}
	_, err := group.Sync(ctx, w.ledger.Set(key), w.members, w.rules, group.Options{Job: 1}, w)
	if !engine.IsKind(err, engine.Cancelled) {
		t.Fatalf("got %v", err)
	}
	if n := strings.Count(w.has(1), "="); n != 200 {
		t.Errorf("%d were written", n)
	}
	if n := len(w.book().Marks); n != 500+200 {
		t.Errorf("%d marks are recorded, want 500 and 200", n)
	}
	w.stores[1].After = nil
	w.reset()
	w.sync()
	w.want(1, w.has(0))
	if n := w.stores[1].Counts().Create; n != 300 {
		t.Errorf("%d were written in the second run", n)
	}
}

func TestAFetchOfManyIsStoredAsItComesAndNotFetchedTwice(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 600 {
		uid := fmt.Sprintf("%03d", i)
		w.stores[0].Put(engine.Ref(uid), event(uid, "x"))
	}
	w.stores[0].Before = func(c memory.Call) error {
		if c.Name == "fetch" && c.N == 550 {
			w.members[0].Storage = cutFetch{w.stores[0]}
		}
		return nil
	}
	w.members[0].Storage = cutFetch{w.stores[0]}
	w.sync()
	w.want(1, "")
	w.members[0].Storage, w.stores[0].Before = w.stores[0], nil
	w.reset()
	w.sync()
	w.want(1, w.has(0))
	if n := w.stores[0].Counts().Fetched; n != 100 {
		t.Errorf("%d were read again", n)
	}
}

// cutFetch loses its connection after 500 items.
type cutFetch struct{ *memory.Storage }

func (s cutFetch) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		n := 0
		for it, err := range s.Storage.Fetch(ctx, refs) {
			if n++; n > 500 {
				yield(engine.Item{}, engine.Fail(engine.ConnectionLost, "fetch", "", "cut"))
				return
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// An item that may or may not have been written, and cannot be read, has not been
// let go by anybody.
func TestADoubtAboutAWriteNeverLooksLikeADeletion(t *testing.T) {
	w := newWorld(t, 3)
	w.stores[2].After = func(memory.Call) error { return engine.Fail(engine.Timeout, "create", "", "who knows") }
	w.stores[2].Before = func(c memory.Call) error {
		if c.Name == "fetch" && c.Ref != "" {
			return engine.Fail(engine.InvalidItem, "fetch", string(c.Ref), "cannot be read")
		}
		return nil
	}
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "2", "two") // and a second round in which nobody asks c
	w.stores[1].Before = func(c memory.Call) error {
		if c.Name == "create" && c.N == 1 {
			return engine.Fail(engine.Changed, "create", "2", "not now")
		}
		return nil
	}
	w.sync()
	w.sync()
	w.want(0, "1=one 2=two")
	w.want(1, "1=one 2=two")
	w.stores[2].After, w.stores[2].Before = nil, nil
	w.sync(group.Options{Slow: true})
	w.all("1=one 2=two")
	w.quiet()
}
