package vdir

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

func TestOnlyPlainNamesOfTheKindAreItems(t *testing.T) {
	for kind, want := range map[string][]engine.Ref{
		engine.Calendar:    {"UPPER.ICS", "a b.ics", "good.ics"},
		engine.AddressBook: {"card.vcf"},
		"":                 {"UPPER.ICS", "a b.ics", "card.vcf", "good.ics"},
	} {
		r := newRig(t, kind)
		for _, name := range []string{
			"good.ics", "a b.ics", "UPPER.ICS", "card.vcf", ".hidden.ics", ".tmp-1.ics", "x.tmp", "x.ics.tmp", "x.ics.conflict",
			"plain", "color", "notes.txt", "ics", "x.icsx", "#x.ics#",
		} {
			r.put(name, event("x", "one"))
		}
		if got := slices.Sorted(maps.Keys(r.list())); !slices.Equal(got, want) {
			t.Errorf("kind %q: listed %q, want %q", kind, got, want)
		}
		if it, err := r.fetch(".hidden.ics"); it.Text != nil || err != nil {
			t.Errorf("a hidden file was fetched: %q, %v", it.Text, err)
		}
	}
}

// A link that stands where an item was is no deletion, and nothing is read
// through it.
func TestWhatIsNoPlainFileIsListedAndNeverOpened(t *testing.T) {
	r := newRig(t, engine.Calendar)
	secret := r.root + "/secret.ics"
	if err := os.WriteFile(secret, event("secret", "secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mk := range map[string]func(string) error{
		"link.ics":     func(p string) error { return os.Symlink(secret, p) },
		"dangling.ics": func(p string) error { return os.Symlink("nowhere", p) },
		"dir.ics":      func(p string) error { return os.Mkdir(p, 0o700) },
		"fifo.ics":     func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		if err := mk(r.file(name)); err != nil {
			t.Fatal(err)
		}
		r.f.step = func(op, what string) error {
			if op == "open" && what == name {
				t.Errorf("%s was opened", name)
			}
			return nil
		}
		etag, listed := r.list()[engine.Ref(name)]
		if !listed {
			t.Errorf("%s is not listed: it would be taken for a deletion", name)
		}
		it, err := r.fetch(engine.Ref(name)) // a FIFO that was opened would hang here
		if it.Text != nil {
			t.Errorf("%s was read: %q", name, it.Text)
		}
		wantKind(t, err, engine.InvalidItem)
		old := engine.Item{Head: engine.Head{Ref: engine.Ref(name), Etag: etag}, Text: event("x", "one")}
		for _, out := range r.apply(replacement(old, event("x", "two")), deletion(old)) {
			wantKind(t, out.Err, engine.Changed)
		}
		if _, err := os.Lstat(r.file(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	if got, _ := os.ReadFile(secret); string(got) != string(event("secret", "secret")) {
		t.Errorf("the file behind the link became %q", got)
	}
	r.wantNoTemps()
}

func TestNamesThatAreNotUTF8CanBeFetchedReplacedAndDeleted(t *testing.T) {
	r := newRig(t, engine.Calendar)
	for _, name := range []string{"caf\xe9.ics", "caf%E9.ics", "caf%25E9.ics", "100%.ics", "中.ics", "new\nline.ics"} {
		r.put(name, event("x", name[:3]))
	}
	heads := r.list()
	if len(heads) != 6 {
		t.Fatalf("listed %q", slices.Sorted(maps.Keys(heads)))
	}
	for ref := range heads {
		it := r.mustFetch(ref)
		out := r.apply(replacement(it, event("x", "two")))[0]
		if out.Err != nil || out.Head.Ref != ref {
			t.Fatalf("%q: %v, %v", ref, out.Head, out.Err)
		}
		if r.text(nameOf(ref)) != string(event("x", "two")) {
			t.Errorf("%q: the file was not replaced", ref)
		}
		if out := r.apply(deletion(r.mustFetch(ref)))[0]; out.Err != nil {
			t.Errorf("%q: %v", ref, out.Err)
		}
	}
	if len(r.names()) != 0 {
		t.Errorf("%q stayed", r.names())
	}
}

func TestAHalfWrittenFileIsNeitherAnEditNorADeletion(t *testing.T) {
	whole := string(event("a", "one"))
	for name, part := range map[string]string{
		"empty": "", "cut in the middle": whole[:len(whole)/2], "cut in the last line": whole[:len(whole)-6],
		"zeros after a crash": string(make([]byte, len(whole))), "no calendar": "hello",
	} {
		r := newRig(t, engine.Calendar)
		r.put("a.ics", []byte(part))
		if _, ok := r.list()["a.ics"]; !ok {
			t.Errorf("%s: not listed", name)
		}
		it, err := r.fetch("a.ics")
		if it.Text != nil {
			t.Errorf("%s: fetched %q", name, it.Text)
		}
		wantKind(t, err, engine.Busy)

		old := time.Now().Add(-quiet - time.Second)
		if err := os.Chtimes(r.file("a.ics"), old, old); err != nil {
			t.Fatal(err)
		}
		_, err = r.fetch("a.ics")
		wantKind(t, err, engine.InvalidItem)

		r.put("a.ics", []byte(whole))
		r.mustFetch("a.ics")
	}
}

func TestTheEndOfATextIsToldFromItsMiddle(t *testing.T) {
	for text, want := range map[string]bool{
		"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n":             true,
		"BEGIN:VCALENDAR\nEND:VCALENDAR":                   true,
		"\xef\xbb\xbfbegin:vcard\nend:vcard \n\n":          true,
		"BEGIN:VCARD\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD\n": true,
		"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\n":      false,
		"BEGIN:VCARD\nEND:VCARD\nBEGIN:VCARD\n":            false,
		"BEGIN:VCALENDAR\nEND:VCALENDA":                    false,
		"BEGIN:VEVENT\nEND:VEVENT\n":                       false,
		"BEGIN:VCALENDAR\nDESCRIPTION:x\n END:VCALENDAR\n": false,
		"BEGIN:VCALENDAR\nDESCRIPTION:END:VCALENDAR\n":     false,
		"": false,
	} {
		if finished([]byte(text)) != want {
			t.Errorf("%q: finished is %v", text, !want)
		}
	}
}

// vim and emacs move a file to NAME~ before they write the new one.
func TestAFileThatIsBeingSavedIsNoDeletion(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("a", "one"))
	if err := os.Rename(r.file("a.ics"), r.file("a.ics~")); err != nil {
		t.Fatal(err)
	}
	first, ok := r.list()["a.ics"]
	if !ok {
		t.Fatal("not listed while it is being saved")
	}
	_, err := r.fetch("a.ics")
	wantKind(t, err, engine.Busy)

	r.put("a.ics", event("a", "two"))
	if after := r.list(); len(after) != 1 || after["a.ics"] == first {
		t.Errorf("after saving: %v", after)
	}
	r.mustFetch("a.ics")

	if err := os.Remove(r.file("a.ics")); err != nil {
		t.Fatal(err)
	}
	r.s.now = func() time.Time { return time.Now().Add(quiet + time.Second) }
	if after := r.list(); len(after) != 0 {
		t.Errorf("the file is gone for good, yet listed: %v", after)
	}
	if it, err := r.fetch("a.ics"); it.Text != nil || err != nil {
		t.Errorf("fetched %q, %v", it.Text, err)
	}
}

func TestATooLargeFileIsAProblemOfItsOwn(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("a", "one"))
	for size, fits := range map[int64]bool{largest + 1: false, largest: true} {
		r.put("big.ics", nil)
		if err := os.Truncate(r.file("big.ics"), size); err != nil { // sparse
			t.Fatal(err)
		}
		_, err := r.fetch("big.ics")
		if fits {
			wantKind(t, err, engine.Busy) // read, and found to be no calendar
		} else {
			wantKind(t, err, engine.TooLarge)
		}
	}
	r.mustFetch("a.ics")
}
