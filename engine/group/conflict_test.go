package group_test

import (
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
)

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
	for _, tt := range []struct{ name, script, want string }{
		{"settles", `cp "$1" "$2"`, "1=left"},
		{"knows what was agreed", `grep -q SUMMARY:one "$DAVBUS_BASE" && cp "$2" "$1"`, "1=right"},
		{"does not make them equal", `true`, ""},
		{"says no", `cp "$1" "$2"; exit 1`, ""},
		{"makes something else", `echo hello >"$1"; cp "$1" "$2"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over(t, 2, func(t *testing.T, w *world) {
				w.rules.Policy, w.rules.Command = "command", []string{"sh", "-c", tt.script, "sh"}
				w.put(0, "1", "one")
				w.sync()
				w.put(0, "1", "left")
				w.put(1, "1", "right")
				w.sync()
				if tt.want != "" {
					w.all(tt.want)
					w.quiet()
				} else if len(w.conflicts()) != 1 || w.has(0) == w.has(1) {
					t.Errorf("a has %q, b %q, conflicts %v", w.has(0), w.has(1), w.conflicts())
				}
			})
		})
	}
	over(t, 2, func(t *testing.T, w *world) {
		w.rules.Policy, w.rules.Command = "command", []string{"/no/such/program"}
		w.put(0, "1", "left")
		w.put(1, "1", "right")
		w.sync()
		if p := w.problems(); len(p) != 1 || p[0].Failure.Kind != engine.InvalidConfig || len(w.conflicts()) != 1 {
			t.Errorf("problems %+v", p)
		}
	})
}

// Edits that could be combined are not, where a person wants to be asked.
func TestPolicyAskMergesNothing(t *testing.T) {
	for policy, conflicts := range map[string]int{"ask": 1, "merge": 0} {
		t.Run(policy, func(t *testing.T) {
			w := newWorld(t, 2)
			w.rules.Policy = policy
			w.put(0, "1", "one")
			w.sync()
			w.swap(0, "1", "SUMMARY:one", "SUMMARY:left")
			w.swap(1, "1", "END:VEVENT", "LOCATION:right\r\nEND:VEVENT")
			w.sync()
			if n := len(w.conflicts()); n != conflicts {
				t.Errorf("%d conflicts, want %d", n, conflicts)
			}
			for i, other := range []string{"LOCATION:right", "SUMMARY:left"} {
				if got := strings.Contains(string(w.text(i, "1")), other); got != (policy == "merge") {
					t.Errorf("the other's edit is at %d: %v", i, got)
				}
			}
		})
	}
}

// After a lost ledger somebody may have the copy already that a dispute leads to.
func TestACopyThatSomebodyHasIsNotMadeAgain(t *testing.T) {
	w := newWorld(t, 3)
	w.rules.Policy = "keep-both"
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	both := w.has(0)
	w.forget()
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	for n := range 2 {
		for _, uid := range w.uids(n) {
			if uid != "1" {
				w.remove(n, uid)
			}
		}
	}
	w.remove(2, "1")
	w.sync()
	w.all(both)
	w.quiet()
}

func (w *world) uids(member int) (all []string) {
	for _, text := range w.places[member].Texts() {
		all = append(all, string(item.Read([]byte(text)).UID))
	}
	return all
}
