package group

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/merge"
	"davbus.org/davbus/engine/plan"
)

// A dispute is an item that members changed in different ways, with its texts.
type dispute struct {
	*plan.Dispute
	row    *plan.Row
	entry  *entry // nil for a new item
	agreed []byte // nil for a new item
	sides  []side // in the order of members
}

// A side is one member's text in a dispute, or the agreed one.
type side struct {
	member int // or plan.Ledger
	sum    engine.Sum
	name   string
	mark   []byte // what the member held when it last was in step; nil if it never was
	behind bool   // that was an older version
	text   []byte
}

// settleDisputes replaces every disputed step that the rules, or a person, can
// settle; the others become conflicts.
func (r *run) settleDisputes(ctx context.Context, p *plan.Plan, rows map[plan.Key]*plan.Row, d *decision) error {
	asked, err := r.askedFor()
	if err != nil {
		return err
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Dispute == nil {
			if err := r.richest(s, rows[s.Key]); err != nil {
				return err
			}
			if err := r.applyEdit(s, rows[s.Key], d); err != nil {
				return err
			}
			continue
		}
		q, err := r.open(s.Dispute, rows[s.Key])
		if err != nil {
			return err
		}
		if asked != nil && string(s.Key) == asked.Key && !r.asSeen(q, asked) {
			d.stale = engine.Fail(engine.Changed, "settle conflict", asked.ID, "a member has moved since; look at it again")
		} else if asked != nil && string(s.Key) == asked.Key {
			step, err := r.settleAsAsked(q, d)
			if err != nil {
				return err
			}
			if step != nil {
				d.rules[s.Key] = "chosen by a person: " + r.opt.Decide.Choice
				*s = *step
				continue
			}
		} else if step, err := r.settleByRule(ctx, q, d); err != nil {
			return err
		} else if step != nil {
			if q.How != plan.Merge {
				d.rules[s.Key] = "settled by the group's conflict policy: " + r.rules.Policy
			}
			*s = *step
			continue
		}
		c, err := r.conflict(q)
		if err != nil {
			return err
		}
		d.conflicts = append(d.conflicts, c)
	}
	p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return s.Dispute != nil })
	for i := range p.Steps {
		if err := r.complete(&p.Steps[i], rows[p.Steps[i].Key], d); err != nil {
			return err
		}
	}
	return nil
}

// open reads the texts of a dispute.
func (r *run) open(q *plan.Dispute, row *plan.Row) (*dispute, error) {
	d := &dispute{Dispute: q, row: row, entry: r.entries[row.Key]}
	var err error
	if d.entry != nil && row.Version > 0 {
		if d.agreed, err = r.text(d.entry.Text); err != nil {
			return nil, err
		}
	}
	for _, n := range q.Sides {
		m := r.members[n]
		s, o := side{member: n, name: string(m.ID), sum: row.Seen[n].Sum}, m.obs[row.Seen[n].Ref]
		if s.text, err = r.viewText(m, o.Text, o.UID, row.UID); err != nil {
			return nil, err
		}
		if d.entry != nil && d.entry.marks[n] != nil {
			k := d.entry.marks[n]
			s.behind = k.Version < row.Version
			if s.mark, err = r.viewText(m, k.Text, k.UID, row.UID); err != nil {
				return nil, err
			}
		}
		if m.keep != nil && s.mark == nil {
			if whole, err := r.wholeOf(row, n, s.text); err != nil {
				return nil, err
			} else if whole != nil {
				s.text = whole
			}
		}
		d.sides = append(d.sides, s)
	}
	return d, nil
}

// candidates are the different texts that may win: the sides', and the agreed
// one where it is a side.
func (q *dispute) candidates() []side {
	var all []side
	if q.Agreed && q.agreed != nil {
		all = append(all, side{member: plan.Ledger, sum: q.row.Sum, text: q.agreed})
	}
	for _, s := range q.sides {
		if !slices.ContainsFunc(all, func(o side) bool { return o.sum == s.sum }) {
			all = append(all, s)
		}
	}
	return all
}

// settleByRule gives the step that the rules make of a dispute; nil if a person
// must decide.
func (r *run) settleByRule(ctx context.Context, q *dispute, d *decision) (*plan.Step, error) {
	switch q.How {
	case plan.Merge:
		if m := q.merge(); m.Text != nil {
			return r.agreeOn(q, m.Text, "merged", d), nil
		}
	case plan.Newest:
		if w := newest(q.candidates()); w != nil {
			return r.winner(q, *w, d), nil
		}
	case plan.Both:
		return r.keepBoth(q, d), nil
	case plan.Command:
		text, err := r.command(ctx, q)
		if err != nil {
			r.complain(r.members[q.sides[0].member], string(q.row.Key), r.name(q.row, q.sides[0].member), q.row.UID, err)
		} else if text != nil {
			return r.agreeOn(q, text, "merged", d), nil
		}
	}
	return nil, nil
}

