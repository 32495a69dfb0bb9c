package storagetest

import (
	"bytes"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

var readPromises = []promise{
	{"an empty storage lists nothing", func(b *bench) { b.holds() }},
	{"a fetch leaves out what is gone", func(b *bench) {
		a, c := b.create("a", "one"), b.create("b", "two")
		b.one(deletion(a))
		got := b.fetch(a.Ref, c.Ref)
		if len(got) != 1 {
			b.Errorf("fetched %d items, want 1", len(got))
		}
		b.same(got[c.Ref].Text, b.text("b", "two"))
	}},
	{"nothing asked is nothing fetched", func(b *bench) {
		b.create("a", "one")
		if got := b.fetch(); len(got) != 0 {
			b.Errorf("fetched %d items", len(got))
		}
	}},
	{"a fetch brings what was asked and nothing else", func(b *bench) {
		b.create("a", "one")
		c := b.create("b", "two")
		b.create("c", "three")
		if got := b.fetch(c.Ref); len(got) != 1 {
			b.Errorf("fetched %d items, want 1", len(got))
		}
	}},
	{"a fetched item can be written over", func(b *bench) {
		a := b.create("a", "one")
		got := b.fetch(a.Ref)[a.Ref]
		if got.Etag == "" {
			got.Etag = a.Etag
		}
		b.one(replacement(got, b.text("a", "two")))
		b.holds(b.text("a", "two"))
	}},
	{"an etag changes with the text, be it as long as before", func(b *bench) {
		a := b.create("a", "1111")
		after := b.one(replacement(a, b.text("a", "2222")))
		if a.Etag == after.Etag && a.Etag != "" {
			b.Errorf("two texts have the etag %q", a.Etag)
		}
	}},
	{"a listing and a fetch may be broken off", func(b *bench) {
		a, c := b.create("a", "one"), b.create("b", "two")
		for range b.s.List(b.Context()) {
			break
		}
		for range b.s.Fetch(b.Context(), []engine.Ref{a.Ref, c.Ref}) {
			break
		}
		b.holds(b.text("a", "one"), b.text("b", "two"))
	}},
	{"a sequence can be run again", func(b *bench) {
		b.create("a", "one")
		list := b.s.List(b.Context())
		for round := range 2 {
			n := 0
			for _, err := range list {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 1 {
				b.Errorf("round %d: %d items, want 1", round, n)
			}
		}
	}},
	{"under a cancelled context no listing and no fetch looks complete", func(b *bench) {
		b.wantCancelled([]engine.Ref{b.create("a", "one").Ref})
	}},
	{"a text is kept byte for byte where the storage says so", func(b *bench) {
		odd := map[string][]byte{
			"no end of line at the end": bytes.TrimSuffix(b.text("b1", "one"), []byte("\r\n")),
			"folded":                    bytes.Replace(b.text("b2", "one two"), []byte("one two"), []byte("one\r\n  two"), 1),
			"lower case":                bytes.Replace(b.text("b3", "one"), []byte("VERSION"), []byte("version"), 1),
			"bytes that are not UTF-8":  b.text("b4", "caf\xe9 \xff\xfe"),
			"bare line feeds":           bytes.ReplaceAll(b.text("b5", "one"), []byte("\r\n"), []byte("\n")),
			"a BOM":                     append([]byte("\xef\xbb\xbf"), b.text("b6", "one")...),
		}
		for name, text := range odd {
			out := b.apply(engine.Write{Verb: engine.Create, UID: item.Read(text).UID, Text: text})[0]
			if out.Err != nil {
				b.wantKind(out.Err, engine.InvalidItem, engine.Forbidden)
				continue
			}
			if got := b.all()[out.Head.Ref].Text; out.Kept && !bytes.Equal(got, given(out, text)) {
				b.Errorf("%s: wrote %q, found %q", name, text, got)
			}
		}
	}},
	{"a large text comes back whole", func(b *bench) {
		body := strings.Repeat("0123456789abcdef", 1<<16)
		b.create("large", body)
		b.holds(b.text("large", body))
	}},
}
