package group_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

func TestACardGoesToEachMemberInTheVersionThatItTakes(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	w.stores[1].Put("1", full("1"))
	old := []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:2\r\nFN:Bob\r\nN:;Bob;;;\r\nCLASS:PRIVATE\r\nPHOTO;ENCODING=b;TYPE=PNG:iVBORw0K\r\nEND:VCARD\r\n")
	w.stores[0].Put("2", old)
	w.sync()
	w.peace()
	w.holds(2, "1", full("1"))
	w.holds(1, "2", old) // takes all, and gets what there is
	if v3 := w.text(0, "1"); item.Format(v3) != engine.VCard3 || !bytes.Contains(v3, []byte("PHOTO;ENCODING=b;TYPE=JPEG:/9j/AAAABBBBCCCC\r\n")) || bytes.Contains(v3, []byte("\nLANG;")) {
		t.Errorf("as version 3:\n%s", v3)
	}
	if v4 := w.text(2, "2"); item.Format(v4) != engine.VCard4 || !bytes.Contains(v4, []byte("PHOTO:data:image/png;base64,iVBORw0K\r\n")) {
		t.Errorf("as version 4:\n%s", v4)
	}
	w.quiet()
}

func TestAnEditInVersion3ChangesOneLineInVersion4(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	w.stores[1].Put("1", full("1"))
	w.sync()
	want := string(full("1"))
	for _, e := range []struct{ was, is, line, becomes string }{
		{"NOTE:far", "NOTE:near", "NOTE:far", "NOTE:near"},
		{":ann@example.org", ":anne@example.org", "EMAIL;PID=1.1;PREF=1:ann@example.org", "EMAIL;PREF=1;PID=1.1:anne@example.org"},
		{"/9j/AAAABBBB", "/9j/AAAADDDD", "/9j/AAAABBBB", "/9j/AAAADDDD"},
		{"END:VCARD", "TITLE:Dr\r\nEND:VCARD", "END:VCARD", "TITLE:Dr\r\nEND:VCARD"},
		{"NOTE:near\r\n", "", "NOTE:near\r\n", ""},
	} {
		w.swap(0, "1", e.was, e.is)
		v3 := w.text(0, "1")
		w.reset()
		w.sync()
		w.peace()
		want = strings.Replace(want, e.line, e.becomes, 1)
		w.holds(1, "1", []byte(want))
		w.holds(2, "1", []byte(want))
		w.holds(0, "1", v3)
		if n := w.stores[0].Counts().Writes(); n > 0 {
			t.Errorf("%d writes where the edit came from", n)
		}
		w.quiet()
	}
}

func TestWhatVersion3CannotSayIsNoWriteThere(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	w.stores[1].Put("1", full("1"))
	w.sync()
	w.reset()
	w.swap(2, "1", "LANG;PREF=1:fr", "LANG;PREF=1:de")
	w.sync()
	w.peace()
	if n := w.stores[0].Counts().Writes(); n > 0 {
		t.Errorf("%d writes of what it has already", n)
	}
	w.holds(1, "1", w.text(2, "1"))
	w.quiet()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.sync()
	if got := string(w.text(1, "1")); !strings.Contains(got, "LANG;PREF=1:de") || !strings.Contains(got, "NOTE:near") {
		t.Errorf("then an edit in version 3:\n%s", got)
	}
	w.quiet()
}

