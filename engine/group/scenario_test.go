package group_test

import (
	"bytes"
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
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

// The tests below are the scenarios of research/sync-engines.md, section 4, by
// number, as far as they concern sets and members.

func TestScenario1BothEmptyWithARowLeft(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.remove(0, "1")
	w.remove(1, "1")
	w.sync()
	w.all("")
	if b := w.book(); len(b.Items)+len(b.Marks)+len(b.Seen) > 0 {
		t.Errorf("the ledger still has %+v", b)
	}
}

func TestScenario2TheSameOnBothIsLinked(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.stores[1].Put("other-name", event("1", "one"))
	w.sync()
	if w.writes() != 0 || len(w.book().Items) != 1 || len(w.conflicts()) > 0 {
		t.Errorf("%d writes, %+v", w.writes(), w.book().Items)
	}
	w.quiet()
}

func TestScenario3DifferentAtFirstSightIsAConflict(t *testing.T) {
	w := newWorld(t, 2)
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
}

func TestScenario4NewItemsAndEditsGoEitherWay(t *testing.T) {
	w := newWorld(t, 2)
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
}

func TestScenario5DeletionsGoEitherWay(t *testing.T) {
	w := newWorld(t, 2)
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
}

// A second run asks what moved; a third, told that nothing did, asks nothing.
func TestScenario6FurtherRunsReadFetchAndWriteNothing(t *testing.T) {
	w := newWorldOnDisk(t, 3)
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
	for i, s := range w.stores {
		if c := s.Counts(); c != (memory.Counts{}) {
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
		w := newWorld(t, 2)
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
	}
}

func TestScenario8BothEditedToTheSame(t *testing.T) {
	w := newWorld(t, 2)
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
}

func TestScenario9AnEditBeatsADeletion(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "two")
	w.remove(1, "1")
	w.sync()
	w.all("1=two")
	w.quiet()
}

func TestScenario10ADeletionOfWhatNobodyChanged(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.remove(1, "1")
	w.sync()
	w.all("")
	w.quiet()
}

func TestScenario11AnUnknownPolicyChangesNothing(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.rules.Policy = "whatever"
	if _, err := w.try(group.Options{}); !engine.IsKind(err, engine.Invalid) {
		t.Errorf("got %v", err)
	}
	w.want(1, "")
}

func TestScenario12WrongEtagsAreCorrected(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.stores[0].Touch("1")
	w.reset()
	w.sync()
	if w.writes() > 0 {
		t.Errorf("%d writes", w.writes())
	}
	w.quiet()
}

func TestScenario13ATouchIsNoEdit(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.stores[0].Touch("1")
	w.put(1, "1", "two")
	w.reset()
	w.sync()
	w.all("1=two")
	if n := w.stores[1].Counts().Writes(); n > 0 {
		t.Errorf("%d writes at b", n)
	}
}

func TestScenario14NewItemsAreFetchedInOneCall(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 300 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	if n := w.stores[0].Counts().Fetch; n != 1 {
		t.Errorf("%d calls", n)
	}
	w.want(1, w.has(0))
}

func TestScenario15AnEmptiedMemberEmptiesNobody(t *testing.T) {
	for emptied := range 2 {
		w := newWorld(t, 2)
		for i := range 4 {
			w.put(0, fmt.Sprint(i), "x")
		}
		w.sync()
		full := w.has(0)
		for i := range 4 {
			w.remove(emptied, fmt.Sprint(i))
		}
		w.sync()
		w.want(1-emptied, full)
		if p := w.problems(); len(p) != 4 || !p[0].Held || p[0].Failure.Kind != engine.NeedsConfirmation {
			t.Errorf("problems %+v", p)
		}
		w.quiet()
		w.sync(group.Options{Proceed: true})
		w.all("")
		if p := w.problems(); len(p) > 0 {
			t.Errorf("still held: %+v", p)
		}
	}
}

func TestScenario16ItemsWithoutUID(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[0].Put("x", event("", "one"))
	w.stores[1].Put("y", event("", "two"))
	w.sync()
	w.all("=one =two")
	w.quiet()
	w.stores[0].Put("x", event("", "changed"))
	w.sync()
	w.all("=changed =two")
	w.stores[0].Put("x", event("gained", "changed"))
	w.sync()
	w.all("=two gained=changed")
	w.quiet()
}

func TestScenario17AUIDChangedInPlace(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	w.stores[0].Put("1", event("9", "nine"))
	w.sync()
	w.all("2=two 9=nine")
	w.quiet()
}

func TestScenario18AllReadOnlyIsRefused(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.members[0].ReadOnly, w.members[1].ReadOnly = true, true
	if res := w.sync(); res.Set.Failure.Kind != engine.ReadOnly || !res.Set.Failure.Set {
		t.Errorf("got %+v", res.Set.Failure)
	}
	w.want(1, "")
}

// Scenario 19, a policy "error" for read-only members, is not ours: what they
// cannot take stays where it is, and is seen in the plan of a dry run.

func TestScenario20IgnoreLeavesAdditionsWhereTheyAre(t *testing.T) {
	w := newWorld(t, 2)
	w.members[0].ReadOnly = true
	w.put(0, "1", "one")
	w.put(1, "2", "two")
	w.sync()
	w.want(0, "1=one")
	w.want(1, "1=one 2=two")
	w.quiet()
}

func TestScenario21IgnoreLeavesDeletionsUntilTheSourceChanges(t *testing.T) {
	w := newWorld(t, 2)
	w.members[0].ReadOnly = true
	w.put(0, "1", "one")
	w.sync()
	w.remove(1, "1")
	w.sync()
	w.want(0, "1=one")
	w.want(1, "")
	w.quiet()
	w.put(0, "1", "two")
	w.sync()
	w.all("1=two")
}

func TestScenario22RevertUndoesEverything(t *testing.T) {
	w := newWorld(t, 2)
	w.members[0].ReadOnly = true
	w.rules.RevertReadOnly = true
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	w.put(1, "1", "edited")
	w.remove(1, "2")
	w.put(1, "3", "added")
	w.sync()
	w.all("1=one 2=two")
	w.quiet()
	if got := w.history(); !slices.Equal(got, []string{"b deleted added", "b overwritten edited"}) {
		t.Errorf("history %v", got)
	}
}

func TestScenario23DuplicatesOfAUIDNameThemAndHoldUpNothing(t *testing.T) {
	for _, synced := range []bool{false, true} {
		w := newWorld(t, 2)
		w.stores[0].Put("x", event("1", "one"))
		if synced {
			w.sync()
		}
		w.stores[0].Put("y", event("1", "twin"))
		w.put(0, "2", "two")
		w.put(1, "3", "three")
		w.sync()
		if p := w.problems(); len(p) != 1 || p[0].Item != "x, y" || p[0].Member != "a/cal" || !strings.Contains(p[0].Failure.Message, "x, y") {
			t.Errorf("problems %+v", p)
		}
		if got := w.has(1); !strings.Contains(got, "2=two") || !strings.Contains(w.has(0), "3=three") {
			t.Errorf("held up: %q", got)
		}
		w.quiet()
		w.stores[0].Remove("y")
		w.sync()
		w.all("1=one 2=two 3=three")
		if p := w.problems(); len(p) > 0 {
			t.Errorf("it is over, and still there: %+v", p)
		}
	}
}

func TestScenario24ARenameIsNoChange(t *testing.T) {
	for _, rewrite := range []bool{false, true} {
		w := newWorld(t, 2)
		if rewrite {
			w.stores[1].Rewrite = rewriter
		}
		w.put(0, "1", "one")
		w.sync()
		text := w.stores[1].Texts()["1"]
		w.stores[1].Remove("1")
		w.stores[1].Put("renamed", []byte(text))
		w.reset()
		w.sync()
		if w.writes() > 0 || w.stores[0].Counts().Fetched > 0 {
			t.Errorf("%d writes, %d read at a", w.writes(), w.stores[0].Counts().Fetched)
		}
		w.quiet()
		w.put(0, "1", "two")
		w.sync()
		if text := w.stores[1].Texts()["renamed"]; !strings.Contains(text, "SUMMARY:two") {
			t.Errorf("the edit did not find it: %v", w.stores[1].Texts())
		}
	}
}

func TestScenario25AnyUID(t *testing.T) {
	for _, uid := range []string{"ä", "a b", "кириллица", "a/b", "\xe9", "%0A", strings.Repeat("x", 1800)} {
		w := newWorld(t, 2)
		w.put(0, uid, "one")
		w.sync()
		w.want(1, w.has(0))
		w.put(1, uid, "two")
		w.sync()
		w.want(0, w.has(1))
		w.quiet()
	}
}

func TestScenario26ARefusedWriteHoldsUpNothingAndIsTriedAgain(t *testing.T) {
	w := newWorld(t, 2)
	refuse := true
	w.stores[1].Refuse = func(wr engine.Write) error {
		if refuse && wr.UID == "1" {
			return engine.Fail(engine.InvalidItem, "create", "1", "no such thing here")
		}
		return nil
	}
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.put(1, "3", "three")
	w.sync()
	w.want(0, "1=one 2=two 3=three")
	w.want(1, "2=two 3=three")
	p := w.problems()
	if len(p) != 1 || p[0].Member != "b/cal" || p[0].UID != "1" || p[0].Tries != 1 || !p[0].NextTry.After(p[0].Since) || p[0].Failure.Kind != engine.InvalidItem {
		t.Errorf("problems %+v", p)
	}
	// It is left in peace until its time, or until its text changes.
	w.quiet()
	if p := w.problems(); len(p) != 1 || p[0].Tries != 1 {
		t.Errorf("problems %+v", p)
	}
	w.reset()
	w.put(0, "1", "better")
	w.sync()
	if p := w.problems(); w.writes() != 1 || len(p) != 1 || p[0].Tries != 1 {
		t.Errorf("%d writes, problems %+v", w.writes(), p)
	}
	refuse = false
	w.sync(group.Options{Slow: true})
	w.all("1=better 2=two 3=three")
	if p := w.problems(); len(p) > 0 {
		t.Errorf("still there: %+v", p)
	}
}

func TestScenario27OneListedThriceIsOne(t *testing.T) {
	w := newWorld(t, 2)
	w.members[0].Storage = stutter{w.stores[0]}
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one")
	w.quiet()
	if p := w.problems(); len(p) > 0 {
		t.Errorf("problems %+v", p)
	}
}

// stutter lists everything three times.
type stutter struct{ *memory.Storage }

func (s stutter) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	d, err := s.Storage.Changes(ctx, since)
	d.Changed = slices.Concat(d.Changed, d.Changed, d.Changed)
	return d, err
}

