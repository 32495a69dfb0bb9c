package merge

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// worlds runs a law over random items and two random edits of each.
func worlds(t *testing.T, law func(t *testing.T, rng *rand.Rand, base, x, y []byte)) {
	const seed, count = 20261124, 250
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		for n, it := range itemtest.Gen(seed, count, kind) {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			x, y := edited(rng, it.Text), edited(rng, it.Text)
			law(t, rng, it.Text, x, y)
			if t.Failed() {
				t.Fatalf("reproduce with seed %d, %s, item %d:\n%s\nfirst edit:\n%s\nsecond edit:\n%s", seed, kind, n, it.Text, x, y)
			}
		}
	}
}

// edited makes up to three edits, which do not undo each other.
func edited(rng *rand.Rand, text []byte) []byte {
	x := itemtest.Edit(rng, text)
	for range rng.IntN(3) {
		x = itemtest.Edit(rng, x)
	}
	if item.Sum(x) == item.Sum(text) {
		return edited(rng, text)
	}
	return x
}

func TestOneEditIsTheResultByteForByte(t *testing.T) {
	worlds(t, func(t *testing.T, _ *rand.Rand, base, x, _ []byte) {
		for _, edits := range [][]Edit{{{Mark: base, Text: x}, {Mark: base, Text: base}}, {{Mark: base, Text: base}, {Mark: base, Text: x}}, {{Mark: base, Text: x}}, {{Mark: base, Text: x}, {Mark: base, Text: x}}} {
			if got := Merge(base, edits); !bytes.Equal(got.Text, x) {
				t.Errorf("got:\n%s", got.Text)
			}
		}
	})
}

func TestOneEditOfARewrittenItemIsAppliedToTheAgreedOne(t *testing.T) {
	worlds(t, func(t *testing.T, rng *rand.Rand, base, x, _ []byte) {
		got := Merge(base, []Edit{{Mark: itemtest.Rewrite(rng, base), Text: itemtest.Rewrite(rng, x)}})
		if !item.Same(got.Text, x) {
			t.Errorf("clashes %q, got:\n%s", got.Clashes, got.Proposal)
		}
	})
}

func TestTheOrderOfMembersDoesNotMatter(t *testing.T) {
	merged := 0
	worlds(t, func(t *testing.T, _ *rand.Rand, base, x, y []byte) {
		a := Merge(base, []Edit{{Mark: base, Text: x}, {Mark: base, Text: y}})
		b := Merge(base, []Edit{{Mark: base, Text: y}, {Mark: base, Text: x}})
		if (a.Text == nil) != (b.Text == nil) || a.Text != nil && item.Sum(a.Text) != item.Sum(b.Text) || !slices.Equal(a.Clashes, b.Clashes) {
			t.Errorf("first %q:\n%s\nthen %q:\n%s", a.Clashes, a.Proposal, b.Clashes, b.Proposal)
		}
		if a.Text != nil {
			merged++
		}
	})
	if merged < 150 || merged > 450 {
		t.Errorf("%d of 500 merged: the worlds must have merges and clashes", merged)
	}
}

func TestAMergeMergedAgainIsTheSame(t *testing.T) {
	worlds(t, func(t *testing.T, _ *rand.Rand, base, x, y []byte) {
		merged := Merge(base, []Edit{{Mark: base, Text: x}, {Mark: base, Text: y}})
		if merged.Text == nil {
			return
		}
		again := Merge(merged.Text, []Edit{{Mark: base, Text: x, Behind: true}, {Mark: base, Text: y, Behind: true}})
		if item.Sum(again.Text) != item.Sum(merged.Text) {
			t.Errorf("clashes %q, merged:\n%s\nagain:\n%s", again.Clashes, merged.Text, again.Text)
		}
	})
}

func TestNoEditIsLostAndNothingElseTouched(t *testing.T) {
	worlds(t, func(t *testing.T, _ *rand.Rand, base, x, y []byte) {
		got := Merge(base, []Edit{{Mark: base, Text: x}, {Mark: base, Text: y}})
		if i := item.Read(got.Proposal); !i.Parsed || i.UID != item.Read(base).UID {
			t.Errorf("the result is not well formed: %s", i.Reason)
		}
		if got.Text == nil {
			return
		}
		in := map[string]bool{}
		for _, l := range linesOf(got.Text) {
			in[l] = true
		}
		was, xs, ys := linesOf(base), linesOf(x), linesOf(y)
		for _, l := range was {
			if !in[l] && slices.Contains(xs, l) && slices.Contains(ys, l) {
				t.Errorf("lost a line that nobody touched: %q", l)
			}
		}
		for _, l := range slices.Concat(xs, ys) {
			if !in[l] && !slices.Contains(was, l) && !mayDiffer(l) {
				t.Errorf("lost an edit: %q", l)
			}
		}
	})
}

// linesOf gives content lines as they stand.
func linesOf(text []byte) []string {
	return strings.Split(strings.ReplaceAll(string(text), "\r\n ", "\x00"), "\r\n")
}

// mayDiffer tells lines that a merge writes anew: of two the newer, or a list.
func mayDiffer(line string) bool {
	for _, p := range []string{"SEQUENCE", "LAST-MODIFIED", "REV", "CATEGORIES", "DTSTAMP"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
