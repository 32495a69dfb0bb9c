package vdir

import (
	"os"
	"testing"
	"time"

	"davbus.org/davbus/engine"
)

// An edit of the same length in the same tick of the clock leaves the stamp as
// it was; here the times are set back to force it. The etag of the first
// observation must not come again.
func TestAnEditWithinOneTickIsFound(t *testing.T) {
	r := newRig(t, engine.Calendar)
	for range 50 {
		r.put("a.ics", event("a", "1111"))
		before := r.mustFetch("a.ics")
		r.put("a.ics", event("a", "2222"))
		if after := r.list()["a.ics"]; after == before.Etag {
			t.Fatalf("two texts have the etag %q", after)
		}
	}
}

func TestAFreshFileIsReadOnceMoreAndThenNoMore(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("a", "one"))
	st, err := os.Stat(r.file("a.ics"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) engine.Etag {
		r.s.now = func() time.Time { return st.ModTime().Add(d) }
		return r.list()["a.ics"]
	}
	if at(0) == at(-time.Millisecond) {
		t.Error("seen twice within its tick, the file has one etag: an edit between would be missed")
	}
	if at(0) == at(time.Second) {
		t.Error("the etag of a file within its tick is the one that it keeps")
	}
	if at(time.Second) != at(time.Hour) {
		t.Error("the etag of a file at rest changes")
	}
}

func TestWholeSecondTimesAreTrustedLater(t *testing.T) {
	whole := stamp{ino: 1, mtime: 7e9, ctime: 7e9, mode: 0o100600}
	fine := stamp{ino: 1, mtime: 7e9, ctime: 7e9 + 1, mode: 0o100600}
	for _, c := range []struct {
		st    stamp
		now   int64
		fresh bool
	}{
		{whole, 7e9, true}, {whole, 10e9, true}, {whole, 10e9 + 1, false},
		{fine, 7e9, true}, {fine, 7e9 + 1, true}, {fine, 7e9 + 2, false},
	} {
		if got := c.st.fresh(time.Unix(0, c.now)); got != c.fresh {
			t.Errorf("%v at %d: fresh is %v", c.st, c.now, got)
		}
	}
}

func TestWhatWeWroteIsNotReadAgain(t *testing.T) {
	r := newRig(t, engine.Calendar)
	outs := r.apply(creation("a", "one"), creation("b", "one"))
	old := r.mustFetch("b.ics")
	outs[1] = r.apply(replacement(old, event("b", "two")))[0]
	for range 3 {
		heads := r.list()
		for _, out := range outs {
			if out.Err != nil || !out.Kept || heads[out.Head.Ref] != out.Head.Etag {
				t.Errorf("written with %v (%v), listed with %q", out.Head, out.Err, heads[out.Head.Ref])
			}
		}
	}
}

func TestAStampSeesEveryKindOfEdit(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.apply(creation("a", "1111"))
	seen := map[engine.Etag]string{r.list()["a.ics"]: "as written"}
	past := time.Now().Add(-time.Hour)
	for _, edit := range []struct {
		name string
		do   func() error
	}{
		{"rewritten in place", func() error { return os.WriteFile(r.file("a.ics"), event("a", "2222"), 0o600) }},
		{"rewritten with its old time", func() error {
			return firstError(os.WriteFile(r.file("a.ics"), event("a", "3333"), 0o600), os.Chtimes(r.file("a.ics"), past, past))
		}},
		{"again with that time", func() error {
			return firstError(os.WriteFile(r.file("a.ics"), event("a", "4444"), 0o600), os.Chtimes(r.file("a.ics"), past, past))
		}},
		{"replaced", func() error { r.swap("a.ics", event("a", "5555")); return nil }},
	} {
		if err := edit.do(); err != nil {
			t.Fatal(err)
		}
		etag := r.list()["a.ics"]
		if other, twice := seen[etag]; twice {
			t.Errorf("%s: the etag is that of the file %s", edit.name, other)
		}
		seen[etag] = edit.name
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
