package group_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

// The user changed url or path, or a folder was replaced: never deletions.
func TestScenario79AnotherStorageUnderTheSameNameStartsWithoutMarks(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 3 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	old := w.stores[1]
	w.stores[1] = &memory.Storage{}
	w.places[1] = w.stores[1]
	w.members[1].Storage, w.members[1].Identity = w.stores[1], "another"
	w.put(1, "0", "x")
	w.sync()
	w.all("0=x 1=x 2=x")
	if w.result.Set.SlowReason != "b/cal is new here" {
		t.Errorf("reason %q", w.result.Set.SlowReason)
	}
	// And back: what happened meanwhile reaches it, and its marks still stand.
	w.put(0, "1", "moved")
	w.sync()
	w.stores[1], w.places[1] = old, old
	w.members[1].Storage, w.members[1].Identity = old, "memory:b/cal"
	w.put(1, "2", "edited there")
	w.sync()
	w.all("0=x 1=moved 2=edited there")
	w.quiet()
}

func TestALateMemberIsLeftOutAndOverwritesNothing(t *testing.T) {
	w := newWorld(t, 3)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.put(0, "3", "three")
	w.sync()
	late := w.members[2].Storage
	w.members[2].Storage, w.members[2].Err = nil, engine.Fail(engine.Offline, "open", "c/cal", "no route")
	w.put(0, "1", "newer")
	w.remove(0, "2")
	res := w.sync()
	w.want(1, "1=newer 3=three")
	w.want(2, "1=one 2=two 3=three")
	if res.Set.Failure.Set || res.Members[2].Failure.Kind != engine.Offline {
		t.Errorf("%+v", res)
	}
	w.members[2].Storage, w.members[2].Err = late, nil
	w.put(2, "1", "late edit")
	w.put(2, "3", "drei")
	w.sync()
	w.want(0, "1=newer 3=drei")
	w.want(2, "1=late edit 3=drei") // a conflict, and the deletion has arrived
	if got := w.conflicts(); !slices.Equal(got, []string{"1 modified"}) {
		t.Errorf("conflicts %v", got)
	}
	w.rules.Policy = "merge"
	w.put(2, "1", "one") // as it was before: no edit any more
	w.sync()
	w.all("1=newer 3=drei")
	if len(w.conflicts()) > 0 {
		t.Errorf("the world settled it, and it is open: %v", w.conflicts())
	}
}

func TestTwoMembersMustAnswer(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.members[1].Storage, w.members[1].Err = nil, engine.Fail(engine.AuthFailed, "open", "b/cal", "401")
	if res := w.sync(); res.Set.Failure.Kind != engine.AuthFailed || res.Members[0].Failure.Set {
		t.Errorf("%+v", res)
	}
	if res := w.sync(); res.Count["a/cal"] != 1 {
		t.Errorf("%+v", res.Count)
	}
}

func TestOneWay(t *testing.T) {
	w := newWorld(t, 3)
	w.rules.From = "b/cal"
	w.put(1, "1", "one")
	w.put(1, "2", "two")
	w.put(0, "9", "its own")
	w.sync()
	w.want(0, "1=one 2=two 9=its own")
	w.want(2, "1=one 2=two")
	w.put(0, "1", "edited")
	w.remove(2, "2")
	w.put(1, "3", "three")
	w.reset()
	w.sync()
	w.want(0, "1=one 2=two 3=three 9=its own")
	w.want(2, "1=one 2=two 3=three")
	if n := w.stores[1].Counts().Writes(); n > 0 {
		t.Errorf("%d writes to the source", n)
	}
	if !slices.Contains(w.history(), "a overwritten edited") {
		t.Errorf("history %v", w.history())
	}
	w.remove(1, "1")
	w.put(0, "1", "edited again")
	w.sync()
	w.want(0, "2=two 3=three 9=its own")
	w.quiet()
	// Nothing while the source is away.
	src := w.members[1].Storage
	w.members[1].Storage, w.members[1].Err = nil, engine.Fail(engine.Offline, "open", "b/cal", "no route")
	w.put(0, "2", "meanwhile")
	if res := w.sync(); res.Set.Failure.Kind != engine.Offline {
		t.Errorf("%+v", res.Set.Failure)
	}
	w.want(2, "2=two 3=three")
	w.members[1].Storage, w.members[1].Err = src, nil
	w.sync()
	w.want(0, "2=two 3=three 9=its own")
}

