package group

import (
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/merge"
	"davbus.org/davbus/engine/plan"
)

// applyEdit takes one member's edit for what it is where that member keeps
// another text than the agreed one, as a poorer format does: what changed against
// its own mark is applied to the agreed text. So it never erases what it cannot
// keep. Its own copy stands for the outcome as its mark did for the agreed text,
// and is not written.
func (r *run) applyEdit(s *plan.Step, row *plan.Row, d *decision) error {
	e := r.entries[s.Key]
	if s.From == plan.Ledger || e == nil || row.Version == 0 || r.rules.From != "" {
		return nil
	}
	n, m := s.From, r.members[s.From]
	o := m.obs[row.Seen[n].Ref]
	k := e.marks[n]
	if !k.Held() || k.Version != row.Version || k.Sum == e.Sum && r.set.Key().Kind != engine.AddressBook || k.UID != o.UID {
		return nil
	}
	agreed, err := r.text(e.Text)
	if err != nil {
		return err
	}
	edit := merge.Edit{Name: string(m.ID)}
	if edit.Mark, err = r.viewText(m, k.Text, k.UID, e.UID); err != nil {
		return err
	}
	if edit.Text, err = r.viewText(m, o.Text, o.UID, e.UID); err != nil {
		return err
	}
	if k.Sum == e.Sum && !poorer(edit.Text, agreed) {
		return nil
	}
	edits := []merge.Edit{edit}
	whole := merge.Merge(level(agreed, edits), edits).Text
	if whole == nil || item.Same(whole, edit.Text) {
		return nil
	}
	sum := item.Sum(whole)
	if item.Alike(whole, agreed) {
		sum = row.Sum
	}
	step := plan.Agree(r.planMembers(), row, sum, n)
	step.Ops = slices.DeleteFunc(step.Ops, func(op plan.Op) bool { return op.Member == n })
	step.Ops = append(step.Ops, plan.Op{Member: n, Verb: plan.Link, Version: step.Version, Over: row.Seen[n].Head, Was: row.Seen[n].Raw})
	if step.From == n { // else it arrived at the agreed text
		d.given[s.Key] = given{text: whole, lone: true}
	}
	*s = step
	return nil
}
