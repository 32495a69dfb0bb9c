package item_test

import (
	"math/rand/v2"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// zoned is an event with a title that carries zones: "A1" is zone A with rules 1.
func zoned(title string, zones ...string) []byte {
	body := ""
	for _, z := range zones {
		body += "BEGIN:VTIMEZONE|TZID:" + z[:1] + "|BEGIN:STANDARD|TZOFFSETTO:" + z[1:] + "|END:STANDARD|END:VTIMEZONE|"
	}
	return calendar(body + "BEGIN:VEVENT|UID:u|DTSTART;TZID=A:1|SUMMARY:" + title + "|END:VEVENT")
}

func TestSettle(t *testing.T) {
	plain, one, two, both := zoned("x"), zoned("x", "A1"), zoned("x", "A2"), zoned("x", "A1", "B1")
	other := zoned("y", "A1")
	tests := []struct {
		name   string
		agreed []byte
		copies []item.Copy
		want   [][]byte // whose sum each copy gets
	}{
		{"a server that adds a zone changed nothing", plain, []item.Copy{{Mark: plain, Text: one}}, [][]byte{plain}},
		{"a server that drops a zone changed nothing", one, []item.Copy{{Mark: one, Text: plain}}, [][]byte{one}},
		{"another offset is a change", one, []item.Copy{{Mark: one, Text: two}}, [][]byte{two}},
		{"a member's own spelling of the agreed text", one, []item.Copy{{Mark: two, Text: two}}, [][]byte{two}},
		{"back to what was agreed", one, []item.Copy{{Mark: two, Text: plain}, {Mark: other, Text: plain}}, [][]byte{two, one}},
		{"new copies beside an agreed text", one, []item.Copy{{Text: plain}, {Text: both}, {Text: two}}, [][]byte{one, one, two}},
		{"new copies of which one has no zone", nil, []item.Copy{{Text: plain}, {Text: one}, {Text: both}}, [][]byte{both, both, both}},
		{"a copy that is gone", one, []item.Copy{{Mark: one}}, [][]byte{nil}},
		{"an edit by two", one, []item.Copy{{Mark: one, Text: other}, {Mark: plain, Text: zoned("y")}}, [][]byte{other, other}},
	}
	for _, tt := range tests {
		got := item.Settle(tt.agreed, tt.copies)
		for i, want := range tt.want {
			sum := engine.Sum{}
			if want != nil {
				sum = item.Sum(want)
			}
			if got[i] != sum {
				t.Errorf("%s: copy %d has an unexpected sum", tt.name, i)
			}
		}
	}
}

// Whatever the copies: two that carry different rules for one zone are never
// made one, two that say the same are, and the order of members does not matter.
func TestSettleNeverHidesAChangedZone(t *testing.T) {
	const seed = 12
	rng := rand.New(rand.NewPCG(seed, 0))
	texts := [][]byte{zoned("x"), zoned("x", "A1"), zoned("x", "A2"), zoned("x", "B1"), zoned("x", "A1", "B1"), zoned("x", "A2", "B1"), zoned("y"), zoned("y", "A1")}
	for round := range settleRounds {
		var agreed []byte
		if rng.IntN(2) == 0 {
			agreed = texts[rng.IntN(len(texts))]
		}
		copies := make([]item.Copy, 2+rng.IntN(4))
		for i := range copies {
			copies[i].Text = texts[rng.IntN(len(texts))]
			if rng.IntN(2) == 0 {
				copies[i].Mark = texts[rng.IntN(len(texts))]
			}
		}
		sums := item.Settle(agreed, copies)
		for i, a := range copies {
			if a.Mark != nil && (sums[i] == item.Sum(a.Mark)) != item.Same(a.Mark, a.Text) && !item.Same(a.Mark, agreed) {
				t.Fatalf("seed %d round %d: copy %d against its mark", seed, round, i)
			}
			for j, b := range copies {
				marked := a.Mark != nil && item.Same(a.Text, a.Mark) || b.Mark != nil && item.Same(b.Text, b.Mark)
				if sums[i] == sums[j] && !item.Same(a.Text, b.Text) && !marked {
					t.Fatalf("seed %d round %d: copies %d and %d are made one", seed, round, i, j)
				}
				if item.Sum(a.Text) == item.Sum(b.Text) && sums[i] != sums[j] && !marked {
					t.Fatalf("seed %d round %d: copies %d and %d are made two", seed, round, i, j)
				}
			}
		}
		swapped := append(copies[1:len(copies):len(copies)], copies[0])
		again := item.Settle(agreed, swapped)
		for i := range sums {
			if again[(i+len(sums)-1)%len(sums)] != sums[i] {
				t.Fatalf("seed %d round %d: the order of members matters", seed, round)
			}
		}
	}
}