func TestEditsInBothVersionsMergeAndClashes(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	w.stores[1].Put("1", full("1"))
	w.sync()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.swap(2, "1", "tel:+43-1-2", "tel:+43-1-3")
	w.swap(1, "1", "LANG;PREF=1:fr", "LANG;PREF=1:de")
	w.sync()
	w.peace()
	want := strings.NewReplacer("NOTE:far", "NOTE:near", "tel:+43-1-2", "tel:+43-1-3", "LANG;PREF=1:fr", "LANG;PREF=1:de").Replace(string(full("1")))
	w.holds(1, "1", []byte(want))
	w.holds(2, "1", []byte(want))
	if v3 := string(w.text(0, "1")); !strings.Contains(v3, "TEL;TYPE=cell,voice:+43-1-3") || !strings.Contains(v3, "NOTE:near") {
		t.Errorf("in version 3:\n%s", v3)
	}
	w.quiet()

	// The same edit in both versions is one.
	w.swap(0, "1", "NOTE:near", "NOTE:here")
	w.swap(1, "1", "NOTE:near", "NOTE:here")
	w.reset()
	w.sync()
	w.peace()
	if n := w.stores[0].Counts().Writes() + w.stores[1].Counts().Writes(); n > 0 || w.stores[2].Counts().Writes() != 1 {
		t.Errorf("%d writes where the edit was made (%v)", n, w.steps)
	}
	w.holds(2, "1", w.text(1, "1"))
	w.quiet()

	// Two edits of one property are a conflict, about nothing else.
	w.swap(0, "1", "NOTE:here", "NOTE:three")
	w.swap(1, "1", "NOTE:here", "NOTE:four")
	w.sync()
	all, err := w.ledger.Set(w.key).Conflicts()
	if err != nil || len(all) != 1 || fmt.Sprint(all[0].Clashes) != "[NOTE]" {
		t.Fatalf("conflicts %+v, %v", all, err)
	}
	want = string(w.text(2, "1"))
	w.sync(group.Options{Decide: &group.Decision{Conflict: all[0].ID, Choice: "member", Member: w.members[0].ID}})
	w.peace()
	w.holds(1, "1", []byte(strings.Replace(want, "NOTE:here", "NOTE:three", 1)))
	w.holds(2, "1", w.text(1, "1"))
	w.quiet()
}

func TestAnEditInVersion4ReachesACardOfVersion3(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	old := []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nfn:Bob\r\nN:;Bob;;;\r\nCLASS:PRIVATE\r\nitem1.TEL;type=HOME;type=pref:+43 1\r\nitem1.X-ABLabel:a\r\nEND:VCARD\r\n")
	w.stores[0].Put("1", old)
	w.sync()
	w.holds(1, "1", old)
	w.swap(2, "1", "END:VCARD", "NOTE:new\r\nLANG:fr\r\nEND:VCARD")
	w.sync()
	w.peace()
	w.holds(0, "1", []byte(strings.Replace(string(old), "END:VCARD", "NOTE:new\r\nEND:VCARD", 1)))
	if got := string(w.text(1, "1")); !strings.Contains(got, "LANG:fr") || !strings.Contains(got, "CLASS:PRIVATE") {
		t.Errorf("where all is taken:\n%s", got)
	}
	w.quiet()
}

func TestACardThatIsThereInBothVersionsIsInStep(t *testing.T) {
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	w.rules.Policy = "ask" // there is nothing to ask
	v3 := item.As(full("1"), engine.VCard3, nil)
	w.stores[0].Put("1", v3)
	w.stores[1].Put("1", full("1"))
	w.sync()
	w.peace()
	w.holds(0, "1", v3)
	w.holds(2, "1", full("1"))
	w.quiet()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.sync()
	w.holds(2, "1", []byte(strings.Replace(string(full("1")), "NOTE:far", "NOTE:near", 1)))
	w.quiet()

	// One that differs is a conflict about what differs; whoever wins, nothing that
	// the other version cannot say is lost.
	w.stores[0].Put("2", bytes.Replace(item.As(full("2"), engine.VCard3, nil), []byte("NOTE:far"), []byte("NOTE:near"), 1))
	w.stores[1].Put("2", full("2"))
	w.sync()
	all, err := w.ledger.Set(w.key).Conflicts()
	if err != nil || len(all) != 1 || fmt.Sprint(all[0].Clashes) != "[NOTE]" {
		t.Fatalf("conflicts %+v, %v", all, err)
	}
	w.sync(group.Options{Decide: &group.Decision{Conflict: all[0].ID, Choice: "member", Member: w.members[0].ID}})
	w.holds(2, "2", []byte(strings.Replace(string(full("2")), "NOTE:far", "NOTE:near", 1)))
	w.quiet()
}

