package group

import (
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
	return nil
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
