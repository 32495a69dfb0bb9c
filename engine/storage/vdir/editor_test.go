package vdir

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// saves are the ways in which editors save. Each is begun before a write of ours
// and done at some step of it.
var saves = map[string]func(r *rig, text []byte) (done func()){
	"a new file renamed over it": func(r *rig, text []byte) func() {
		return func() { r.swap("a.ics", text) }
	},
	"written in place": func(r *rig, text []byte) func() {
		return func() { r.put("a.ics", text) }
	},
	"opened before, written later": func(r *rig, text []byte) func() {
		f, err := os.OpenFile(r.file("a.ics"), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			r.Fatal(err)
		}
		r.Cleanup(func() { f.Close() })
		return func() {
			if _, err := f.WriteAt(text, 0); err != nil {
				r.Fatal(err)
			}
			f.Truncate(int64(len(text)))
			f.Close()
		}
	},
}

// attempts are the writes of ours that a save may meet.
var attempts = map[string]func(r *rig) engine.Write{
	"replace": func(r *rig) engine.Write { return replacement(r.mustFetch("a.ics"), event("a", "ours")) },
	"delete":  func(r *rig) engine.Write { return deletion(r.mustFetch("a.ics")) },
	"create": func(r *rig) engine.Write {
		os.Remove(r.file("a.ics"))
		return creation("a", "ours")
	},
}

// A meeting is one write of ours during which somebody saves at a step, and
// perhaps the power is cut at a later one.
type meeting struct{ save, attempt, lacks string }

// hold carries out the meeting: at step `at` the editor saves, at step `cut`
// the power fails. It reports how many steps there were.
func (m meeting) hold(t *testing.T, at, cut int) (r *rig, out engine.Outcome, n int) {
	r = newRig(t, engine.Calendar)
	if cut >= 0 { // no etag of ours is compared: then nothing need wait for the clock
		r.s.now = func() time.Time { return time.Now().Add(time.Second) }
	}
	r.put("a.ics", event("a", "old"))
	w := attempts[m.attempt](r)
	save := saves[m.save](r, event("a", "saved"))
	lack := lacking(strings.Fields(m.lacks)...)
	r.f.step = func(op, name string) error {
		n++
		if n-1 == at {
			save()
		}
		if n-1 == cut {
			panic("power cut")
		}
		return lack(op, name)
	}
	func() {
		defer func() {
			if got := recover(); got != nil && got != "power cut" {
				panic(got)
			}
		}()
		out = r.apply(w)[0]
	}()
	if n <= at { // after all of it
		save()
	}
	r.f.step = anyStep
	return r, out, n
}

// kept demands that the saved text is visible, and that the next run will see
// it as an edit.
func (m meeting) kept(r *rig, out engine.Outcome, when string) {
	r.Helper()
	for ref, etag := range r.list() {
		it, err := r.fetch(ref)
		if err != nil || item.Sum(it.Text) != item.Sum(event("a", "saved")) {
			continue
		}
		if ref == out.Head.Ref && etag == out.Head.Etag {
			r.Errorf("%v, %s: the next run takes the saved text for ours", m, when)
		}
		r.wantNoTemps()
		return
	}
	r.Errorf("%v, %s: the saved text is lost; outcome %v; there is %q", m, when, out.Err, r.names())
}

func meetings(lacks ...string) (all []meeting) {
	for save := range saves {
		for attempt := range attempts {
			for _, lack := range lacks {
				all = append(all, meeting{save, attempt, lack})
			}
		}
	}
	return all
}

func TestNoSaveIsLostWhateverStepItMeets(t *testing.T) {
	t.Parallel()
	for _, m := range meetings("", "exchange", "exchange place") {
		for at, n := 0, 1; at <= n; at++ {
			var r *rig
			var out engine.Outcome
			r, out, n = m.hold(t, at, -1)
			m.kept(r, out, fmt.Sprintf("saved at step %d of %d", at, n))
		}
	}
}

