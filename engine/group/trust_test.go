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
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

var errDied = errors.New("the process has died")

// dieAfter lets the daemon die when a member has made n writes: that write is
// made, and nothing can be recorded or asked any more.
func (w *world) dieAfter(member, n int) (revive func()) {
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

func TestScenario40KilledDuringTheFirstUploadDeletedItemsStayDeleted(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 300 {
		w.put(0, fmt.Sprintf("%03d", i), "x")
	}
	revive := w.dieAfter(1, 200)
	if _, err := w.try(group.Options{}); !errors.Is(err, errDied) {
		t.Fatalf("got %v", err)
	}
	revive()
	for i := range 5 {
		w.remove(0, fmt.Sprintf("%03d", i))
	}
	w.sync()
	want := w.has(0)
	w.want(1, want)
	if strings.Contains(want, "003=") || strings.Count(want, "=") != 295 || len(w.conflicts()) > 0 {
		t.Errorf("%d items, conflicts %v", strings.Count(want, "="), w.conflicts())
	}
	w.quiet()
}

func TestScenario41KilledBetweenAWriteAndItsRecord(t *testing.T) {
	for _, rewrite := range []bool{false, true} {
		w := newWorldOnDisk(t, 2)
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
			if _, err := w.try(group.Options{}); !errors.Is(err, errDied) {
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
	if w.result.SlowReason != "first sync" {
		t.Errorf("reason %q", w.result.SlowReason)
	}
}

// The user changed url or path, or a folder was replaced: never deletions.
func TestAnotherStorageUnderTheSameNameStartsWithoutMarks(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 3 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	old := w.stores[1]
	w.stores[1] = &memory.Storage{}
	w.members[1].Storage, w.members[1].Identity = w.stores[1], "another"
	w.put(1, "0", "x")
	w.sync()
	w.all("0=x 1=x 2=x")
	if w.result.SlowReason != "b/cal is new here" {
		t.Errorf("reason %q", w.result.SlowReason)
	}
	// And back: what happened meanwhile reaches it, and its marks still stand.
	w.put(0, "1", "moved")
	w.sync()
	w.stores[1] = old
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

func TestADryRunNamesWhatItWouldDoAndTouchesNothing(t *testing.T) {
	w := newWorldOnDisk(t, 2)
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

func TestACancelledRunKeepsWhatIsDone(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 500 {
		w.put(0, fmt.Sprintf("%03d", i), "x")
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
	w.stores[1].After = nil
	w.reset()
	w.sync()
	w.want(1, w.has(0))
	if n := w.stores[1].Counts().Create; n != 300 {
		t.Errorf("%d were written in the second run", n)
	}
}

func TestDecide(t *testing.T) {
	tests := []struct {
		how  group.Decision
		want string // at all members; "" for undecided
		kind engine.Kind
	}{
		{group.Decision{Choice: "member", Member: "b/cal"}, "1=right", 0},
		{group.Decision{Choice: "member", Member: "c/cal"}, "1=one", 0},
		{group.Decision{Choice: "member", Member: "nobody"}, "", engine.NotFound},
		{group.Decision{Choice: "newest"}, "", engine.Invalid},
		{group.Decision{Choice: "merged", Text: event("1", "by hand")}, "1=by hand", 0},
		{group.Decision{Choice: "merged"}, "1=left", 0}, // the proposal: the first member's where they clash
		{group.Decision{Choice: "merged", Text: event("2", "another item")}, "", engine.Invalid},
		{group.Decision{Choice: "whatever"}, "", engine.Invalid},
		{group.Decision{Choice: "skip"}, "", 0},
		{group.Decision{Choice: "member", Conflict: "c99"}, "", engine.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.how.Choice+string(tt.how.Member), func(t *testing.T) {
			w := newWorld(t, 3)
			w.put(0, "1", "one")
			w.sync()
			w.put(0, "1", "left")
			w.put(1, "1", "right")
			w.sync()
			if tt.how.Conflict == "" {
				tt.how.Conflict = w.conflictID()
			}
			_, err := w.try(group.Options{Decide: &tt.how})
			if err != nil && engine.KindOf(err) != tt.kind || err == nil && tt.kind != 0 {
				t.Fatalf("got %v", err)
			}
			if tt.want == "" {
				w.want(0, "1=left")
				w.want(1, "1=right")
				return
			}
			w.all(tt.want)
			if len(w.conflicts()) > 0 {
				t.Errorf("still open: %v", w.conflicts())
			}
			w.quiet()
		})
	}
}

func TestDecideBothKeepsAll(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "both"}})
	got := w.has(0)
	if !strings.Contains(got, "1=left") || !strings.Contains(got, "=right") || len(w.conflicts()) > 0 {
		t.Errorf("a has %q, conflicts %v", got, w.conflicts())
	}
	w.all(got)
	w.quiet()
}

func TestASkippedConflictComesBackWhenAMemberMoves(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "skip"}})
	w.quiet()
	if len(w.conflicts()) > 0 {
		t.Errorf("still open: %v", w.conflicts())
	}
	w.put(1, "1", "moved")
	w.sync()
	if len(w.conflicts()) != 1 {
		t.Errorf("conflicts %v", w.conflicts())
	}
	w.put(0, "1", "moved") // and closes when the world settles it
	w.sync()
	if len(w.conflicts()) > 0 {
		t.Errorf("still open: %v", w.conflicts())
	}
}

