package group_test

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine/group"
)

// poor keeps nothing but the summary.
func poor(text []byte) []byte {
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "LOCATION") && !strings.HasPrefix(line, "X-OWN") {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

func rich(uid, summary string) []byte {
	return []byte(strings.Replace(string(event(uid, summary)), "END:VEVENT", "LOCATION:cellar\r\nX-OWN:yes\r\nEND:VEVENT", 1))
}

func poorWorld(t *testing.T, members int) *world {
	w := newWorld(t, members)
	w.stores[1].Rewrite = poor
	w.stores[0].Put("1", rich("1", "one"))
	w.sync()
	w.all("1=one")
	w.quiet()
	return w
}

func TestAMemberThatKeepsLessNeverErasesWhatItCannotKeep(t *testing.T) {
	w := poorWorld(t, 3)
	w.put(1, "1", "edited")
	w.sync(group.Options{DryRun: true})
	w.reset()
	w.sync()
	w.all("1=edited")
	for _, n := range []int{0, 2} {
		if got := string(w.text(n, "1")); got != string(rich("1", "edited")) {
			t.Errorf("member %d has:\n%s", n, got)
		}
	}
	if c := w.stores[1].Counts(); c.Writes() > 0 || w.result.Set.Merged > 0 {
		t.Errorf("its own copy was written: %+v, %d merged", c, w.result.Set.Merged)
	}
	w.quiet()

	// Once more, now that its mark is its own.
	w.put(1, "1", "again")
	w.sync()
	if got := string(w.text(0, "1")); got != string(rich("1", "again")) {
		t.Errorf("a second edit:\n%s", got)
	}
	// And what it does not know reaches the others, and leaves it alone.
	w.stores[0].Put("1", []byte(strings.Replace(string(rich("1", "again")), "cellar", "attic", 1)))
	w.sync()
	if got := string(w.text(2, "1")); !strings.Contains(got, "LOCATION:attic") || !strings.Contains(got, "X-OWN:yes") {
		t.Errorf("an edit of the rich one:\n%s", got)
	}
	w.all("1=again")
	w.quiet()
}

func TestAnEditOfAPoorMemberBringsBackAllThatWasDeletedElsewhere(t *testing.T) {
	w := poorWorld(t, 2)
	w.put(1, "1", "edited")
	w.remove(0, "1")
	w.sync()
	if got := string(w.text(0, "1")); got != string(rich("1", "edited")) {
		t.Errorf("got:\n%s", got)
	}
	w.quiet()
}

func TestAPoorMemberThatArrivesAtTheAgreedTextChangesNobody(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		w := poorWorld(t, 3)
		w.stores[1].Put("1", []byte(strings.Replace(string(event("1", "one")), "END:VEVENT", "LOCATION:cellar\r\nEND:VEVENT", 1)))
		if deleted { // which the edit beats, even if it comes to what was agreed on
			w.remove(2, "1")
		}
		w.sync()
		w.all("1=one")
		for _, n := range []int{0, 2} {
			if got := string(w.text(n, "1")); got != string(rich("1", "one")) {
				t.Errorf("member %d has:\n%s", n, got)
			}
		}
		w.quiet()
	}
}
