package storagetest

import (
	"fmt"

	"davbus.org/davbus/engine"
)

var writePromises = []promise{
	{"what is created is listed and can be fetched", func(b *bench) {
		b.create("a", "one")
		b.create("b", "two")
		b.holds(b.text("a", "one"), b.text("b", "two"))
	}},
	{"what is replaced and deleted stays so", func(b *bench) {
		a, c := b.create("a", "one"), b.create("b", "two")
		for i := range 5 {
			a = b.one(replacement(a, b.text("a", fmt.Sprint("version ", i))))
		}
		b.one(deletion(c))
		b.holds(b.text("a", "version 4"))
	}},
	{"the head of an outcome names the new version", func(b *bench) {
		a := b.create("a", "one")
		out := b.apply(replacement(a, b.text("a", "two")))[0]
		a.Head, a.Text = out.Head, b.text("a", "two")
		if a.Etag == "" { // the storage gave none: it must be asked
			a = b.all()[a.Ref]
		}
		b.one(replacement(a, b.text("a", "three")))
		b.holds(b.text("a", "three"))
	}},
	{"a write over a stale version changes nothing and says Changed", func(b *bench) {
		old := b.create("a", "one")
		b.one(replacement(old, b.text("a", "two")))
		b.wantKind(b.apply(replacement(old, b.text("a", "three")))[0].Err, engine.Changed)
		b.wantKind(b.apply(deletion(old))[0].Err, engine.Changed)
		b.holds(b.text("a", "two"))
	}},
	{"a stale version of the same length is found out too", func(b *bench) {
		old := b.create("a", "1111")
		b.one(replacement(old, b.text("a", "2222")))
		b.wantKind(b.apply(replacement(old, b.text("a", "3333")))[0].Err, engine.Changed)
		b.wantKind(b.apply(deletion(old))[0].Err, engine.Changed)
		b.holds(b.text("a", "2222"))
	}},
	{"a write over what is gone changes nothing and says Changed", func(b *bench) {
		old := b.create("a", "one")
		b.one(deletion(old))
		b.wantKind(b.apply(replacement(old, b.text("a", "two")))[0].Err, engine.Changed)
		if err := b.apply(deletion(old))[0].Err; err != nil { // a server may say that it is gone as wished
			b.wantKind(err, engine.Changed)
		}
		b.holds()
	}},
	{"what was deleted can be created again", func(b *bench) {
		b.one(deletion(b.create("a", "one")))
		b.create("a", "two")
		b.holds(b.text("a", "two"))
	}},
	{"a creation overwrites nothing, whatever name it suggests", func(b *bench) {
		a := b.create("a", "one")
		w := b.creation("b", "two")
		w.Old.Ref = a.Ref
		out := b.apply(w)[0]
		if out.Err == nil {
			b.holds(b.text("a", "one"), b.text("b", "two"))
			return
		}
		b.wantKind(out.Err, engine.Changed, engine.AlreadyExists)
		b.holds(b.text("a", "one"))
	}},
	{"a second item of one UID overwrites nothing", func(b *bench) {
		b.create("a", "one")
		if out := b.apply(b.creation("a", "two"))[0]; out.Err != nil {
			b.holds(b.text("a", "one"))
			return
		}
		b.holds(b.text("a", "one"), b.text("a", "two"))
	}},
	{"one bad write of a batch hurts no other", func(b *bench) {
		stale, gone, kept := b.create("a", "one"), b.create("b", "one"), b.create("c", "one")
		b.one(replacement(stale, b.text("a", "two")))
		outs := b.apply(
			b.creation("d", "one"),
			replacement(stale, b.text("a", "three")),
			deletion(gone),
			deletion(stale),
			replacement(kept, b.text("c", "two")),
			b.creation("e", "one"),
		)
		for i, out := range outs {
			if i == 1 || i == 3 {
				b.wantKind(out.Err, engine.Changed)
			} else if out.Err != nil {
				b.Errorf("write %d: %v", i, out.Err)
			}
		}
		b.holds(b.text("a", "two"), b.text("c", "two"), b.text("d", "one"), b.text("e", "one"))
	}},
	{"a large batch is carried out whole", func(b *bench) {
		n := b.many
		var create, remove []engine.Write
		for i := range n {
			create = append(create, b.creation(engine.UID(fmt.Sprintf("item-%03d", i)), "one"))
		}
		b.apply(create...)
		var want [][]byte
		items := b.all()
		if len(items) != n {
			b.Fatalf("%d items are there, want %d", len(items), n)
		}
		for _, it := range items {
			if len(remove) < n/3 {
				remove = append(remove, deletion(it))
			} else {
				want = append(want, it.Text)
			}
		}
		for i, out := range b.apply(remove...) {
			if out.Err != nil {
				b.Errorf("deletion %d: %v", i, out.Err)
			}
		}
		b.holds(want...)
	}},
	{"a caller may break a batch off", func(b *bench) {
		var writes []engine.Write
		for i := range 20 {
			writes = append(writes, b.creation(engine.UID(fmt.Sprint("item-", i)), "one"))
		}
		var first engine.Head
		for i, out := range b.s.Apply(b.Context(), writes) {
			if i < 0 || out.Err != nil {
				b.Fatal(i, out.Err)
			}
			first = out.Head
			break
		}
		if _, ok := b.all()[first.Ref]; !ok {
			b.Errorf("%q was told to be written, yet is not there", first.Ref)
		}
		b.create("later", "one")
	}},
	{"under a cancelled context nothing is written", func(b *bench) {
		a := b.create("a", "one")
		for i, out := range b.s.Apply(b.cancelled(), []engine.Write{b.creation("b", "two"), deletion(a)}) {
			if i >= 0 || out.Err == nil {
				b.Errorf("write %d was begun: %v", i, out.Err)
			}
		}
		b.holds(b.text("a", "one"))
	}},
	{"no writes are no work", func(b *bench) {
		for i, out := range b.s.Apply(b.Context(), nil) {
			b.Errorf("outcome of write %d: %v", i, out.Err)
		}
	}},
}
