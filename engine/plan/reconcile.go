package plan

import (
	"cmp"
	"slices"

	"davbus.org/davbus/engine"
)

// Reconcile decides about every row. The order of members and of rows makes no
// difference to what is done.
func Reconcile(members []Member, rows []Row, rules Rules) Plan {
	d := decider{members, rules}
	var p Plan
	for i := range rows {
		if s, ok := d.decide(&rows[i]); ok {
			p.Steps = append(p.Steps, s)
		}
	}
	slices.SortFunc(p.Steps, func(a, b Step) int { return cmp.Compare(a.Key, b.Key) })
	return p
}

// Agree is the step that makes a text the agreed one and brings it to every
// member: after a dispute was settled. Sum is what the text counts as; from is
// the member that holds it, or Ledger. Each side of the dispute is taken as heard:
// it counts as same and behind until it has the new text.
func Agree(members []Member, row *Row, sum engine.Sum, from int) Step {
	return decider{members: members}.agree(row, sum, from)
}

// Remove is the step that takes an item away wherever it is, however it differs:
// a person settled a dispute in favour of the member that has let it go.
func Remove(members []Member, row *Row) Step {
	d := decider{members: members}
	s := d.step(row)
	for i := range members {
		if row.Seen[i].Is == Present {
			d.remove(&s, row, i)
		}
	}
	return s
}

// A decider decides about one row at a time.
type decider struct {
	members []Member
	rules   Rules
}

// A state is where one member stands with one item.
type state uint8

const (
	unread  state = iota // not surveyed
	missing              // it never had it
	added                // it has a copy, and no mark
	same                 // it holds what its mark says
	changed              // it holds something else
	gone                 // it has let it go
	numStates
)

// at is the state of a member, and whether its mark is of an older version.
func at(row *Row, i int) (s state, behind bool) {
	seen, mark := row.Seen[i], row.Marks[i]
	switch {
	case seen.Is == Unread:
		s = unread
	case mark == nil && seen.Is == Absent:
		return missing, false
	case mark == nil:
		return added, false
	case seen.Is == Absent:
		s = gone
	case seen.Sum == mark.Sum && !mark.Gone:
		s = same
	default:
		s = changed
	}
	return s, mark != nil && mark.Version < row.Version
}

func (d decider) decide(row *Row) (Step, bool) {
	var s Step
	if ruler, bound := d.ruler(row); !bound {
		s = d.twoWay(row)
	} else if ruler >= 0 {
		s = d.follow(row, ruler)
	}
	return s, s.Forget || s.Dispute != nil || len(s.Ops) > 0 || s.Version != row.Version && s.Version > 0
}

// twoWay lets every member speak.
func (d decider) twoWay(row *Row) Step {
	c := count(row)
	switch {
	case c.edited == 0:
		return d.unedited(row, c)
	case len(c.sums) == 0: // the only edits arrived at the agreed text
		return d.agree(row, row.Sum, Ledger)
	case len(c.sums) == 1 && (c.plain || c.alone()):
		return d.agree(row, c.sums[0], d.holder(row, c.sums[0]))
	}
	return d.dispute(row, c)
}

// unedited is for a row in which nobody changed a text.
func (d decider) unedited(row *Row, c census) Step {
	switch {
	case row.Version == 0:
		return d.step(row)
	case c.marks > 0 && c.marks == c.states[gone]:
		s := d.step(row)
		s.Forget = true
		return s
	case c.goneCurrent > 0 && !row.Restore:
		return d.removeEverywhere(row)
	}
	return d.agree(row, row.Sum, Ledger)
}

func (d decider) removeEverywhere(row *Row) Step {
	s := d.step(row)
	for i := range d.members {
		switch st, _ := at(row, i); st {
		case same, changed:
			d.remove(&s, row, i)
		}
	}
	return s
}

func (d decider) remove(s *Step, row *Row, i int) {
	d.refresh(s, row, i)
	if !d.members[i].ReadOnly {
		s.Ops = append(s.Ops, Op{Member: i, Verb: Delete, Over: row.Seen[i].Head, Was: row.Seen[i].Raw})
	}
}

// refresh records an etag that moved over the same text.
func (d decider) refresh(s *Step, row *Row, i int) {
	if st, _ := at(row, i); st == same && moved(row, i) {
		d.link(s, row, i, row.Marks[i].Version)
	}
}

func moved(row *Row, i int) bool {
	return row.Marks[i].Head != row.Seen[i].Head || row.Marks[i].Sum != row.Seen[i].Raw
}

func (d decider) link(s *Step, row *Row, i int, version uint64) {
	seen := row.Seen[i]
	s.Ops = append(s.Ops, Op{Member: i, Verb: Link, Version: version, Over: seen.Head, Was: seen.Raw})
}

// agree makes a text the agreed one. It takes a new version if the text is new,
// and also if somebody has let the present one go: that member must be behind,
// or the next run would take its deletion for news if this one cannot finish.
func (d decider) agree(row *Row, sum engine.Sum, from int) Step {
	s := d.step(row)
	s.Sum, s.From = sum, from
	kept := row.Version > 0 && sum == row.Sum
	if kept {
		s.From = Ledger
	}
	if !kept || count(row).goneCurrent > 0 {
		s.Version++
	}
	for i := range d.members {
		d.bring(&s, row, i, kept)
	}
	return s
}

// bring brings one member to the version of a step.
func (d decider) bring(s *Step, row *Row, i int, kept bool) {
	st, behind := at(row, i)
	writable := !d.members[i].ReadOnly
	over := Op{Member: i, Verb: Replace, Version: s.Version, Over: row.Seen[i].Head, Was: row.Seen[i].Raw}
	switch st {
	case unread:
	case missing, gone:
		if writable {
			s.Ops = append(s.Ops, Op{Member: i, Verb: Create, Version: s.Version})
		}
	case added, same, changed:
		// A server may keep another text than the agreed one: same is same.
		if row.Seen[i].Sum == s.Sum || kept && st == same && !behind {
			if row.Marks[i] == nil || moved(row, i) || row.Marks[i].Version != s.Version {
				d.link(s, row, i, s.Version)
			}
			return
		}
		if st != same {
			d.link(s, row, i, s.Version-1) // it has been heard
		} else if moved(row, i) {
			d.link(s, row, i, row.Marks[i].Version)
		}
		if writable {
			s.Ops = append(s.Ops, over)
		}
	}
}

func (d decider) step(row *Row) Step {
	return Step{Key: row.Key, Version: row.Version, Sum: row.Sum, From: Ledger}
}

// holder is the member to take a text from: of those that hold it the first by
// name, so that the order of members does not matter.
func (d decider) holder(row *Row, sum engine.Sum) int {
	best := Ledger
	for i, m := range d.members {
		if row.Seen[i].Is == Present && row.Seen[i].Sum == sum && (best < 0 || m.ID < d.members[best].ID) {
			best = i
		}
	}
	return best
}