// Scenario 28 is storm_test.go.

func TestScenario37BackToAnOldTextMustArrive(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "v1")
	w.sync()
	w.put(0, "1", "v2")
	w.sync()
	w.put(1, "1", "v1")
	w.sync()
	w.all("1=v1")
	w.quiet()
}

func TestScenario39ARewritingServerIsReadBackOnceAndPingsNobody(t *testing.T) {
	for _, inline := range []bool{false, true} {
		w := newWorld(t, 2)
		w.stores[1].Rewrite, w.stores[1].Inline = rewriter, inline
		w.put(0, "1", "one")
		w.sync()
		for range 3 {
			w.quiet()
		}
		if got := w.stores[1].Texts()["1"]; !strings.Contains(got, "X-SERVER:1") {
			t.Fatalf("the server kept %q", got)
		}
		if got := w.stores[0].Texts()["1"]; strings.Contains(got, "X-SERVER") {
			t.Errorf("what the server made of it came back: %q", got)
		}
		w.put(1, "1", "two") // an edit there still is one
		w.sync()
		w.want(0, "1=two")
		w.put(0, "1", "three")
		w.sync()
		w.want(1, "1=three")
		w.quiet()
		if len(w.conflicts()) > 0 {
			t.Errorf("conflicts %v", w.conflicts())
		}
	}
}

