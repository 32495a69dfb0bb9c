package group_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

// ownWorld has members of which the named ones give items UIDs of their own.
func ownWorld(t *testing.T, members int, own ...int) *world {
	w := newWorld(t, members)
	for _, n := range own {
		w.stores[n].WithUID = item.WithUID
		w.members[n].OwnUIDs = true
	}
	return w
}

// forget loses the ledger: what comes is a first sync.
func (w *world) forget() {
	w.t.Helper()
	w.ledger.Close()
	w.open()
	w.t.Cleanup(func() { w.ledger.Close() })
}

func TestItemsOfAStorageWithItsOwnUIDsAreMatchedByContent(t *testing.T) {
	w := ownWorld(t, 2, 1)
	for _, s := range []string{"one", "two", "three"} {
		w.put(0, "u-"+s, s)
		w.put(1, "9-"+s, s)
	}
	w.put(1, "9-four", "four")
	w.put(0, "u-five", "five")
	w.sync()
	w.want(0, "9-four=four u-five=five u-one=one u-three=three u-two=two")
	w.want(1, "9-four=four 9-one=one 9-three=three 9-two=two own-1=five")
	if n := w.writes(); n != 2 {
		t.Errorf("%d writes, want one each way", n)
	}
	w.quiet()

	// Edits go both ways, each side under its own UID.
	w.put(0, "u-one", "uno")
	w.put(1, "9-two", "due")
	w.put(1, "own-1", "cinque")
	w.sync()
	w.want(0, "9-four=four u-five=cinque u-one=uno u-three=three u-two=due")
	w.want(1, "9-four=four 9-one=uno 9-three=three 9-two=due own-1=cinque")
	w.quiet()

	// A slow sync and a lost ledger make no duplicate.
	both := func() string { return w.has(0) + "|" + w.has(1) }
	before := both()
	w.reset()
	w.sync(group.Options{Slow: true})
	w.forget()
	w.sync()
	if n := w.writes(); n > 0 || both() != before {
		t.Errorf("%d writes; %s", n, both())
	}
	w.quiet()

	// Deletions too.
	w.remove(0, "u-one")
	w.remove(1, "9-two")
	w.sync()
	w.want(0, "9-four=four u-five=cinque u-three=three")
	w.want(1, "9-four=four 9-three=three own-1=cinque")
	w.quiet()
}

func TestEqualItemsArePairedOneForOne(t *testing.T) {
	for _, n := range []struct{ a, b int }{{2, 2}, {3, 1}, {1, 3}, {0, 2}} {
		w := ownWorld(t, 2, 1)
		for i := range n.a {
			w.put(0, fmt.Sprint("u", i), "same")
		}
		for i := range n.b {
			w.put(1, fmt.Sprint("9-", i), "same")
		}
		w.sync()
		most := max(n.a, n.b)
		if a, b := strings.Count(w.has(0), "same"), strings.Count(w.has(1), "same"); a != most || b != most {
			t.Errorf("%v: %d and %d afterwards", n, a, b)
		}
		w.quiet()
		w.forget()
		w.reset()
		if w.sync(); w.writes() > 0 {
			t.Errorf("%v: a lost ledger made %d writes", n, w.writes())
		}
		w.put(0, "u0", "else") // which of them is which is known from now on
		w.sync()
		if a, b := strings.Count(w.has(0), "else"), strings.Count(w.has(1), "else"); n.a > 0 && (a != 1 || b != 1) {
			t.Errorf("%v: %s | %s", n, w.has(0), w.has(1))
		}
	}
}

func TestOtherContentIsAnotherItem(t *testing.T) {
	w := ownWorld(t, 2, 1)
	w.put(0, "u", "one")
	w.put(1, "9", "eins")
	w.sync()
	w.want(0, "9=eins u=one")
	w.want(1, "9=eins own-1=one")
	w.quiet()
}

// Where nobody gives his own UIDs, they tell, whatever the content.
func TestWithoutTheDeclarationContentMatchesNothing(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "u", "one")
	w.put(1, "9", "one")
	w.sync()
	w.all("9=one u=one")
	w.quiet()
}

func TestTwoStoragesWithTheirOwnUIDsAndOneWithout(t *testing.T) {
	w := ownWorld(t, 3, 0, 2)
	w.put(0, "a", "one")
	w.put(1, "u", "one")
	w.put(2, "c", "one")
	w.put(2, "d", "two")
	w.put(0, "e", "two")
	w.sync()
	w.want(0, "a=one e=two")
	w.want(2, "c=one d=two")
	w.want(1, "e=two u=one")
	w.quiet()
	w.put(2, "d", "zwei")
	w.sync()
	w.want(0, "a=one e=zwei")
	w.want(1, "e=zwei u=one")
	w.quiet()
}

// A member that comes later and has the item under another UID has it all the same.
func TestALateMemberFindsWhatAnotherNamed(t *testing.T) {
	w := ownWorld(t, 3, 1)
	w.put(1, "9", "one")
	late := w.members[2]
	w.members = w.members[:2]
	w.sync()
	w.members = append(w.members, late)
	w.put(2, "u", "one")
	w.sync()
	w.want(0, "9=one")
	w.want(1, "9=one")
	w.want(2, "u=one")
	w.quiet()
	w.put(0, "9", "two")
	w.sync()
	w.want(2, "u=two")
	w.put(2, "u", "three")
	w.sync()
	w.want(0, "9=three")
	w.want(1, "9=three")
	w.quiet()
}

