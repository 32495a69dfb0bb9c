package group

import (
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// askedFor is the conflict that this run is to settle, as a person saw it; nil if
// it is to settle none.
func (r *run) askedFor() (*ledger.Conflict, error) {
	if r.opt.Decide == nil {
		return nil, nil
	}
	all, err := r.set.Conflicts()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == r.opt.Decide.Conflict {
			return &all[i], nil
		}
	}
	return nil, engine.Fail(engine.NotFound, "settle conflict", r.opt.Decide.Conflict, "it is not open (any more)")
}

// asSeen tells whether a dispute holds nothing but what the person saw who settles
// it: what was edited or deleted since must not be overwritten on their word.
func (r *run) asSeen(q *dispute, asked *ledger.Conflict) bool {
	for _, now := range r.sidesOf(q.row) {
		if !slices.Contains(asked.Sides, now) {
			return false
		}
	}
	return true
}

// settleAsAsked gives the step that a person made of a dispute; nil to leave it.
func (r *run) settleAsAsked(q *dispute, d *decision) (*plan.Step, error) {
	how := r.opt.Decide
	wrong := func(format string, args ...any) error {
		return engine.Fail(engine.Invalid, "settle conflict", how.Conflict, format, args...)
	}
	switch how.Choice {
	case "member":
		return r.settleForMember(q, how.Member, d)
	case "newest":
		if w := newest(q.candidates()); w != nil {
			return r.winner(q, *w, d), nil
		}
		return nil, wrong("its texts do not all carry SEQUENCE or LAST-MODIFIED, or are equally new: name a member")
	case "both":
		return r.keepBoth(q, d), nil
	case "merged":
		text := how.Text
		if text == nil {
			text = q.merge().Proposal
		}
		if text == nil {
			return nil, wrong("no merge can be proposed: give the text, or name a member")
		}
		if info := item.Read(text); !info.Parsed || info.UID != q.row.UID {
			return nil, wrong("the text given is not the item (%s, UID %q)", info.Reason, info.UID)
		}
		return r.agreeOn(q, text, "merged", d), nil
	case "skip":
		d.skip = how.Conflict
		return nil, nil
	}
	return nil, wrong("there is no choice %q", how.Choice)
}

func (r *run) settleForMember(q *dispute, id engine.MemberID, d *decision) (*plan.Step, error) {
	n := slices.IndexFunc(r.members, func(m *member) bool { return m.ID == id })
	switch {
	case n < 0:
		return nil, engine.Fail(engine.NotFound, "settle conflict", r.opt.Decide.Conflict, "%s is no member of this set", id)
	case q.row.Seen[n].Is == plan.Unread:
		return nil, engine.Fail(engine.Offline, "settle conflict", r.opt.Decide.Conflict, "%s cannot be read now", id)
	case q.row.Seen[n].Is == plan.Absent:
		step := plan.Remove(r.planMembers(), q.row)
		return &step, nil
	}
	if at := slices.IndexFunc(q.sides, func(s side) bool { return s.member == n }); at >= 0 {
		return r.winner(q, q.sides[at], d), nil
	}
	sum, from := q.row.Seen[n].Sum, n
	if k := q.row.Marks[n]; k != nil && k.Version == q.row.Version && k.Sum == sum {
		sum, from = q.row.Sum, plan.Ledger // what it holds stands for that
	}
	step := plan.Agree(r.planMembers(), q.row, sum, from)
	return &step, nil
}
