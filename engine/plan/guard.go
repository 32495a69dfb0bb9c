package plan

import "slices"

// Limits bound how much one run may destroy, or send out, without being told to.
type Limits struct {
	Items   int // deletions at one member that are never too many
	Percent int // share of its marked items above which more than Items are held
	Invites int // new items at one member that make a server invite people
}

// SmallMember is how many marked items a member has that may be emptied.
const SmallMember = 3

// A Hold is one op that waits for a person.
type Hold struct {
	Key     Key
	Op      Op
	Version uint64 // that the row had
}

// Guard takes out of a plan what looks like an accident: a folder that was not
// mounted, a server that forgot its data, a calendar imported with everybody's
// invitations. Everything else stays. Allowed says what a person has agreed to.
func Guard(p Plan, rows []Row, members int, lim Limits, allowed func(Hold) bool) (Plan, []Hold) {
	marked := Marked(rows, members)
	versions := make(map[Key]uint64, len(p.Steps))
	for i := range rows {
		versions[rows[i].Key] = rows[i].Version
	}
	deletes, all, invites := make([]int, members), make([]int, members), make([]int, members)
	each := func(visit func(h Hold)) {
		for _, s := range p.Steps {
			for _, op := range s.Ops {
				if op.Verb == Delete || op.Verb == Create && op.Invites {
					visit(Hold{s.Key, op, versions[s.Key]})
				}
			}
		}
	}
	each(func(h Hold) {
		m := h.Op.Member
		if h.Op.Verb == Delete {
			all[m]++
		}
		switch {
		case allowed != nil && allowed(h):
		case h.Op.Verb == Delete:
			deletes[m]++
		default:
			invites[m]++
		}
	})
	var held []Hold
	each(func(h Hold) {
		m := h.Op.Member
		tooMany := invites[m] > lim.Invites
		if h.Op.Verb == Delete {
			tooMany = lim.TooMany(deletes[m], all[m], marked[m])
		}
		if tooMany && !(allowed != nil && allowed(h)) {
			held = append(held, h)
		}
	})
	return without(p, held), held
}

// TooMany tells whether deletions are to be held: those that nobody allowed yet
// are many, or all deletions together leave nothing.
func (lim Limits) TooMany(deletes, all, marked int) bool {
	if deletes > lim.Items && deletes*100 > lim.Percent*marked {
		return true
	}
	return deletes > 0 && marked > SmallMember && all >= marked
}

// Marked counts the items that each member has and that are in step or were.
func Marked(rows []Row, members int) []int {
	marked := make([]int, members)
	for i := range rows {
		for m := range members {
			if rows[i].Marks[m] != nil && rows[i].Seen[m].Is != Absent {
				marked[m]++
			}
		}
	}
	return marked
}

// without takes held ops out; a step of which nothing is left goes with them.
func without(p Plan, held []Hold) Plan {
	if len(held) == 0 {
		return p
	}
	type place struct {
		key    Key
		member int
		verb   Verb
	}
	out := make(map[place]bool, len(held))
	for _, h := range held {
		out[place{h.Key, h.Op.Member, h.Op.Verb}] = true
	}
	var rest Plan
	for _, s := range p.Steps {
		had := len(s.Ops)
		s.Ops = slices.DeleteFunc(slices.Clone(s.Ops), func(op Op) bool { return out[place{s.Key, op.Member, op.Verb}] })
		if had == 0 || len(s.Ops) > 0 {
			rest.Steps = append(rest.Steps, s)
		}
	}
	return rest
}