func TestADeletionReachesEveryVersion(t *testing.T) {
	for from := range 3 {
		w := cardWorld(t, engine.VCard3, "", engine.VCard4)
		w.stores[1].Put("1", full("1"))
		w.sync()
		w.remove(from, "1")
		w.sync()
		w.all("")
		w.quiet()
	}
	w := cardWorld(t, engine.VCard3, "")
	w.stores[1].Put("1", full("1"))
	w.sync()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.remove(1, "1")
	w.sync()
	w.holds(1, "1", []byte(strings.Replace(string(full("1")), "NOTE:far", "NOTE:near", 1)))
	w.quiet()
}

// Random edits at members of all kinds: nobody loses, and a second run is quiet.
func TestMembersOfEveryVersionStayInStepThroughRandomEdits(t *testing.T) {
	const seed = 30
	rng := rand.New(rand.NewPCG(seed, 0))
	w := cardWorld(t, engine.VCard3, "", engine.VCard4)
	for n, c := range itemtest.Gen(seed, 30, engine.AddressBook) {
		if f := []string{engine.VCard3, "", engine.VCard4}[n%3]; f == "" || item.Format(c.Text) == f {
			w.stores[n%3].Put(engine.Ref(c.UID), c.Text)
		}
	}
	w.sync()
	for round := range 15 {
		for _, uid := range strings.Fields(w.has(0)) {
			uid, _, _ := strings.Cut(uid, "=")
			if at := rng.IntN(6); at < 3 && len(w.text(at, uid)) > 0 {
				was := w.text(at, uid)
				for ref, has := range w.places[at].Texts() {
					if has == string(was) {
						w.places[at].Put(ref, itemtest.Edit(rng, was))
					}
				}
			}
		}
		w.sync()
		w.peace()
		for _, text := range w.stores[1].Texts() {
			uid := string(item.Read([]byte(text)).UID)
			for _, n := range []int{0, 2} {
				if got := w.text(n, uid); item.Format(got) != w.members[n].Formats[0] || !item.Alike(got, []byte(text)) {
					t.Fatalf("seed %d round %d: %s has\n%s\nbeside\n%s", seed, round, w.members[n].ID, got, text)
				}
			}
		}
		w.quiet()
	}
}

func TestAServerOfVersion3AndAFolderStayInStep(t *testing.T) {
	w := overServerAndFolder(t)
	w.places[1].Put("1.vcf", full("1"))
	w.sync()
	w.peace()
	if v3 := w.text(0, "1"); item.Format(v3) != engine.VCard3 || !item.Alike(v3, full("1")) || !bytes.Contains(v3, []byte("PHOTO;ENCODING=b;TYPE=JPEG:/9j/AAAABBBBCCCC\r\n")) {
		t.Errorf("the server has\n%s", v3)
	}
	w.holds(1, "1", full("1"))
	w.quiet()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.swap(1, "1", "tel:+43-1-2", "tel:+43-1-3")
	w.sync()
	w.peace()
	w.holds(1, "1", []byte(strings.NewReplacer("NOTE:far", "NOTE:near", "tel:+43-1-2", "tel:+43-1-3").Replace(string(full("1")))))
	if v3 := w.text(0, "1"); !item.Alike(v3, w.text(1, "1")) {
		t.Errorf("the server has\n%s", v3)
	}
	w.quiet()
	w.swap(0, "1", "NOTE:near", "NOTE:three")
	w.swap(1, "1", "NOTE:near", "NOTE:four")
	w.sync()
	w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: w.members[1].ID}})
	if v3 := string(w.text(0, "1")); !strings.Contains(v3, "NOTE:four") || !strings.Contains(v3, "TEL;TYPE=cell,voice:+43-1-3") {
		t.Errorf("the server has\n%s", v3)
	}
	w.quiet()
	w.remove(0, "1")
	w.sync()
	w.all("")
	w.quiet()
}
