package merge

import (
	"maps"
	"slices"

	"davbus.org/davbus/engine/item"
)

// A change is what one member did to one cell.
type change struct {
	view int   // in order of the edits
	text *cell // what it made of it; nil if it deleted it

	// disputed says that the agreed text has moved away from what the member
	// knew, so that the agreed cell stands against this change.
	disputed bool
	lost     bool // nobody knows whether this is a change: the member has no mark
	second   bool // the agreed cell is an edit too, of a member that comes first
}

// says is what the cell would say after the change.
func (c *change) says() string {
	if c.text == nil {
		return ""
	}
	return c.text.says
}

// A component is being merged: the agreed one, with what each member did to it.
type component struct {
	*merger
	agreed  *item.Node
	views   []view
	cells   []*cell             // of agreed
	changes map[*cell][]change  // to them, in order of views
	known   map[*cell][]view    // of components within: how each member sees them
	added   map[string][]change // new cells by bucket, in order of views
	several map[string]bool     // buckets of which some text has two or more
	said    []said              // by view
	out     *output
}

// A said is what a member's mark and text are made of, and what they say by bucket.
type said struct {
	marked, made []*cell
	mark, text   map[string]string
}

// component merges one component that agreed has.
func (m *merger) component(agreed *item.Node, views []view) *output {
	c := &component{merger: m, agreed: agreed, views: views, changes: map[*cell][]change{}, known: map[*cell][]view{},
		added: map[string][]change{}, several: map[string]bool{}, out: newOutput(agreed)}
	split := disputedLists(agreed, views)
	c.cells = cellsOf(agreed, split)
	c.count(c.cells)
	for _, v := range views {
		marked, made := cellsOf(v.mark, split), cellsOf(v.text, split)
		c.count(marked)
		c.count(made)
		c.said = append(c.said, said{marked, made, saying(marked), saying(made)})
	}
	for i, v := range views {
		c.compare(i, v)
	}
	c.units()
	if agreed.Name == "VCALENDAR" {
		c.series()
	}
	for _, a := range c.cells {
		switch {
		case a.bucket == zoneBucket || a.child == nil:
			c.settle(a)
		default:
			c.descend(a)
		}
	}
	for _, bucket := range slices.Sorted(maps.Keys(c.added)) {
		c.add(bucket, c.added[bucket])
	}
	return c.out
}

func (c *component) count(cells []*cell) {
	n := map[string]int{}
	for _, x := range cells {
		if n[x.bucket]++; n[x.bucket] > 1 && x.nth < 0 {
			c.several[x.bucket] = true
		}
	}
}

// single tells whether another cell of its bucket would stand against a cell.
func (c *component) single(x *cell) bool {
	return x.bucket != "" && x.child == nil && !x.grouped && !c.several[x.bucket] && !slices.Contains(repeated, x.bucket)
}

// disputedLists are the lists that must be merged value by value, because more
// than one member touched them or the agreed one is not what was touched. Others
// are merged line by line, so that a member's line stays as it wrote it.
func disputedLists(agreed *item.Node, views []view) map[string]bool {
	split := map[string]bool{}
	touched := map[string]int{}
	base := saying(listsOf(agreed))
	for _, v := range views {
		mark, text := saying(listsOf(v.mark)), saying(listsOf(v.text))
		for _, bucket := range lists {
			if mark[bucket] == text[bucket] {
				continue
			}
			if touched[bucket]++; touched[bucket] > 1 || mark[bucket] != base[bucket] {
				split[bucket] = true
			}
		}
	}
	return split
}

// listsOf are the lists of a component, line by line.
func listsOf(n *item.Node) (cells []*cell) {
	if n == nil {
		return nil
	}
	for p := range n.Lines {
		if base := p.Base(); slices.Contains(lists, base) {
			cells = append(cells, &cell{bucket: base, says: p.Content()})
		}
	}
	return cells
}

// compare finds out what one member did.
func (c *component) compare(i int, v view) {
	mark, text := c.said[i].marked, c.said[i].made
	// What others did to one of many since the mark cannot be told from place alone.
	base := matching(c.cells, mark, !v.behind) // agreed by mark
	made := matching(mark, text, true)         // mark by text
	became := make(map[*cell]*cell, len(made))
	for t, m := range made {
		became[m] = t
	}
	for _, m := range mark {
		c.compareCell(i, v, base[m], m, became[m])
	}
	// What only the member had, as its server adds it, is new once it is edited.
	news := slices.DeleteFunc(slices.Clone(text), func(t *cell) bool {
		m := made[t]
		return m != nil && (base[m] != nil || m.says == t.says)
	})
	there := c.meeting(without(c.cells, base), news)
	for _, t := range news {
		c.addition(i, v, t, there[t], made[t])
	}
}

// meeting finds, for cells that a member added, those of the agreed text that its
// mark did not have and that are the same or stand against them.
func (c *component) meeting(beside, news []*cell) map[*cell]*cell {
	found := map[*cell]*cell{}
	for _, key := range []func(*cell) string{
		func(x *cell) string { return x.says },
		func(x *cell) string { return x.about },
		func(x *cell) string {
			if c.single(x) {
				return x.bucket
			}
			return ""
		},
	} {
		beside, news = pair(beside, news, found, key)
	}
	return found
}

// compareCell notes what became of one cell of a mark, if anything did.
func (c *component) compareCell(i int, v view, agreed, mark, text *cell) {
	switch {
	case agreed == nil, text != nil && text.says == mark.says:
		return
	case agreed.bucket == zoneBucket && text == nil:
		if !v.lost {
			c.dropped[mark.about] = true
		}
		return
	}
	c.changes[agreed] = append(c.changes[agreed], change{i, text, v.behind && mark.says != agreed.says, v.lost, v.second})
	if agreed.child != nil && text != nil {
		c.known[agreed] = append(c.known[agreed], view{mark.child, text.child, v.behind, v.lost, v.second})
	}
}

// addition notes a cell that a member added, or that was only at the mark and was
// edited. If the agreed text has the same already, it is no change; if it has
// another where there can only be one, the two stand against each other.
func (c *component) addition(i int, v view, t, there, mark *cell) {
	switch {
	case there != nil && (there.says == t.says || there.bucket == zoneBucket):
		return
	case mark != nil && v.behind && t.bucket != zoneBucket && !c.renews(t.bucket):
		// Somebody else deleted meanwhile what this member edited.
		c.clash(t.bucket)
		return
	case there == nil:
		c.addTo(t.bucket, change{view: i, text: t, lost: v.lost})
		return
	}
	c.changes[there] = append(c.changes[there], change{i, t, true, v.lost, v.second})
	if there.child != nil {
		c.known[there] = append(c.known[there], view{nil, t.child, v.behind, v.lost, v.second})
	}
}

func (c *component) addTo(bucket string, ch change) { c.added[bucket] = append(c.added[bucket], ch) }
