package plan

import (
	"bytes"
	"slices"

	"davbus.org/davbus/engine"
)

// A census counts where the members stand with one row.
type census struct {
	states      [numStates]int
	marks       int // members with a mark, unread ones too
	edited      int // members that changed or added something
	goneCurrent int // members that let the agreed version go
	holders     int // members that are same, or unread with a mark
	reached     int // of the edited, those that arrived at the agreed text by themselves

	// sums are the edited texts, other than the agreed one, sorted.
	sums []engine.Sum
	// plain says that somebody who had the agreed version made the only edit.
	plain bool
}

func count(row *Row) census {
	var c census
	for i := range row.Seen {
		st, behind := at(row, i)
		c.states[st]++
		if row.Marks[i] != nil {
			c.marks++
		}
		switch st {
		case unread:
			if row.Marks[i] != nil {
				c.holders++
			}
		case same:
			c.holders++
		case gone:
			if !behind {
				c.goneCurrent++
			}
		case changed, added:
			c.edited++
			c.edit(row, i, st == changed && !behind)
		}
	}
	c.plain = c.plain && len(c.sums) == 1 || row.Version == 0
	slices.SortFunc(c.sums, func(a, b engine.Sum) int { return bytes.Compare(a[:], b[:]) })
	return c
}

func (c *census) edit(row *Row, i int, current bool) {
	sum := row.Seen[i].Sum
	if row.Version > 0 && sum == row.Sum {
		c.reached++
		return
	}
	if !slices.Contains(c.sums, sum) {
		c.sums = append(c.sums, sum)
	}
	c.plain = c.plain || current
}

// alone says that nobody else can hold a text: a late edit overwrites nothing.
func (c census) alone() bool { return c.holders == 0 && c.reached == 0 }

// dispute says that members changed an item in different ways. A preferred
// member needs no look at the texts.
func (d decider) dispute(row *Row, c census) Step {
	s := d.step(row)
	q := &Dispute{Kind: "modified", How: d.rules.Policy, Agreed: row.Version > 0 && !c.anyCurrent(row)}
	if row.Version == 0 {
		q.Kind = "added"
	} else if c.states[gone] > 0 {
		q.Kind = "modified-removed"
	}
	for i := range d.members {
		if st, _ := at(row, i); st == changed || st == added {
			if q.Kind == "added" || row.Seen[i].Sum != row.Sum {
				q.Sides = append(q.Sides, i)
			}
		}
	}
	if q.How == Prefer {
		q.How = Ask
		if i := d.index(d.rules.Prefer); i >= 0 && row.Seen[i].Is == Present {
			st, behind := at(row, i)
			if slices.Contains(q.Sides, i) {
				return d.agree(row, row.Seen[i].Sum, i)
			}
			if q.Agreed && st == same && !behind {
				return d.agree(row, row.Sum, Ledger)
			}
		}
	}
	s.Dispute = q
	return s
}

// anyCurrent tells whether somebody changed the agreed version itself, which
// then is nobody's text any more.
func (c census) anyCurrent(row *Row) bool {
	for i := range row.Seen {
		if st, behind := at(row, i); st == changed && !behind && row.Seen[i].Sum != row.Sum {
			return true
		}
	}
	return false
}

func (d decider) index(id engine.MemberID) int {
	return slices.IndexFunc(d.members, func(m Member) bool { return m.ID == id })
}
