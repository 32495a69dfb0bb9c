package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
)

// bared lets a text say the same whatever its UID is.
func bared(s Survey, own bool, members int) Survey {
	s.Own = own
	for i := range s.Items {
		for range members {
			s.Items[i].Bare = append(s.Items[i].Bare, s.Items[i].Raw)
		}
	}
	return s
}

func TestMatchByContent(t *testing.T) {
	lost := known("u:1 1", "x a", "y a 9")
	lost.Marks[1].Bare = text('a')
	doubt := known("u:1 1", "x a", "")
	doubt.Sum, doubt.Bare = text('b'), Bares{text('b'), text('b')}
	doubt.Marks[1] = &Mark{Sum: text('a'), Bare: text('a'), Version: 1}
	late := known("u:9 9", "", "y a")
	late.Bare = Bares{text('a'), text('a')}
	there := known("u:1 1", "x a", "y a 9")
	there.Bare = Bares{text('a'), text('a')}
	other := known("u:0 0", "w a", "")
	other.Bare = there.Bare
	tests := []struct {
		name    string
		rows    []Row
		surveys []string // the second member gives its own UIDs
		want    string
	}{
		{"one for one", nil, []string{"x 1 a", "y 9 a"}, "u:1: x/a y/a"},
		{"other content", nil, []string{"x 1 a", "y 9 b"}, "u:1: x/a .; u:9: . y/b"},
		{"two for two, by key and ref", nil, []string{"x 1 a, w 2 a", "z 8 a, y 9 a"}, "u:1: x/a y/a; u:2: w/a z/a"},
		{"more here", nil, []string{"x 1 a, w 2 a", "y 9 a"}, "u:1: x/a y/a; u:2: w/a ."},
		{"more there", nil, []string{"x 1 a", "y 9 a, z 8 a"}, "u:1: x/a y/a; u:8: . z/a"},
		{"its UID tells first", nil, []string{"x 1 a, w 2 a", "y 2 a"}, "u:1: x/a .; u:2: w/a y/a"},
		{"what is marked is taken", []Row{there}, []string{"x 1 a", "y 9 a, z 8 a"}, "u:1: x/a y/a; u:8: . z/a"},
		{"what is there and not read is taken", []Row{there}, []string{"x 1 a", "y 9 ?, z 8 a"}, "u:1: x/a ?; u:8: . z/a"},
		{"under another name, and edited", []Row{known("u:1 1", "x a", "y a 9")}, []string{"x 1 a", "z 9 b"}, "u:1: x/a z/b"},
		{"under another name and UID", []Row{lost}, []string{"x 1 b", "z 7 a"}, "u:1: x/b z/a"},
		{"what it had comes before what it never had", []Row{other, lost}, []string{"w 0 a, x 1 a", "z 7 a"}, "u:0: w/a .; u:1: x/a z/a"},
		{"a write whose outcome nobody knows", []Row{doubt}, []string{"x 1 b", "y 9 a"}, "u:1: x/b y/a"},
		{"a late member finds what another named", []Row{late}, []string{"x 1 a", "y 9 a"}, "u:9: x/a y/a"},
		{"not read is not matched", nil, []string{"x 1 a", "y 9 ?"}, "u:1: x/a ."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var surveys []Survey
			for n, s := range tt.surveys {
				surveys = append(surveys, bared(things(s), n == 1, 2))
			}
			rows, clashes := Match(tt.rows, surveys)
			if got := shape(rows); got != tt.want || len(clashes) > 0 {
				t.Errorf("got  %s %v\nwant %s", got, clashes, tt.want)
			}
		})
	}
}

// Whatever is alike: every item has one row, no row has two of one member, no
// member could have been given more than there are anywhere, and the order of
// items makes no difference.
func TestRandomContentIsMatchedOneForOne(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 3))
		surveys := make([]Survey, 2+r.IntN(3))
		most := map[engine.Sum]int{}
		for n := range surveys {
			s := Survey{Complete: true}
			has := map[engine.Sum]int{}
			for i := range r.IntN(5) {
				sum := text("abc"[r.IntN(3)])
				has[sum]++
				s.Items = append(s.Items, Item{Head: engine.Head{Ref: engine.Ref(fmt.Sprint(i))}, UID: engine.UID(fmt.Sprint(n, i)), Raw: sum})
			}
			for sum := range has {
				most[sum] = max(most[sum], has[sum])
			}
			surveys[n] = bared(s, n > 0, len(surveys)) // all but the first give their own
		}
		rows, clashes := Match(nil, surveys)
		rowsOf := map[engine.Sum]int{}
		placed := 0
		for _, row := range rows {
			rowsOf[row.Sum]++
			for _, s := range row.Seen {
				if s.Is == Present {
					placed++
					if s.Raw != row.Sum {
						t.Fatalf("seed %d: unlike items are one: %s", seed, shape(rows))
					}
				}
			}
		}
		items := 0
		for _, s := range surveys {
			items += len(s.Items)
		}
		if placed != items || len(clashes) > 0 || !maps.Equal(rowsOf, most) {
			t.Fatalf("seed %d: %d of %d items, %v rows where there were %v at most: %s", seed, placed, items, rowsOf, most, shape(rows))
		}
		for n := range surveys {
			slices.Reverse(surveys[n].Items)
		}
		if turned, _ := Match(nil, surveys); shape(turned) != shape(rows) {
			t.Fatalf("seed %d: the order of items makes a difference: %s, %s", seed, shape(rows), shape(turned))
		}
	}
}