func TestADecisionHoldsWhenAMemberCannotTakeItYet(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	refuse := true
	w.stores[0].Refuse = func(engine.Write) error {
		if refuse {
			return engine.Fail(engine.QuotaExceeded, "replace", "1", "full")
		}
		return nil
	}
	w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}})
	w.want(0, "1=left")
	refuse = false
	w.sync()
	w.all("1=right")
}

func TestAConflictCarriesItsTexts(t *testing.T) {
	w := newWorld(t, 3)
	w.rules.Policy = "merge"
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	all, err := w.ledger.Conflicts(nil, 0, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	c := all[0]
	if c.Group != "home" || c.Set != "cal" || c.UID != "1" || c.Component != "VEVENT" || c.ItemName != "1" || len(c.Members) != 3 || c.State != "open" || c.Detected.IsZero() {
		t.Errorf("%+v", c)
	}
	texts, err := w.ledger.ConflictTexts(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(text []byte) string { return item.Read(text).Summary }
	if sum(texts.Members["a/cal"]) != "left" || sum(texts.Members["b/cal"]) != "right" || sum(texts.Members["c/cal"]) != "one" ||
		sum(texts.Base) != "one" || sum(texts.Proposal) != "left" || !slices.Equal(texts.Clashes, []string{"SUMMARY"}) || texts.Summary != "left" {
		t.Errorf("%+v", texts)
	}
	rev := texts.Revision
	w.put(1, "1", "right again")
	w.sync()
	if texts, err = w.ledger.ConflictTexts(c.ID); err != nil || texts.Revision == rev {
		t.Errorf("its id must stay and its revision move: %+v %v", texts, err)
	}
}

func TestMergeCombinesWhatMembersDid(t *testing.T) {
	w := newWorld(t, 3)
	w.rules.Policy = "merge"
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "left")
	w.stores[1].Put("1", []byte(strings.Replace(string(event("1", "one")), "20240101", "20250101", 1)))
	res := w.sync()
	w.all("1=left")
	if !strings.Contains(string(w.text(2, "1")), "20250101") || res.Set.Merged != 1 {
		t.Errorf("c has %s; %+v", w.text(2, "1"), res.Set)
	}
	w.quiet()
}

func TestNewestWhereAllTell(t *testing.T) {
	stamped := func(summary, stamp string) []byte {
		return []byte(strings.Replace(string(event("1", summary)), "SUMMARY", "LAST-MODIFIED:"+stamp+"\r\nSUMMARY", 1))
	}
	w := newWorld(t, 2)
	w.rules.Policy = "newest"
	w.stores[0].Put("1", stamped("old", "20240101T000000Z"))
	w.stores[1].Put("1", stamped("new", "20240102T000000Z"))
	w.sync()
	w.all("1=new")
	w.put(0, "1", "tells nothing")
	w.stores[1].Put("1", stamped("later", "20240103T000000Z"))
	w.sync()
	if len(w.conflicts()) != 1 {
		t.Errorf("conflicts %v", w.conflicts())
	}
}

func TestScenario82AConflictCommand(t *testing.T) {
	w := newWorld(t, 2)
	w.rules.Policy = "command"
	tests := []struct {
		name, script, want string
		problems           int
	}{
		{"settles", `cp "$1" "$2"`, "1=left", 0},
		{"does not make them equal", `true`, "", 0},
		{"says no", `cp "$1" "$2"; exit 1`, "", 0},
		{"makes something else", `echo hello >"$1"; cp "$1" "$2"`, "", 0},
	}
	for _, tt := range tests {
		w := newWorld(t, 2)
		w.rules.Policy, w.rules.Command = "command", []string{"sh", "-c", tt.script, "sh"}
		w.put(0, "1", "left")
		w.put(1, "1", "right")
		w.sync()
		if tt.want != "" {
			w.all(tt.want)
		} else if len(w.conflicts()) != 1 || w.has(0) == w.has(1) {
			t.Errorf("%s: a has %q, b %q, conflicts %v", tt.name, w.has(0), w.has(1), w.conflicts())
		}
	}
	w.rules.Command = []string{"/no/such/program"}
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	if p := w.problems(); len(p) != 1 || p[0].Failure.Kind != engine.InvalidConfig || len(w.conflicts()) != 1 {
		t.Errorf("problems %+v", p)
	}
}

func TestScenario84Metadata(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	meta := func(member int, key engine.MetaKey) string {
		m, err := w.stores[member].Meta(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m[key]
	}
	both := func(key engine.MetaKey, want string) {
		t.Helper()
		for i := range 2 {
			if got := meta(i, key); got != want {
				t.Errorf("%s at %d is %q, want %q", key, i, got, want)
			}
		}
	}
	w.stores[0].EditMeta(engine.MetaColor, "#FF0000", true)
	w.sync()
	both(engine.MetaColor, "#FF0000")
	w.stores[1].EditMeta(engine.MetaColor, "#00FF00", true)
	w.sync()
	both(engine.MetaColor, "#00FF00")
	w.stores[0].EditMeta(engine.MetaColor, "#00ff00ff", true) // its way to say the same
	w.reset()
	w.sync()
	if n := w.stores[0].Counts().SetMeta + w.stores[1].Counts().SetMeta; n > 0 {
		t.Errorf("%d writes for nothing", n)
	}
	w.stores[1].EditMeta(engine.MetaColor, "", false)
	w.sync()
	both(engine.MetaColor, "")
	// Removed on one side and changed on the other: not a removal.
	w.stores[0].EditMeta(engine.MetaName, "work", true)
	w.sync()
	w.stores[0].EditMeta(engine.MetaName, "", false)
	w.stores[1].EditMeta(engine.MetaName, "Arbeit", true)
	w.sync()
	both(engine.MetaName, "Arbeit")
	// A clash is the first member's, and the other is kept.
	w.stores[0].EditMeta(engine.MetaName, "first", true)
	w.stores[1].EditMeta(engine.MetaName, "second", true)
	w.sync()
	both(engine.MetaName, "first")
	versions, err := w.ledger.Versions("b/cal", "display-name", 0, 10)
	if err != nil || len(versions) != 1 {
		t.Fatalf("%+v %v", versions, err)
	}
	if text, err := w.ledger.VersionText(versions[0].ID); err != nil || string(text) != "second" {
		t.Errorf("kept %q %v", text, err)
	}
	// A key that a member cannot keep is asked once.
	w.stores[1].Unkept = map[engine.MetaKey]bool{engine.MetaOrder: true}
	w.stores[0].EditMeta(engine.MetaOrder, "7", true)
	w.sync()
	w.reset()
	w.sync()
	w.stores[0].EditMeta(engine.MetaOrder, "8", true)
	w.sync()
	if n := w.stores[1].Counts().SetMeta; n > 0 {
		t.Errorf("asked %d times more", n)
	}
}

func TestManyInvitationsAreHeld(t *testing.T) {
	invite := func(uid string) []byte {
		return []byte(strings.Replace(string(event(uid, "party")), "SUMMARY", "ORGANIZER:mailto:Me@example.org\r\nATTENDEE:mailto:you@example.org\r\nSUMMARY", 1))
	}
	for _, tt := range []struct {
		name      string
		addresses []string
		items     int
		held      int
	}{
		{"few", []string{"mailto:me@example.org"}, 3, 0},
		{"many", []string{"mailto:me@example.org"}, 4, 4},
		{"many, in somebody else's name", []string{"mailto:them@example.org"}, 4, 0},
		{"many, and nobody knows in whose name", nil, 4, 4},
	} {
		w := newWorld(t, 2)
		w.members[1].Scheduling, w.members[1].Addresses = true, tt.addresses
		for i := range tt.items {
			w.stores[0].Put(engine.Ref(fmt.Sprint(i)), invite(fmt.Sprint(i)))
		}
		w.put(0, "plain", "x")
		w.sync()
		if p := w.problems(); len(p) != tt.held || strings.Count(w.has(1), "=") != 1+tt.items-tt.held {
			t.Errorf("%s: %d held, b has %q", tt.name, len(p), w.has(1))
		}
		w.quiet()
		w.sync(group.Options{Proceed: true})
		w.want(1, w.has(0))
	}
	w := newWorld(t, 2)
	w.members[1].Scheduling, w.rules.ServerInvites = true, true
	for i := range 4 {
		w.stores[0].Put(engine.Ref(fmt.Sprint(i)), invite(fmt.Sprint(i)))
	}
	w.sync()
	w.want(1, w.has(0))
}

func TestScenario76AMoveBetweenCalendarsIsTriedAgain(t *testing.T) {
	w := newWorld(t, 2)
	elsewhere := true
	w.stores[1].Refuse = func(wr engine.Write) error {
		if elsewhere && wr.Verb == engine.Create {
			return engine.Fail(engine.AlreadyExists, "create", "1", "no-uid-conflict")
		}
		return nil
	}
	w.put(0, "1", "one")
	if res := w.sync(); !res.Again {
		t.Error("it is not worth another run")
	}
	elsewhere = false // its other calendar's set has made its deletion
	if res := w.sync(); res.Again {
		t.Error("still worth another run")
	}
	w.all("1=one")
	if p := w.problems(); len(p) > 0 {
		t.Errorf("problems %+v", p)
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

func TestASlowSyncTrustsNoEtag(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.members[0].Storage = liar{w.stores[0], w.stores[0].Put("1", event("1", "two"))}
	w.members[0].State = "s"
	w.reset()
	w.sync(group.Options{Slow: true})
	w.all("1=two")
	if w.result.SlowReason != "asked for" {
		t.Errorf("reason %q", w.result.SlowReason)
	}
}

// A liar gives the new text under the old etag.
type liar struct {
	*memory.Storage
	now engine.Head
}

func (l liar) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	d, err := l.Storage.Changes(ctx, since)
	for i := range d.Changed {
		d.Changed[i].Etag = "1"
	}
	return d, err
}

func TestWhatChangedIsTold(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.put(0, "3", "three")
	res := w.sync()
	if c := res.Changed["b/cal"]; !slices.Equal(c.Added, []string{"1", "2", "3"}) || c.Collection != "b/cal" {
		t.Errorf("%+v", res.Changed)
	}
	if _, told := res.Changed["a/cal"]; told {
		t.Errorf("a first look is no change: %+v", res.Changed)
	}
	w.put(0, "1", "uno")
	w.remove(0, "2")
	w.put(1, "4", "four")
	res = w.sync()
	for _, id := range []engine.MemberID{"a/cal", "b/cal"} {
		if c := res.Changed[id]; !slices.Equal(c.Added, []string{"4"}) || !slices.Equal(c.Modified, []string{"1"}) || !slices.Equal(c.Removed, []string{"2"}) {
			t.Errorf("%s: %+v", id, c)
		}
	}
	if res.Count["a/cal"] != 3 || res.Count["b/cal"] != 3 {
		t.Errorf("counts %v", res.Count)
	}
}

func TestAFetchOfManyIsStoredAsItComesAndNotFetchedTwice(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 600 {
		w.put(0, fmt.Sprintf("%03d", i), "x")
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