// rewriter does what Radicale and others do.
func rewriter(text []byte) []byte {
	s := strings.Replace(string(text), "PRODID:test", "PRODID:server", 1)
	if !strings.Contains(s, "X-SERVER:1") {
		s = strings.Replace(s, "END:VEVENT", "X-SERVER:1\r\nEND:VEVENT", 1)
	}
	return []byte(s)
}

func TestScenario42AServerThatLostNearlyAllStops(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 60 {
		w.put(0, fmt.Sprintf("%02d", i), "x")
	}
	w.sync()
	full := w.has(0)
	for i := range 58 {
		w.remove(1, fmt.Sprintf("%02d", i))
	}
	w.put(1, "new", "y")
	w.sync()
	w.want(0, full+" new=y") // everything else proceeds
	if p := w.problems(); len(p) != 58 {
		t.Errorf("%d are held", len(p))
	}
	w.quiet()
	w.sync(group.Options{Proceed: true, Only: "b/cal"})
	w.want(0, full+" new=y") // nothing is held there
	w.sync(group.Options{Proceed: true, Only: "a/cal"})
	w.all("58=x 59=x new=y")
	w.quiet()
}

func TestHeldDeletionsAreRestored(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 20 {
		w.put(0, fmt.Sprintf("%02d", i), "x")
	}
	w.sync()
	full := w.has(0)
	for i := range 15 {
		w.remove(1, fmt.Sprintf("%02d", i))
	}
	w.sync()
	w.sync(group.Options{Restore: true})
	w.all(full)
	if p := w.problems(); len(p) > 0 {
		t.Errorf("still held: %+v", p)
	}
	w.quiet()
}

