package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A bench is one storage under test and the tools to handle it.
type bench struct {
	*testing.T
	kind string
	own  bool // the storage gives its own UIDs
	many int  // items in a large batch
	s    engine.Storage
}

// Text makes a small item of a kind with the given identity and body.
func Text(kind string, uid engine.UID, body string) []byte {
	if kind == engine.AddressBook {
		return fmt.Appendf(nil, "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%s\r\nFN:%s\r\nN:%s;;;;\r\nEND:VCARD\r\n", uid, body, body)
	}
	return fmt.Appendf(nil, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//davbus//storagetest//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\n"+
		"DTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", uid, body)
}

func (b *bench) text(uid engine.UID, body string) []byte { return Text(b.kind, uid, body) }

func (b *bench) creation(uid engine.UID, body string) engine.Write {
	return engine.Write{Verb: engine.Create, UID: uid, Text: b.text(uid, body)}
}

func replacement(old engine.Item, text []byte) engine.Write {
	return engine.Write{Verb: engine.Replace, Old: old.Head, Was: item.Sum(old.Text), Text: text}
}

func deletion(old engine.Item) engine.Write {
	return engine.Write{Verb: engine.Delete, Old: old.Head, Was: item.Sum(old.Text)}
}

// apply carries writes out and demands an outcome of each, once.
func (b *bench) apply(writes ...engine.Write) []engine.Outcome {
	b.Helper()
	outs := make([]engine.Outcome, len(writes))
	seen := make([]bool, len(writes))
	for i, out := range b.s.Apply(b.Context(), writes) {
		if i < 0 || i >= len(writes) || seen[i] {
			b.Fatalf("outcome of write %d of %d (or twice): %v", i, len(writes), out.Err)
		}
		outs[i], seen[i] = out, true
	}
	for i, ok := range seen {
		if !ok {
			b.Fatalf("no outcome of write %d", i)
		}
	}
	return outs
}

// one carries out a write that must succeed, and gives the item as it is now.
func (b *bench) one(w engine.Write) engine.Item {
	b.Helper()
	out := b.apply(w)[0]
	if out.Err != nil {
		b.Fatalf("%s: %v", w.Verb, out.Err)
	}
	if w.Verb == engine.Delete {
		if out.Head != (engine.Head{}) {
			b.Errorf("a deleted item has the head %v", out.Head)
		}
		return engine.Item{}
	}
	it, ok := b.all()[out.Head.Ref]
	if !ok {
		b.Fatalf("%q was written, yet is not there", out.Head.Ref)
	}
	b.same(it.Text, w.Text)
	if out.Kept && !bytes.Equal(it.Text, given(out, w.Text)) {
		b.Errorf("said to be kept: %q, found %q", w.Text, it.Text)
	}
	return it
}

// given is a text with the UID that the storage gave it.
func given(out engine.Outcome, text []byte) []byte {
	if out.UID == "" {
		return text
	}
	return item.WithUID(text, out.UID)
}

func (b *bench) create(uid engine.UID, body string) engine.Item {
	b.Helper()
	return b.one(b.creation(uid, body))
}

// all lists and fetches everything. The heads are those of the listing.
func (b *bench) all() map[engine.Ref]engine.Item {
	b.Helper()
	heads := map[engine.Ref]engine.Head{}
	var refs []engine.Ref
	for h, err := range b.s.List(b.Context()) {
		if err != nil {
			b.Fatalf("list: %v", err)
		}
		if _, twice := heads[h.Ref]; twice {
			b.Errorf("%q is listed twice", h.Ref)
		}
		heads[h.Ref] = h
		refs = append(refs, h.Ref)
	}
	items := b.fetch(refs...)
	if len(items) != len(heads) {
		b.Errorf("%d items are listed, %d can be fetched", len(heads), len(items))
	}
	for ref, it := range items {
		it.Head = heads[ref]
		items[ref] = it
	}
	return items
}

func (b *bench) fetch(refs ...engine.Ref) map[engine.Ref]engine.Item {
	b.Helper()
	items := map[engine.Ref]engine.Item{}
	for it, err := range b.s.Fetch(b.Context(), refs) {
		if err != nil {
			b.Fatalf("fetch %q: %v", it.Ref, err)
		}
		items[it.Ref] = it
	}
	return items
}

// holds demands that exactly these texts are there.
func (b *bench) holds(want ...[]byte) {
	b.Helper()
	left := map[engine.Sum]int{}
	for _, it := range b.all() {
		left[b.sum(it.Text)]++
	}
	for _, text := range want {
		if left[b.sum(text)]--; left[b.sum(text)] < 0 {
			b.Errorf("not there: %.200q", text)
		}
	}
	for _, n := range left {
		if n > 0 {
			b.Errorf("%d items too many of %d wanted", n, len(want))
		}
	}
}

// sum is of a text, but for its UID where the storage gives its own.
func (b *bench) sum(text []byte) engine.Sum {
	if b.own {
		return item.Bare(text)
	}
	return item.Sum(text)
}

func (b *bench) same(got, want []byte) {
	b.Helper()
	if b.sum(got) != b.sum(want) {
		b.Errorf("got %.300q, want %.300q", got, want)
	}
}

func (b *bench) wantKind(err error, kinds ...engine.Kind) {
	b.Helper()
	for _, k := range kinds {
		if engine.IsKind(err, k) {
			return
		}
	}
	b.Errorf("got the error %v, want one of %v", err, kinds)
}

func (b *bench) cancelled() context.Context {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	return ctx
}
