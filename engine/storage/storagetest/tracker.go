package storagetest

import (
	"maps"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A view is what somebody knows who only follows Changes.
type view map[engine.Ref]bool

func (v view) apply(d engine.Delta) {
	if d.Full {
		clear(v)
	}
	for _, h := range d.Changed {
		v[h.Ref] = true
	}
	for _, ref := range d.Gone {
		delete(v, ref)
	}
}

// changes asks for changes; ok is false where the storage has no tokens.
func (b *bench) changes(since engine.Token) (engine.Delta, bool) {
	b.Helper()
	d, err := b.s.(engine.Tracker).Changes(b.Context(), since)
	if engine.IsKind(err, engine.NotSupported) {
		return d, false
	}
	if err != nil {
		b.Fatalf("changes since %q: %v", since, err)
	}
	for ref, text := range d.Texts {
		if got, ok := b.fetch(ref)[ref]; !ok || item.Sum(got.Text) != item.Sum(text) {
			b.Errorf("the text that came along with %q is not what is there", ref)
		}
	}
	return d, true
}

// sees demands that a view is what a listing tells.
func (b *bench) sees(v view) {
	b.Helper()
	want := view{}
	for ref := range b.all() {
		want[ref] = true
	}
	if !maps.Equal(v, want) {
		b.Errorf("following the changes gives %v, listing %v", v, want)
	}
}

var trackerPromises = []promise{
	{"the first changes are everything", func(b *bench) {
		b.create("a", "one")
		b.create("b", "two")
		d, ok := b.changes("")
		if !ok {
			return
		}
		if !d.Full {
			b.Error("not said to be full")
		}
		v := view{"never there": true}
		v.apply(d)
		b.sees(v)
	}},
	{"who follows the changes knows what a listing tells", func(b *bench) {
		d, ok := b.changes("")
		if !ok {
			return
		}
		v := view{}
		v.apply(d)
		old := d
		a, c := b.create("a", "one"), b.create("b", "one")
		for _, step := range []func(){
			func() {},
			func() { a = b.one(replacement(a, b.text("a", "two"))) },
			func() { b.one(deletion(c)) },
			func() { b.create("b", "three"); b.create("c", "one") },
			func() { b.one(deletion(b.create("d", "one"))) },
		} {
			step()
			next, ok := b.changes(d.Token)
			if !ok {
				b.Fatal("tokens were supported a moment ago")
			}
			v.apply(next)
			b.sees(v)
			v.apply(next) // a delta may be applied twice
			b.sees(v)
			d = next
		}
		late := view{}
		late.apply(old)
		next, _ := b.changes(old.Token)
		late.apply(next)
		b.sees(late)
	}},
	{"a changed item is named", func(b *bench) {
		a := b.create("a", "one")
		d, ok := b.changes("")
		if !ok || d.Token == "" {
			return
		}
		a = b.one(replacement(a, b.text("a", "two")))
		next, _ := b.changes(d.Token)
		for _, h := range next.Changed {
			if h.Ref == a.Ref && (h.Etag == a.Etag || a.Etag == "") {
				return
			}
		}
		b.Errorf("%v is not among %v", a.Head, next.Changed)
	}},
	{"a token that nobody knows is answered with everything", func(b *bench) {
		b.create("a", "one")
		for _, token := range []engine.Token{"no such token", "-1", "999999999", "\xff", "http://example.org/ns/sync/1"} {
			d, ok := b.changes(token)
			if !ok {
				return
			}
			if !d.Full {
				b.Errorf("%q was taken for a token", token)
			}
			v := view{}
			v.apply(d)
			b.sees(v)
		}
	}},
	{"under a cancelled context no changes are told", func(b *bench) {
		b.create("a", "one")
		if _, err := b.s.(engine.Tracker).Changes(b.cancelled(), ""); err == nil {
			b.Error("no error")
		}
	}},
}