// What is under another name, and under another UID, in its storage is the same
// item if it says the same.
func TestAnItemThatItsStorageMadeAnewIsNotGone(t *testing.T) {
	w := ownWorld(t, 2, 1)
	w.put(0, "u", "one")
	w.sync()
	w.want(1, "own-1=one")
	w.remove(1, "own-1")
	w.put(1, "own-7", "one")
	w.reset()
	w.sync()
	w.want(0, "u=one")
	if w.writes() > 0 {
		t.Errorf("%d writes", w.writes())
	}
	w.quiet()
	// Renamed alone, and edited: its UID tells.
	for ref := range w.stores[1].Texts() {
		w.stores[1].Remove(ref)
	}
	w.stores[1].Put("elsewhere", event("own-7", "two"))
	w.sync()
	w.want(0, "u=two")
	w.quiet()
}

func TestAConflictWithAStorageThatGivesItsOwnUIDs(t *testing.T) {
	for choice, want := range map[string]string{"b/cal": "right", "a/cal": "left"} {
		w := ownWorld(t, 2, 1)
		w.put(0, "u", "one")
		w.sync()
		w.put(0, "u", "left")
		w.put(1, "own-1", "right")
		w.sync()
		if got := w.conflicts(); !slices.Equal(got, []string{"u modified"}) {
			t.Fatalf("conflicts %v", got)
		}
		w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: engine.MemberID(choice)}})
		w.want(0, "u="+want)
		w.want(1, "own-1="+want)
		w.quiet()
	}
}

func TestAMergeWithAStorageThatGivesItsOwnUIDs(t *testing.T) {
	w := ownWorld(t, 2, 1)
	w.rules.Policy = "merge"
	w.put(0, "u", "one")
	w.sync()
	with := func(uid, summary string) []byte {
		return bytes.Replace(event(uid, summary), []byte("END:VEVENT"), []byte("LOCATION:cellar\r\nEND:VEVENT"), 1)
	}
	w.stores[0].Put("u", with("u", "one"))
	w.put(1, "own-1", "two")
	w.sync()
	if a, b := w.text(0, "u"), w.text(1, "own-1"); !item.Same(a, with("u", "two")) || !item.Same(b, with("own-1", "two")) {
		t.Errorf("a has\n%s\nb has\n%s", a, b)
	}
	w.quiet()
	w.put(0, "u", "left")
	w.put(1, "own-1", "left") // the same edit: nothing is left to write
	w.reset()
	w.sync()
	if w.writes() > 0 {
		t.Errorf("%d writes for an edit that both made", w.writes())
	}
	w.quiet()
}

// Whether it tells the UID, is read back, or rewrites: what is written there later
// bears its own.
func TestAStorageIsWrittenUnderItsOwnUID(t *testing.T) {
	for name, rewrite := range map[string]func([]byte) []byte{"told": nil, "read back": func(text []byte) []byte { return text }} {
		t.Run(name, func(t *testing.T) {
			w := ownWorld(t, 2, 1)
			w.stores[1].Rewrite = rewrite
			w.stores[1].Refuse = func(write engine.Write) error {
				if uid := item.Read(write.Text).UID; write.Verb == engine.Replace && !strings.HasPrefix(string(uid), "own-") {
					t.Errorf("it was given the UID %q", uid)
				}
				return nil
			}
			w.put(0, "u", "one")
			w.sync()
			w.quiet()
			w.put(0, "u", "two")
			w.sync()
			w.want(1, "own-1=two")
			w.quiet()
		})
	}
}

// The write was made, and its outcome was not recorded: what is there now under
// an unknown UID is what was written.
func TestACreationWhoseAnswerWasLostMakesNoDuplicateWhereUIDsAreTheStorages(t *testing.T) {
	for _, rewrite := range []func([]byte) []byte{nil, poor} {
		w := ownWorld(t, 2, 1)
		w.stores[1].Rewrite = rewrite
		w.put(0, "u", "one")
		w.stores[1].After = func(memory.Call) error { return engine.Fail(engine.ConnectionLost, "create", "", "lost") }
		w.sync()
		w.stores[1].After = nil
		w.sync()
		w.want(0, "u=one")
		w.want(1, "own-1=one")
		w.quiet()
	}
}

// What was agreed on has moved since, while nobody could look: it is still what
// was written, and gets the rest.
func TestACreationWhoseAnswerWasLostIsKnownThoughTheItemWasEditedSince(t *testing.T) {
	w := ownWorld(t, 3, 1)
	w.put(0, "u", "one")
	w.stores[1].After = func(memory.Call) error { return engine.Fail(engine.ConnectionLost, "create", "", "lost") }
	w.sync()
	w.stores[1].After = nil
	w.members[1].Err = engine.Fail(engine.Offline, "open", "", "not there")
	w.put(0, "u", "two")
	w.sync()
	w.want(2, "u=two")
	w.members[1].Err = nil
	w.sync()
	w.want(0, "u=two")
	w.want(1, "own-1=two")
	w.quiet()
}