func TestScenario36ADryRunNamesWhatItWouldDoAndTouchesNothing(t *testing.T) {
	t.Run("memory", func(t *testing.T) { runsDry(t, newWorldOnDisk(t, 2)) })
	t.Run("folder, server", func(t *testing.T) {
		w := newWorldOnDisk(t, 2)
		w.furnish(t, "folder", "server")
		runsDry(t, w)
	})
}

func runsDry(t *testing.T, w *world) {
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.put(0, "3", "three")
	w.sync()
	w.put(0, "1", "uno")
	w.remove(1, "2")
	w.put(1, "4", "four")
	w.put(0, "3", "left")
	w.put(1, "3", "right")
	before := fmt.Sprintf("%+v", w.book())
	log, err := os.ReadFile(w.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	w.reset()
	res := w.sync(group.Options{DryRun: true})
	if w.writes() > 0 || fmt.Sprintf("%+v", w.book()) != before {
		t.Error("it did something")
	}
	if now, err := os.ReadFile(w.path + "-wal"); err != nil || string(now) != string(log) {
		t.Errorf("it wrote to the ledger (%v)", err)
	}
	if want := []string{"add a 4", "conflict a 3", "modify b 1", "remove a 2"}; !slices.Equal(w.steps, want) {
		t.Errorf("it names %v, want %v", w.steps, want)
	}
	if c := res.Set.Counts; c.Added != 1 || c.Modified != 1 || c.Removed != 1 || c.Conflicts != 1 {
		t.Errorf("counts %+v", c)
	}
	w.sync()
	w.want(0, "1=uno 3=left 4=four")
}

func TestADryRunOfAFirstSync(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.rules.Policy = "merge"
	w.put(0, "2", "left")
	w.put(1, "2", "right")
	w.sync(group.Options{DryRun: true})
	if want := []string{"add b 1", "conflict a 2"}; !slices.Equal(w.steps, want) || w.writes() > 0 || len(w.book().Members) > 0 {
		t.Errorf("it names %v; %+v", w.steps, w.book())
	}
}

func TestAMemberThatFailsWhileItIsWrittenEndsAloneAndKeepsWhatIsDone(t *testing.T) {
	w := newWorld(t, 3)
	for i := range 5 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.stores[1].Before = func(c memory.Call) error {
		if c.Name == "create" && c.N == 2 {
			return engine.Fail(engine.QuotaExceeded, "create", "", "full")
		}
		return nil
	}
	res := w.sync()
	w.want(2, w.has(0))
	if n := strings.Count(w.has(1), "="); n != 2 || res.Members[1].Failure.Kind != engine.QuotaExceeded || res.Members[1].Added != 2 || res.Members[2].Failure.Set {
		t.Errorf("b has %d; %+v", n, res.Members)
	}
	if p := w.problems(); len(p) > 0 {
		t.Errorf("a full disk is no item's problem: %+v", p)
	}
	w.stores[1].Before = nil
	w.sync()
	w.want(1, w.has(0))
	w.quiet()
}

func TestDisplacedBytesGoToHistory(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "two")
	w.members[1].Storage = displacer{w.stores[1]}
	w.sync()
	if !slices.Contains(w.history(), "b conflict caught between") {
		t.Errorf("history %v", w.history())
	}
}

type displacer struct{ *memory.Storage }

func (d displacer) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i := range writes {
			if !yield(i, engine.Outcome{Displaced: event("1", "caught between"), Err: engine.Fail(engine.Changed, "replace", "1", "edited meanwhile")}) {
				return
			}
		}
	}
}

func TestAStorageThatGivesItsOwnUIDsIsNotCopiedBack(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[1].Rewrite = func(text []byte) []byte {
		if uid := item.Read(text).UID; !strings.HasPrefix(string(uid), "own-") {
			text = item.WithUID(text, "own-"+uid)
		}
		return text
	}
	w.put(0, "1", "one")
	w.sync()
	w.want(0, "1=one")
	w.want(1, "own-1=one")
	w.quiet()
	w.put(0, "1", "two")
	w.sync()
	w.want(1, "own-1=two")
	w.quiet()
	w.put(1, "own-1", "three")
	w.sync()
	w.want(0, "1=three")
	w.quiet()
	w.remove(0, "1")
	w.sync()
	w.all("")
}