func TestProceedMeansExactlyWhatWasHeldThen(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 20 {
		w.put(0, fmt.Sprintf("%02d", i), "x")
	}
	w.sync()
	for i := range 15 {
		w.remove(1, fmt.Sprintf("%02d", i))
	}
	w.sync()
	w.put(0, "00", "edited since") // and is wanted after all
	w.sync(group.Options{Proceed: true})
	w.all("00=edited since 15=x 16=x 17=x 18=x 19=x")
}

func TestScenario43AFailedListingIsNeverEmpty(t *testing.T) {
	for _, kind := range []engine.Kind{engine.CollectionGone, engine.AuthFailed, engine.Forbidden, engine.ServerError, engine.ServerNonconforming, engine.Offline} {
		for _, call := range []string{"changes", "list"} {
			w := newWorld(t, 2)
			w.stores[1].NoTokens = call == "list"
			w.put(0, "1", "one")
			w.sync()
			w.stores[1].Before = func(c memory.Call) error {
				if c.Name == call {
					return engine.Fail(kind, "list", "b/cal", "as told")
				}
				return nil
			}
			w.put(0, "2", "two")
			res := w.sync()
			w.want(0, "1=one 2=two")
			if f := res.Members[1].Failure; f.Kind != kind || !res.Set.Failure.Set {
				t.Errorf("%v: %+v %+v", kind, f, res.Set.Failure)
			}
			w.stores[1].Before = nil
			w.sync()
			w.all("1=one 2=two")
		}
	}
}

// cutList ends a listing in the middle.
type cutList struct{ *memory.Storage }

func (s cutList) Changes(context.Context, engine.Token) (engine.Delta, error) {
	return engine.Delta{}, engine.Fail(engine.NotSupported, "list changes", "", "not here")
}

func (s cutList) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		for h, err := range s.Storage.List(ctx) {
			if !yield(h, err) {
				return
			}
			yield(engine.Head{}, errors.New("cut off"))
			return
		}
	}
}

