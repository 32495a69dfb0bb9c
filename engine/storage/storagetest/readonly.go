package storagetest

import (
	"testing"

	"davbus.org/davbus/engine"
)

// RunReadOnly tests storages that take no writes. fresh makes one that holds
// what Text makes of "a" and "b", both with the body "one".
func RunReadOnly(t *testing.T, kind string, fresh func(testing.TB) engine.Storage) {
	t.Helper()
	Suite{Kind: kind, Fresh: fresh}.each(t, []promise{
		{"what is there is listed and can be fetched", func(b *bench) {
			b.holds(b.text("a", "one"), b.text("b", "one"))
		}},
		{"a fetch brings what was asked and leaves out what is not there", func(b *bench) {
			for ref := range b.all() {
				if got := b.fetch(ref, "no such ref"); len(got) != 1 {
					b.Errorf("fetched %d items, want 1", len(got))
				}
			}
			if got := b.fetch(); len(got) != 0 {
				b.Errorf("fetched %d items unasked", len(got))
			}
		}},
		{"a listing and a fetch may be broken off", func(b *bench) {
			var refs []engine.Ref
			for h := range b.s.List(b.Context()) {
				refs = append(refs, h.Ref)
				break
			}
			for range b.s.Fetch(b.Context(), append(refs, refs...)) {
				break
			}
			b.holds(b.text("a", "one"), b.text("b", "one"))
		}},
		{"every write is refused as read-only", func(b *bench) {
			writes := []engine.Write{b.creation("c", "one")}
			for _, it := range b.all() {
				writes = append(writes, deletion(it), replacement(it, b.text("a", "two")))
			}
			for _, out := range b.apply(writes...) {
				b.wantKind(out.Err, engine.ReadOnly)
			}
			b.holds(b.text("a", "one"), b.text("b", "one"))
		}},
		{"under a cancelled context nothing looks complete", func(b *bench) {
			refs := []engine.Ref{"no such ref"}
			for ref := range b.all() {
				refs = append(refs, ref)
			}
			b.wantCancelled(refs)
		}},
	})
}

// wantCancelled demands that no listing and no fetch looks complete under a
// cancelled context.
func (b *bench) wantCancelled(refs []engine.Ref) {
	b.Helper()
	failed := false
	for _, err := range b.s.List(b.cancelled()) {
		failed = failed || err != nil
	}
	if !failed {
		b.Error("the listing ended as if it were complete")
	}
	failed = false
	for it, err := range b.s.Fetch(b.cancelled(), refs) {
		failed = failed || err != nil && it.Ref == ""
	}
	if !failed {
		b.Error("the fetch ended as if the items were gone")
	}
}