func TestNoSaveIsLostWhenThePowerFailsAfterIt(t *testing.T) {
	t.Parallel()
	for _, m := range meetings("", "exchange") {
		for at := 0; ; at++ {
			_, _, n := m.hold(t, at, -1)
			if at >= n {
				break
			}
			for cut := at; cut < n; cut++ {
				r, _, _ := m.hold(t, at, cut)
				r.open(engine.Calendar)
				m.kept(r, engine.Outcome{}, fmt.Sprintf("saved at step %d, cut at step %d of %d", at, cut, n))
			}
		}
	}
}

func TestAStaleStampIsFoundBeforeAnythingIsWritten(t *testing.T) {
	for _, attempt := range []string{"replace", "delete"} {
		r := newRig(t, engine.Calendar)
		r.apply(creation("a", "old"))
		w := attempts[attempt](r)
		r.swap("a.ics", event("a", "saved"))
		r.f.step = func(op, name string) error {
			if op != "sync folder" {
				t.Errorf("%s: %s %s", attempt, op, name)
			}
			return nil
		}
		wantKind(t, r.apply(w)[0].Err, engine.Changed)
	}
}

func TestARemovedFileIsNotBroughtBack(t *testing.T) {
	for _, attempt := range []string{"replace", "delete"} {
		r := newRig(t, engine.Calendar)
		r.apply(creation("a", "old"))
		w := attempts[attempt](r)
		removed := false
		r.f.step = func(op, name string) error {
			if (op == "exchange" || op == "over") && !removed {
				removed = true
				return os.Remove(r.file("a.ics"))
			}
			return nil
		}
		wantKind(t, r.apply(w)[0].Err, engine.Changed)
		if !removed || len(r.names()) != 0 {
			t.Errorf("%s: %q is there", attempt, r.names())
		}
	}
}

func TestWhatWasDisplacedIsPutBackAndTold(t *testing.T) {
	for _, attempt := range []string{"replace", "delete"} {
		r := newRig(t, engine.Calendar)
		r.apply(creation("a", "old"))
		w := attempts[attempt](r)
		saved := false
		r.f.step = func(op, name string) error {
			if (op == "exchange" || op == "over") && !saved {
				saved = true
				r.swap("a.ics", event("a", "saved"))
			}
			return nil
		}
		out := r.apply(w)[0]
		wantKind(t, out.Err, engine.Changed)
		if string(out.Displaced) != string(event("a", "saved")) {
			t.Errorf("%s: told of %q", attempt, out.Displaced)
		}
		if got := r.names(); !slices.Equal(got, []string{"a.ics"}) || r.text("a.ics") != string(event("a", "saved")) {
			t.Errorf("%s: there is %q, with %q", attempt, got, r.text("a.ics"))
		}
	}
}

// Somebody saves between look and exchange, and again while that is put back.
func TestASecondSaveWhileTheFirstIsPutBackIsKeptBesideIt(t *testing.T) {
	for _, attempt := range []string{"replace", "delete"} {
		r := newRig(t, engine.Calendar)
		r.apply(creation("a", "old"))
		w := attempts[attempt](r)
		bodies := []string{"saved", "again"}
		r.f.step = func(op, name string) error {
			if (op == "exchange" || op == "over" || op == "place" && name == "a.ics") && len(bodies) > 0 {
				r.swap("a.ics", event("a", bodies[0]))
				bodies = bodies[1:]
			}
			return nil
		}
		wantKind(t, r.apply(w)[0].Err, engine.Changed)
		got := map[string]bool{}
		for ref := range r.list() {
			got[string(r.mustFetch(ref).Text)] = true
		}
		if len(bodies) > 0 || len(got) != 2 || !got[string(event("a", "saved"))] || !got[string(event("a", "again"))] {
			t.Errorf("%s: there is %v", attempt, got)
		}
		r.wantNoTemps()
	}
}
