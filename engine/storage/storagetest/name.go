package storagetest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// Hostile are identities that have broken storages of others.
var Hostile = []engine.UID{
	"../x", "../../../../tmp/x", "/etc/passwd", "a/b/c", `a\b`, ".", "..", ".hidden", "-rf", "x.tmp", "x~",
	"con", "a b", "a@example.org", "{4F1C-2A}", "ä", "кот", "中国", "\u202eevil", "🔥<lol>", "UID%0Awith%0Abreaks", "%2e%2e%2f", "100%",
	"a:b?c#d[e]f", "!$&'()*+,;=", `"quoted"`, "a\x00b", "a\nb", "a\r\nb", "\xff\xfe", "a", "A", "Straße", "STRASSE", "",
	engine.UID(strings.Repeat("x", 255)), engine.UID(strings.Repeat("x", 1800)), engine.UID(strings.Repeat("ä", 150)),
}

// plain reports whether a UID can stand in a text as it is.
func plain(uid engine.UID) bool {
	return uid != "" && !strings.ContainsAny(string(uid), "\x00\r\n\\,;\"") && utf8.ValidString(string(uid))
}

var namePromises = []promise{
	{"a hostile identity harms nothing and its item comes back", func(b *bench) {
		var writes []engine.Write
		for i, uid := range Hostile {
			text := b.text(uid, fmt.Sprint("number ", i))
			if !plain(uid) {
				text = b.text(engine.UID(fmt.Sprint("odd-", i)), fmt.Sprint("number ", i))
			}
			writes = append(writes, engine.Write{Verb: engine.Create, UID: uid, Text: text})
		}
		want := map[engine.Ref][]byte{}
		for i, out := range b.apply(writes...) {
			if out.Err != nil {
				b.wantKind(out.Err, engine.InvalidItem, engine.Forbidden, engine.AlreadyExists, engine.Changed)
				continue
			}
			if _, shared := want[out.Head.Ref]; shared {
				b.Errorf("%q shares the ref %q", Hostile[i], out.Head.Ref)
			}
			want[out.Head.Ref] = writes[i].Text
		}
		if len(want) < len(Hostile)/2 {
			b.Errorf("only %d of %d identities were taken", len(want), len(Hostile))
		}
		got := b.all()
		if len(got) != len(want) {
			b.Errorf("%d items are there, want %d", len(got), len(want))
		}
		for ref, text := range want {
			b.same(got[ref].Text, text)
		}
		writes = nil
		for _, it := range got {
			writes = append(writes, deletion(it))
		}
		for i, out := range b.apply(writes...) {
			if out.Err != nil {
				b.Errorf("delete %q: %v", writes[i].Old.Ref, out.Err)
			}
		}
		b.holds()
	}},
	{"a hostile name that is suggested harms nothing", func(b *bench) {
		var writes []engine.Write
		for i, name := range Hostile {
			w := b.creation(engine.UID(fmt.Sprint("item-", i)), "one")
			w.Old.Ref = engine.Ref(name)
			writes = append(writes, w)
		}
		n := 0
		for _, out := range b.apply(writes...) {
			if out.Err != nil {
				b.wantKind(out.Err, engine.Invalid, engine.InvalidItem, engine.Forbidden, engine.AlreadyExists, engine.Changed)
				continue
			}
			n++
		}
		if got := b.all(); len(got) != n {
			b.Errorf("%d items are there, want %d", len(got), n)
		}
	}},
	{"a ref that nobody gave reaches nothing", func(b *bench) {
		a := b.create("a", "one")
		var writes []engine.Write
		for _, name := range Hostile {
			ref := engine.Ref(name)
			if ref == a.Ref || ref == "" {
				continue
			}
			for it, err := range b.s.Fetch(b.Context(), []engine.Ref{ref}) {
				if err == nil {
					b.Errorf("%q gave %q", ref, it.Text)
				}
			}
			never := engine.Item{Head: engine.Head{Ref: ref, Etag: a.Etag}, Text: a.Text}
			writes = append(writes, replacement(never, b.text("a", "two")), deletion(never))
		}
		for i, out := range b.apply(writes...) {
			if out.Err == nil && writes[i].Verb != engine.Delete { // what is not there is gone as wished
				b.Errorf("%s of %q succeeded", writes[i].Verb, writes[i].Old.Ref)
			}
		}
		b.holds(b.text("a", "one"))
	}},
	{"an item without an identity is an item", func(b *bench) {
		text := []byte(strings.Replace(string(b.text("x", "one")), "UID:x\r\n", "", 1))
		out := b.apply(engine.Write{Verb: engine.Create, Text: text})[0]
		if out.Err != nil {
			b.wantKind(out.Err, engine.InvalidItem, engine.Forbidden)
			return
		}
		if got := b.fetch(out.Head.Ref); item.Sum(got[out.Head.Ref].Text) != item.Sum(given(out, text)) && out.Kept {
			b.Errorf("got %q", got[out.Head.Ref].Text)
		}
	}},
}
