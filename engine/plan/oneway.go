package plan

// ruler finds the member whose copy of an item rules, where the rules say that
// one does. It is -1 where nothing may be done now: that member was not read.
func (d decider) ruler(row *Row) (member int, bound bool) {
	if d.rules.From != "" {
		i := d.index(d.rules.From)
		if i < 0 || row.Seen[i].Is == Unread {
			return -1, true
		}
		return i, true
	}
	if !d.rules.Revert {
		return -1, false
	}
	best := -1
	for i, m := range d.members {
		switch {
		case !m.ReadOnly:
			continue
		case row.Seen[i].Is == Unread:
			return -1, true
		case best < 0 || d.before(row, i, best):
			best = i
		}
	}
	return best, best >= 0
}

// before orders read-only members: one that has the item rules over one that has
// not, then the first by name.
func (d decider) before(row *Row, i, j int) bool {
	a, b := row.Seen[i].Is == Present, row.Seen[j].Is == Present
	if a != b {
		return a
	}
	return d.members[i].ID < d.members[j].ID
}

// follow brings every member to what the ruler has. Nothing that others did
// counts.
func (d decider) follow(row *Row, ruler int) Step {
	switch st, behind := at(row, ruler); {
	case st == same && !behind:
		return d.agree(row, row.Sum, Ledger)
	case row.Seen[ruler].Is == Present:
		return d.agree(row, row.Seen[ruler].Sum, ruler)
	}
	s := d.step(row)
	for i := range d.members {
		// One way, what the ruler never had is none of its business.
		mine := row.Marks[i] != nil && row.Marks[ruler] != nil
		if i != ruler && row.Seen[i].Is == Present && (mine || d.rules.From == "") {
			d.remove(&s, row, i)
		}
	}
	c := count(row)
	s.Forget = len(s.Ops) == 0 && c.marks > 0 && c.marks == c.states[gone]
	return s
}