func TestAListingThatIsCutOffProvesNothing(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 3 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	full := w.has(0)
	w.members[1].Storage = cutList{w.stores[1]}
	w.sync()
	w.all(full)
	w.members[1].Storage = w.stores[1]
	w.quiet()
}

func TestScenario44AnItemThatVanishesBetweenListingAndFetch(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	once := true
	w.stores[0].Before = func(c memory.Call) error {
		if c.Name == "fetch" && once {
			once = false
			w.stores[0].Remove("1")
		}
		return nil
	}
	w.sync()
	w.want(1, "2=two")
	w.sync()
	w.all("2=two")
	w.quiet()
}

func TestScenario45BothDeleteBothCreateAndATouchIsNoEdit(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	w.remove(0, "1")
	w.stores[1].Touch("1")
	w.sync()
	w.all("2=two")
	w.remove(0, "2")
	w.remove(1, "2")
	w.put(0, "3", "three")
	w.put(1, "3", "three")
	w.reset()
	w.sync()
	w.all("3=three")
	if w.writes() > 0 {
		t.Errorf("%d writes", w.writes())
	}
}

func TestScenario46KeepBothLosesNothingAndIsStable(t *testing.T) {
	w := newWorld(t, 3)
	w.put(0, "1", "one")
	w.sync()
	w.rules.Policy = "keep-both"
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	got := w.has(0)
	if !strings.Contains(got, "=left") || !strings.Contains(got, "=right") || strings.Count(got, "=") != 2 {
		t.Errorf("a has %q", got)
	}
	w.all(got)
	w.quiet()
	if len(w.conflicts()) > 0 {
		t.Errorf("conflicts %v", w.conflicts())
	}
}

func TestScenario52AWriteOverWhatMovedChangesNothing(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "two")
	w.stores[1].Before = func(c memory.Call) error {
		if c.Name == "replace" && c.N == 0 {
			w.stores[1].Put("1", event("1", "caught"))
		}
		return nil
	}
	w.sync()
	w.want(1, "1=caught")
	w.want(0, "1=two")
	if got := w.conflicts(); len(got) != 1 {
		t.Errorf("conflicts %v", got)
	}
	if _, err := w.try(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}}); err != nil {
		t.Fatal(err)
	}
	w.all("1=caught")
	w.quiet()
}

func TestScenario65AFilterIsNotADeletion(t *testing.T) {
	w := newWorld(t, 2)
	todo := []byte(strings.ReplaceAll(string(event("t", "task")), "VEVENT", "VTODO"))
	w.put(0, "1", "one")
	w.stores[0].Put("t", todo)
	w.sync()
	w.all("1=one t=task")
	w.members[1].Components = []string{"VEVENT"}
	w.stores[0].Put("u", []byte(strings.ReplaceAll(string(event("u", "task")), "VEVENT", "VTODO")))
	w.sync()
	w.want(0, "1=one t=task u=task")
	w.want(1, "1=one t=task")
	w.remove(0, "t")
	w.sync()
	w.want(1, "1=one t=task") // none of its business
	w.quiet()
	w.members[1].Components = nil
	w.sync()
	w.all("1=one u=task")
}

func TestScenario78AnItemOfTheWrongKindGoesNowhere(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[0].Put("card", []byte("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:x\r\nEND:VCARD\r\n"))
	w.stores[0].Put("html", []byte("<html>Please log in</html>"))
	w.stores[0].Put("empty", nil)
	w.put(0, "2", "two")
	w.sync()
	w.want(1, "2=two")
	if p := w.problems(); len(p) != 3 {
		t.Errorf("problems %+v", p)
	}
	w.quiet()
	w.stores[0].Put("2", []byte("\x00\x00\x00"))
	w.sync()
	w.want(1, "2=two") // an error page is no edit and no deletion
	w.stores[0].Put("2", event("2", "well again"))
	w.sync()
	w.want(1, "2=well again")
	if got := item.Read(w.text(1, "2")).Summary; got != "well again" {
		t.Errorf("got %q", got)
	}
}
