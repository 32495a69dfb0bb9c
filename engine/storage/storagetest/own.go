package storagetest

import (
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// ownPromises are of storages that give items UIDs of their own.
var ownPromises = []promise{
	{"a new item has the UID that the outcome says, or is to be read", func(b *bench) {
		for _, uid := range []engine.UID{"a", "b"} {
			out := b.apply(b.creation(uid, "one"))[0]
			if out.Err != nil {
				b.Fatal(out.Err)
			}
			has := item.Read(b.all()[out.Head.Ref].Text).UID
			if has == uid || has == "" || out.UID != "" && out.UID != has || out.UID == "" && out.Kept {
				b.Errorf("it has %q, and the outcome is %+v", has, out)
			}
		}
	}},
	{"an item keeps its UID when it is replaced under it", func(b *bench) {
		made := b.create("a", "one")
		uid := item.Read(made.Text).UID
		made = b.one(replacement(made, item.WithUID(b.text("a", "two"), uid)))
		if has := item.Read(made.Text).UID; has != uid {
			b.Errorf("it had %q and has %q", uid, has)
		}
	}},
	{"items of one content are two, with two UIDs", func(b *bench) {
		a, c := b.create("a", "one"), b.create("b", "one")
		if a.Ref == c.Ref || item.Read(a.Text).UID == item.Read(c.Text).UID {
			b.Errorf("they are %q and %q", a.Text, c.Text)
		}
		b.holds(b.text("a", "one"), b.text("b", "one"))
	}},
}
