package vdir

import (
	"maps"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// What a crash between exchange and check leaves is put back in its place, and
// what is known elsewhere goes.
func TestAnEditCaughtInAnExchangeIsPutBackInItsPlace(t *testing.T) {
	for _, c := range []struct {
		name, there, left string // what is in the place, and what is in the temporary file
		want              map[string]string
	}{
		{"moved away, and nothing took its place", "", "old", map[string]string{"a.ics": "old"}},
		{"deletion: nobody saved", "", "old", nil},
		{"deletion: caught", "", "saved", map[string]string{"a.ics": "saved"}},
		{"deletion: caught, and made again", "again", "saved", map[string]string{"a.ics": "again", "free": "saved"}},
		{"nobody saved", "ours", "old", map[string]string{"a.ics": "ours"}},
		{"not begun", "old", "ours", map[string]string{"a.ics": "old"}},
		{"caught", "ours", "saved", map[string]string{"a.ics": "saved"}},
		{"caught, and our version was edited", "again", "saved", map[string]string{"a.ics": "again", "free": "saved"}},
		{"caught, and our version was removed", "", "saved", map[string]string{"a.ics": "saved"}},
		{"already there", "saved", "saved", map[string]string{"a.ics": "saved"}},
	} {
		r := newRig(t, engine.Calendar)
		if c.there != "" {
			r.put("a.ics", event("a", c.there))
		}
		lost := &change{Write: engine.Write{Was: item.Sum(event("a", "old"))}, name: "a.ics"}
		if !strings.HasPrefix(c.name, "deletion") {
			lost.sum = item.Sum(event("a", "ours"))
		}
		r.put(displacedName(7, lost), event("a", c.left))
		r.put(stagedName(7, 1), event("a", "x")[:30])
		heads := r.list()
		got := map[string]string{}
		for ref := range heads {
			text := string(r.mustFetch(ref).Text)
			name := string(ref)
			if name != "a.ics" {
				name = "free"
			}
			for _, body := range []string{"old", "ours", "saved", "again"} {
				if text == string(event("a", body)) {
					got[name] = body
				}
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: there is %v, want %v", c.name, got, c.want)
		}
		r.wantNoTemps()
	}
}

func TestTemporaryFilesOfOthersAreLeftAlone(t *testing.T) {
	r := newRig(t, engine.Calendar)
	others := []string{".davbus-mine.tmp", ".davbus-x-1.old.tmp", "x.tmp", ".goutputstream-X.tmp"}
	for _, name := range others {
		r.put(name, []byte("theirs"))
	}
	r.list()
	r.apply(creation("a", "one"))
	for _, name := range others {
		if r.text(name) != "theirs" {
			t.Errorf("%s became %q", name, r.text(name))
		}
	}
}

func TestALivingWritersFilesAreLeftAlone(t *testing.T) {
	r, writes := mixed(t, false)
	other := newRigAt(t, r)
	other.s.now = func() time.Time { return time.Now().Add(2 * orphaned) } // so that only the lock protects them
	seen := 0
	r.f.step = func(op, name string) error {
		if seen++; seen == 3 {
			r.f.step = anyStep
			other.list()
		}
		return nil
	}
	for _, out := range r.apply(writes...) {
		if out.Err != nil {
			t.Errorf("another davbus looked, and: %v", out.Err)
		}
	}
}
