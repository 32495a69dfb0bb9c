package group

import (
	"bytes"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/plan"
)

// settle gives the copies of a row the sums to plan with, where a text moved.
func (r *run) settle(row *plan.Row) error {
	if !unsettled(row) {
		return nil
	}
	e := r.entries[row.Key]
	var agreed []byte
	var err error
	if row.Version > 0 {
		if agreed, err = r.text(e.Text); err != nil {
			return err
		}
	}
	var copies []item.Copy
	var at []int
	for n, s := range row.Seen {
		if s.Is != plan.Present {
			continue
		}
		var c item.Copy
		m := r.members[n]
		if e != nil && e.marks[n] != nil {
			if c.Mark, err = r.viewText(m, e.marks[n].Text, e.marks[n].UID, row.UID); err != nil {
				return err
			}
		}
		if c.Text, err = r.viewText(m, m.obs[s.Ref].Text, m.obs[s.Ref].UID, row.UID); err != nil {
			return err
		}
		copies, at = append(copies, c), append(at, n)
	}
	for i, sum := range item.Settle(agreed, copies) {
		if c := copies[i]; c.Mark != nil && sum == item.Sum(c.Mark) {
			sum = row.Marks[at[i]].Sum // of the text that the member holds
		}
		row.Seen[at[i]].Sum = sum
	}
	for i, n := range at {
		if k := row.Marks[n]; r.members[n].keep != nil && (k == nil || row.Seen[n].Sum != k.Sum) {
			row.Seen[n].Sum = r.richer(row, agreed, copies, at, i)
		}
	}
	return nil
}

// richer is what a copy counts as whose member keeps less than others: as what was
// agreed on, or as another's copy, if it is all that it can keep of that.
func (r *run) richer(row *plan.Row, agreed []byte, copies []item.Copy, at []int, i int) engine.Sum {
	n := at[i]
	all := func(text []byte) bool {
		return item.Alike(item.Project(text, r.members[n].keep), copies[i].Text)
	}
	if agreed != nil && all(agreed) {
		return row.Sum
	}
	best := row.Seen[n].Sum
	found := false
	for j, other := range at {
		sum := row.Seen[other].Sum
		if r.members[other].keep == nil && all(copies[j].Text) && (!found || bytes.Compare(sum[:], best[:]) < 0) {
			best, found = sum, true
		}
	}
	return best
}

// unsettled tells whether the texts of a row must be compared: two copies differ
// that may yet be the same.
func unsettled(row *plan.Row) bool {
	var sum engine.Sum
	some := row.Version > 0
	if some {
		sum = row.Sum
	}
	moved := false
	for n, s := range row.Seen {
		if s.Is != plan.Present || row.Marks[n] != nil && s.Raw == row.Marks[n].Sum {
			continue
		}
		if some && s.Raw != sum {
			moved = true
		}
		sum, some = s.Raw, true
	}
	return moved
}
