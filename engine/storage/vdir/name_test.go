package vdir

import (
	"strings"
	"testing"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/storagetest"
	"pgregory.net/rapid"
)

func TestRefsAndNamesAreOneToOne(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune{'a', '%', '2', '5', 'E', '9', 'F', 'ä', 0}), 1, 12, -1)
	bytes := rapid.Map(name, func(s string) string { return strings.ReplaceAll(s, "\x00", "\xe9") })
	rapid.Check(t, func(t *rapid.T) {
		a, b := bytes.Draw(t, "a"), bytes.Draw(t, "b")
		ref := refOf(a)
		if !utf8.ValidString(string(ref)) {
			t.Errorf("the ref %q of %q is not UTF-8", ref, a)
		}
		if nameOf(ref) != a {
			t.Errorf("%q has the ref %q, which names %q", a, ref, nameOf(ref))
		}
		if a != b && refOf(b) == ref {
			t.Errorf("%q and %q have the ref %q", a, b, ref)
		}
	})
}

func TestUTF8NamesAreTheirOwnRefs(t *testing.T) {
	for _, name := range []string{"a.ics", "100%.ics", "%41.ics", "中国.ics", "%zz%"} {
		if refOf(name) != engine.Ref(name) {
			t.Errorf("%q has the ref %q", name, refOf(name))
		}
	}
}

func TestAServerCannotChooseAHarmfulName(t *testing.T) {
	for _, uid := range storagetest.Hostile {
		n := 0
		for name := range candidates(engine.Calendar, engine.Write{UID: uid, Old: engine.Head{Ref: engine.Ref(uid)}}) {
			base, ok := strings.CutSuffix(name, ".ics")
			if !ok || !safe(base) || len(name) > 255 || itemKind(name) != engine.Calendar {
				t.Errorf("%q may get the name %q", uid, name)
			}
			if n++; n == 4 {
				break
			}
		}
		folder := folderName(string(uid))
		if !goodFolder(folder) || len(folder) > 255 || strings.ContainsAny(folder, "\n\r\\") {
			t.Errorf("%q may get the folder %q", uid, folder)
		}
	}
}

func TestTheNameIsTheUIDWhereItIsSafe(t *testing.T) {
	r := newRig(t, "")
	card := storagetest.Text(engine.AddressBook, "b", "one")
	long := strings.Repeat("x", longestUID)
	outs := r.apply(
		creation("a@example.org", "one"),
		engine.Write{Verb: engine.Create, UID: "b", Text: card},
		creation(long, "one"),
		engine.Write{Verb: engine.Create, UID: "c", Old: engine.Head{Ref: "was-called.ics"}, Text: event("c", "one")},
		engine.Write{Verb: engine.Create, UID: "d", Old: engine.Head{Ref: "of-a-card.vcf"}, Text: event("d", "one")},
	)
	for i, want := range []engine.Ref{"a@example.org.ics", "b.vcf", engine.Ref(long + ".ics"), "was-called.ics", "d.ics"} {
		if outs[i].Err != nil || outs[i].Head.Ref != want {
			t.Errorf("got the name %q (%v), want %q", outs[i].Head.Ref, outs[i].Err, want)
		}
	}
	longer := r.apply(creation(long+"x", "one"))[0]
	if longer.Err != nil || len(longer.Head.Ref) != 32+len(".ics") {
		t.Errorf("a longer UID got the name %q (%v), want a hash", longer.Head.Ref, longer.Err)
	}
}

// A file system that does not tell capitals says that the name is taken.
func TestANameThatIsTakenInOtherCapitalsIsNotOverwritten(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.apply(creation("a", "one"))
	r.f.step = insensitive(r)
	out := r.apply(creation("A", "two"))[0]
	if out.Err != nil || out.Head.Ref == "A.ics" || out.Head.Ref == "a.ics" {
		t.Errorf("got the name %q, %v", out.Head.Ref, out.Err)
	}
	if r.text("a.ics") != string(event("a", "one")) {
		t.Errorf("the other file became %q", r.text("a.ics"))
	}
}

// A twin would be an item of one UID too many.
func TestANewItemIsNotPutBesideSomebodysOwnCopy(t *testing.T) {
	for name, theirs := range map[string]string{"whole": string(event("a", "theirs")), "half written": string(event("a", "theirs"))[:60], "empty": ""} {
		r := newRig(t, engine.Calendar)
		r.put("a.ics", []byte(theirs))
		wantKind(t, r.apply(creation("a", "ours"))[0].Err, engine.Changed)
		if got := r.names(); len(got) != 1 || r.text("a.ics") != theirs {
			t.Errorf("%s: there is %q, with %q", name, got, r.text("a.ics"))
		}
	}
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("another", "theirs")) // only the name is taken
	if out := r.apply(creation("a", "ours"))[0]; out.Err != nil || out.Head.Ref == "a.ics" {
		t.Errorf("%+v", out)
	}
}
