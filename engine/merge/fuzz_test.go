package merge

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

func FuzzMerge(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	add := func(text []byte) {
		f.Add(text, itemtest.Rewrite(rng, text), itemtest.Edit(rng, text), itemtest.Edit(rng, text))
	}
	for _, c := range itemtest.Corpus() {
		if len(c.Text) < 1<<13 && item.Read(c.Text).Parsed {
			add(c.Text)
		}
	}
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		for _, it := range itemtest.Gen(1, 20, kind) {
			add(it.Text)
		}
	}
	broken := []byte("BEGIN:VCARD\r\nno sense\r\n\r\n continues nothing\r\n")
	f.Add(broken, broken, []byte("BEGIN:VCARD\r\nEND:VCARD\r\n"), []byte{})
	f.Fuzz(func(t *testing.T, agreed, mark, x, y []byte) {
		if got := Merge(agreed, []Edit{{Mark: agreed, Text: x}}); len(got.Clashes) > 0 || !bytes.Equal(got.Text, x) && !item.Same(x, agreed) {
			t.Errorf("one edit alone gives %q and %q, not %q", got.Clashes, got.Text, x)
		}
		for _, e := range []Edit{{Mark: agreed}, {Mark: mark}, {Mark: mark, Behind: true}, {}} {
			a, b := e, e
			a.Text, b.Text = x, y
			checkMerge(t, agreed, a, b)
		}
	})
}

// checkMerge checks what is true of every merge.
func checkMerge(t *testing.T, agreed []byte, a, b Edit) {
	t.Helper()
	one, two := Merge(agreed, []Edit{a, b}), Merge(agreed, []Edit{b, a})
	if (one.Text == nil) != (len(one.Clashes) > 0) && agreed != nil {
		t.Errorf("text %q and clashes %q", one.Text, one.Clashes)
	}
	if !slices.Equal(one.Clashes, two.Clashes) {
		t.Errorf("clashes %q, the other way round %q", one.Clashes, two.Clashes)
	} else if len(one.Clashes) == 0 && item.Read(one.Text).Parsed && !item.Same(one.Text, two.Text) {
		t.Errorf("the order of members matters:\n%q\n%q", one.Text, two.Text)
	}
	parsed := item.Read(agreed).Parsed && item.Read(a.Text).Parsed && item.Read(b.Text).Parsed
	if parsed && !item.Read(one.Proposal).Parsed {
		t.Errorf("well-formed texts give %q", one.Proposal)
	}
}
