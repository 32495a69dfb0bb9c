package group

import (
	"slices"

	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/merge"
	"davbus.org/davbus/engine/plan"
)

// complete lets no text be agreed on of a member that cannot keep everything: what
// it cannot keep comes from what was agreed on, or from another that has the item.
// So it never erases that, whatever rules. Its own copy stands for the whole.
func (r *run) complete(s *plan.Step, row *plan.Row, d *decision) error {
	if _, made := d.given[s.Key]; made || s.From == plan.Ledger || r.members[s.From].keep == nil {
		return nil
	}
	n, m := s.From, r.members[s.From]
	o := m.obs[row.Seen[n].Ref]
	text, err := r.viewText(m, o.Text, o.UID, row.UID)
	if err != nil {
		return err
	}
	whole, err := r.wholeOf(row, n, text)
	if err != nil || whole == nil || item.Same(whole, text) {
		return err
	}
	step := plan.Agree(r.planMembers(), row, item.Sum(whole), n)
	step.Ops = slices.DeleteFunc(step.Ops, func(op plan.Op) bool { return op.Member == n })
	step.Ops = append(step.Ops, plan.Op{Member: n, Verb: plan.Link, Version: step.Version, Over: row.Seen[n].Head, Was: row.Seen[n].Raw})
	if step.From == n { // else it arrived at the agreed text
		d.given[s.Key] = given{text: whole, lone: true}
	}
	*s = step
	return nil
}

// wholeOf applies what a member did, as far as it keeps things, to a text that says
// everything: the agreed one, or another member's; nil if there is none.
func (r *run) wholeOf(row *plan.Row, n int, text []byte) ([]byte, error) {
	base, err := r.rich(row, n)
	if base == nil || err != nil {
		return nil, err
	}
	m := r.members[n]
	edit := merge.Edit{Name: string(m.ID), Text: text, Mark: item.Project(base, m.keep)}
	if e := r.entries[row.Key]; e != nil && e.marks[n].Held() && e.marks[n].Version == row.Version {
		if edit.Mark, err = r.viewText(m, e.marks[n].Text, e.marks[n].UID, row.UID); err != nil {
			return nil, err
		}
	}
	edits := []merge.Edit{edit}
	result := merge.Merge(level(base, edits), edits)
	if result.Text == nil {
		return result.Proposal, nil
	}
	return result.Text, nil
}

// rich is the text that says everything about an item.
func (r *run) rich(row *plan.Row, but int) ([]byte, error) {
	if row.Version > 0 {
		return r.text(r.entries[row.Key].Text)
	}
	id, of := ledger.TextID(0), -1
	for n, seen := range row.Seen {
		m := r.members[n]
		if n != but && seen.Is == plan.Present && m.keep == nil && (of < 0 || m.ID < r.members[of].ID) {
			id, of = m.obs[seen.Ref].Text, n
		}
	}
	if of < 0 {
		return nil, nil
	}
	m := r.members[of]
	return r.viewText(m, id, m.obs[row.Seen[of].Ref].UID, row.UID)
}
