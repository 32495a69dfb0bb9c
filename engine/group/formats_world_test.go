package group_test

import (
	"bytes"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/dav"
)

// cardWorld has members that take cards in these formats; "" is one that takes
// all. Each refuses what it does not take.
func cardWorld(t testing.TB, formats ...string) *world {
	w := newWorld(t, len(formats))
	w.key = ledger.SetKey{Group: "home", ID: "cal", Kind: engine.AddressBook}
	w.rules.Policy = "merge"
	for n, f := range formats {
		if f == "" {
			continue
		}
		w.members[n].Formats = []string{f}
		w.stores[n].Refuse = func(write engine.Write) error {
			if write.Verb != engine.Delete && item.Format(write.Text) != f {
				return engine.Fail(engine.InvalidItem, "write", string(write.UID), "it takes %s", f)
			}
			return nil
		}
	}
	return w
}

// overServerAndFolder is a world of a server that says that it takes version 3
// only, and a folder.
func overServerAndFolder(t *testing.T) *world {
	w := cardWorld(t, "", "")
	w.real = true
	srv := davtest.New(t, davtest.Options{})
	book := srv.Source.Add(engine.Collection{Name: "cal", Kind: engine.AddressBook, Formats: []string{engine.VCard3}, Writable: true})
	src, err := dav.New(dav.Options{URL: srv.URL + "/", Client: srv.Client(t).Transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	all, err := src.Look(t.Context(), false)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	s := &served{Storage: book, server: srv}
	s.counting, s.identity = counted(t, src)
	w.stores[0], w.places[0], w.members[0].Storage, w.members[0].Identity = book, s, s.counting, s.identity
	w.members[0].Formats = all[0].Formats
	f := newFolder(t)
	w.stores[1], w.places[1], w.members[1].Storage, w.members[1].Identity = nil, f, f.counting, f.identity
	return w
}

// full is a card of version 4 with much that version 3 cannot say.
func full(uid string) []byte {
	return []byte(strings.Join([]string{"BEGIN:VCARD", "VERSION:4.0", "UID:" + uid, "FN;ALTID=1;LANGUAGE=en:Ann", "FN;ALTID=1;LANGUAGE=fr:Anne",
		"n:Smith;Ann;;;", "KIND:individual", "LANG;PREF=1:fr", "EMAIL;PID=1.1;PREF=1:ann@example.org", "TEL;VALUE=uri;TYPE=\"cell,voice\":tel:+43-1-2",
		"BDAY:--0415", "ANNIVERSARY:20090808", "ADR;GEO=\"geo:1,2\";LABEL=\"1 Way\":;;1 Way;Wien;;1010;", "NOTE:far", "RELATED;TYPE=friend:urn:uuid:7",
		"PHOTO:data:image/jpeg;base64,/9j/AAAABBBBCCCC", "CLIENTPIDMAP:1;urn:uuid:8", "END:VCARD", ""}, "\r\n"))
}

// swap replaces a part of what a member holds.
func (w *world) swap(member int, uid, was, is string) {
	w.t.Helper()
	text := string(w.text(member, uid))
	if !strings.Contains(text, was) {
		w.t.Fatalf("%s has no %q in\n%s", w.members[member].ID, was, text)
	}
	for ref, has := range w.places[member].Texts() {
		if has == text {
			w.places[member].Put(ref, []byte(strings.Replace(text, was, is, 1)))
		}
	}
}

func (w *world) holds(member int, uid string, text []byte) {
	w.t.Helper()
	if got := w.text(member, uid); !bytes.Equal(got, text) {
		w.t.Errorf("%s has\n%s\ninstead of\n%s", w.members[member].ID, got, text)
	}
}

func (w *world) peace() {
	w.t.Helper()
	if c, p := w.conflicts(), w.problems(); len(c)+len(p) > 0 {
		w.t.Fatalf("conflicts %q, problems %+v", c, p)
	}
}
