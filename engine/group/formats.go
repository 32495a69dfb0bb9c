package group

import (
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/merge"
	"davbus.org/davbus/engine/plan"
)

// A member may take cards of one version of vCard only. Its texts stay what they
// are, there, in the ledger and in history; what it is given is the agreed text in
// its version, and what it did is looked at in the richest version that an item is
// held in. See item.As.

// fit is a text as it goes to a member that takes these formats and holds like.
func fit(formats []string, text, like []byte) []byte {
	return item.As(text, item.Fit(formats, text), like)
}

// poorer tells a card in a version that says less than another's.
func poorer(text, other []byte) bool {
	own := item.Format(text)
	return own != "" && own < item.Format(other)
}

// level brings an agreed text and the edits of it into the richest version that
// one of them is in, each beside the same text, so that their lines compare. It
// gives the agreed text.
func level(agreed []byte, edits []merge.Edit) []byte {
	best := agreed
	for _, e := range edits {
		if best == nil || poorer(best, e.Text) {
			best = e.Text
		}
	}
	format := item.Format(best)
	if poorer(agreed, best) {
		for _, e := range edits {
			if item.Format(e.Mark) == format {
				best = e.Mark
				break
			}
		}
		agreed = item.As(agreed, format, best)
	}
	if agreed != nil {
		best = agreed
	}
	for i := range edits {
		e := &edits[i]
		e.Text = item.As(e.Text, format, best)
		if e.Mark != nil {
			e.Mark = item.As(e.Mark, format, best)
		}
	}
	return agreed
}

// richest lets a step take its text from the member that says most, of those that
// hold the same.
func (r *run) richest(s *plan.Step, row *plan.Row) error {
	if s.From == plan.Ledger || r.set.Key().Kind != engine.AddressBook {
		return nil
	}
	var best []byte
	for n, seen := range row.Seen {
		if seen.Is != plan.Present || seen.Sum != row.Seen[s.From].Sum || n != s.From && seen.Raw == row.Seen[s.From].Raw {
			continue
		}
		text, err := r.text(r.members[n].obs[seen.Ref].Text)
		if err != nil {
			return err
		}
		if n == s.From && best == nil || poorer(best, text) {
			best, s.From = text, n
		}
	}
	return nil
}

// spare makes links of writes that would say nothing new: the member has the text
// that is to be written, in its own version and under its own UID.
func (r *run) spare(s *plan.Step, row *plan.Row, d *decision) error {
	for i := range s.Ops {
		op := &s.Ops[i]
		m := r.members[op.Member]
		o := m.obs[op.Over.Ref]
		if op.Verb != plan.Replace || o == nil || m.Formats == nil && m.keep == nil && !m.foreign(o.UID, row.UID) {
			continue
		}
		next, err := r.stepText(s, row, d)
		if err != nil {
			return err
		}
		has, err := r.text(o.Text)
		if err != nil {
			return err
		}
		if item.Same(m.dress(next, has, m.uidOf(o, row.UID)), item.Project(has, m.keep)) {
			op.Verb = plan.Link
		}
	}
	return nil
}

// rich is the text of a side that wins, with what its version cannot say; nil if
// it can say all that the others do.
func (q *dispute) rich(w side) []byte {
	best := q.agreed
	for _, s := range q.sides {
		if best == nil || poorer(best, s.text) {
			best = s.text
		}
	}
	if !slices.ContainsFunc(q.sides, func(s side) bool { return s.member == w.member }) || !poorer(w.text, best) {
		return nil
	}
	return item.As(w.text, item.Format(best), best)
}