// agreeOn makes a text the agreed one that no member need hold.
func (r *run) agreeOn(q *dispute, text []byte, why string, d *decision) *plan.Step {
	sum := item.Sum(text)
	from := plan.Ledger
	for _, c := range q.candidates() {
		if item.Same(c.text, text) {
			return r.winner(q, c, d)
		}
	}
	d.given[q.row.Key] = given{text: text, heard: why}
	step := plan.Agree(r.planMembers(), q.row, sum, from)
	return &step
}

func (r *run) winner(q *dispute, w side, d *decision) *plan.Step {
	var text []byte
	if w.member == plan.Ledger || r.members[w.member].keep == nil { // else see complete
		text = q.rich(w)
	}
	if text != nil {
		w.sum = item.Sum(text)
	}
	step := plan.Agree(r.planMembers(), q.row, w.sum, w.member)
	if text != nil && step.From == w.member {
		d.given[q.row.Key] = given{text: text, lone: true}
	}
	return &step
}

// newest is the one text that is later than all others, where all tell.
func newest(all []side) *side {
	var best *side
	for i := range all {
		later := true
		for j := range all {
			if i != j {
				order, known := item.Newer(item.Read(all[i].text), item.Read(all[j].text))
				later = later && known && order > 0
			}
		}
		if later {
			best = &all[i]
		}
	}
	return best
}

// keepBoth lets one text stay and gives each other one a UID of its own, always
// the same for the same text, so that it does not matter where a run is cut off.
func (r *run) keepBoth(q *dispute, d *decision) *plan.Step {
	all := q.candidates()
	slices.SortFunc(all, func(a, b side) int { return strings.Compare(a.name, b.name) }) // what was agreed has no name
	for _, c := range all[1:] {
		uid := engine.UID(string(q.row.UID) + "-" + hex.EncodeToString(c.sum[:6]))
		text := item.WithUID(c.text, uid)
		key := plan.Key("u:" + string(uid))
		if d.rows[key] != nil { // agreed on before, or somebody has it already
			continue
		}
		d.given[key] = given{text: text}
		d.extra = append(d.extra, ledger.Item{Key: string(key), UID: uid, Version: 1, Sum: item.Sum(text), Components: strings.Join(item.Read(text).Components, ","), Job: r.opt.Job, Rule: "a second text of " + string(q.row.UID) + ", kept beside it"})
	}
	return r.winner(q, all[0], d)
}

// merge combines the edits of all sides, each against its own mark. Where they
// clash there is only a proposal, and the names of the properties in dispute.
func (q *dispute) merge() merge.Result {
	edits := make([]merge.Edit, len(q.sides))
	for i, s := range q.sides {
		edits[i] = merge.Edit{Name: s.name, Text: s.text, Mark: s.mark, Behind: s.behind}
	}
	return merge.Merge(level(q.agreed, edits), edits)
}

// conflict is what the ledger keeps of a dispute that nobody settled.
func (r *run) conflict(q *dispute) (ledger.Conflict, error) {
	m := q.merge()
	c := ledger.Conflict{Key: string(q.row.Key), UID: q.row.UID, Kind: q.Kind, Clashes: m.Clashes, Item: r.name(q.row, q.sides[0].member)}
	info := item.Read(q.sides[0].text)
	c.Summary = info.Summary
	if len(info.Components) > 0 {
		c.Component = info.Components[0]
	}
	if q.entry != nil {
		c.Base = q.entry.Text
	}
	c.Sides = r.sidesOf(q.row)
	if m.Proposal == nil || r.opt.DryRun {
		return c, nil
	}
	return c, r.set.Do(func(ch *ledger.Change) (err error) {
		c.Proposal, err = ch.Text(m.Proposal)
		return err
	})
}

// sidesOf is what each member that was read has of an item.
func (r *run) sidesOf(row *plan.Row) []ledger.Side {
	var sides []ledger.Side
	for n, s := range row.Seen {
		switch {
		case s.Is == plan.Present:
			sides = append(sides, ledger.Side{Member: r.members[n].ID, Text: r.members[n].obs[s.Ref].Text})
		case s.Is == plan.Absent && row.Marks[n] != nil:
			sides = append(sides, ledger.Side{Member: r.members[n].ID, Gone: true})
		}
	}
	return sides
}

// name is what people call an item at a member: its name there, or at another
// that has it, or its UID.
func (r *run) name(row *plan.Row, n int) string {
	if row.Seen[n].Is == plan.Present {
		return string(row.Seen[n].Ref)
	}
	if row.Marks[n] != nil && row.Marks[n].Ref != "" {
		return string(row.Marks[n].Ref)
	}
	for _, s := range row.Seen {
		if s.Is == plan.Present {
			return string(s.Ref)
		}
	}
	if row.UID != "" {
		return string(row.UID)
	}
	return string(row.Key)
}
