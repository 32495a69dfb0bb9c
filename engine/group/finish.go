package group

import (
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// complain notes an item that cannot be synced at a member.
func (r *run) complain(m *member, key, item string, uid engine.UID, err error) {
	at := place{m.ID, plan.Key(key)}
	p := ledger.Problem{
		Problem: engine.Problem{Group: r.set.Key().Group, Member: m.ID, Item: item, UID: uid, Failure: engine.FailureOf(err), Since: r.now, Tries: 1},
		Key:     key,
	}
	r.mu.Lock()
	if old, again := r.old[at]; again {
		p.Since, p.Tries = old.Since, old.Tries
		if old.Failure != p.Failure {
			p.Tries++
		}
	}
	r.problems[at] = p
	m.counts.Failed++
	r.mu.Unlock()
	r.sink.Item(engine.ItemStep{Action: "fail", Member: m.ID, Item: item})
}

// clash notes items of one member that claim one UID.
func (r *run) clash(c plan.Clash) {
	m := r.members[c.Member]
	list := ""
	for i, ref := range c.Refs {
		if i > 0 {
			list += ", "
		}
		list += string(ref)
	}
	uid := m.obs[c.Refs[0]].UID
	r.complain(m, string(c.Key), list, uid, engine.Fail(engine.InvalidItem, "sync", string(m.ID)+"/"+string(c.Refs[0]),
		"several items have the UID %q: %s. Remove all but one, or give the others a new UID (davbus repair)", uid, list))
}

// finish stores conflicts, problems and what is held, and lets go of those that
// the world has settled. Without a decision only what was read counts.
func (r *run) finish(d *decision, rows []plan.Row) error {
	if r.opt.DryRun {
		return nil
	}
	changes := r.finishProblems(d)
	if d != nil {
		changes = append(changes, r.finishHeld(d, rows)...)
		more, err := r.finishConflicts(d)
		if err != nil {
			return err
		}
		changes = append(changes, more...)
	}
	return r.store(changes)
}

func (r *run) finishProblems(d *decision) []func(*ledger.Change) error {
	var changes []func(*ledger.Change) error
	for at, p := range r.problems {
		if p != r.old[at] {
			changes = append(changes, func(c *ledger.Change) error { return c.PutProblem(p) })
		}
	}
	for at := range r.old {
		if _, still := r.problems[at]; !still && r.settledAt(at, d) {
			changes = append(changes, func(c *ledger.Change) error { return c.DropProblem(at.member, string(at.key), false) })
		}
	}
	return changes
}

// settledAt tells whether an earlier problem is over: its member was looked at,
// and nothing waits there.
func (r *run) settledAt(at place, d *decision) bool {
	for _, m := range r.members {
		if m.ID != at.member {
			continue
		}
		if isMeta(at) {
			return false
		}
		if ref, is := strings.CutPrefix(string(at.key), "r:"); is {
			o := m.obs[engine.Ref(ref)]
			return m.read && (o == nil || o.Status == ledger.Known)
		}
		return m.read && m.err == nil && d != nil && !d.waiting[at]
	}
	return true
}

func (r *run) finishHeld(d *decision, rows []plan.Row) []func(*ledger.Change) error {
	byKey := rowsByKey(rows)
	var changes []func(*ledger.Change) error
	old := map[place]ledger.Problem{}
	for _, p := range d.heldBefore {
		old[place{p.Member, plan.Key(p.Key)}] = p
	}
	for _, h := range d.held {
		p := r.heldProblem(h, byKey[h.Key])
		at := place{p.Member, h.Key}
		before, known := old[at]
		delete(old, at)
		if known {
			p.Since = before.Since
		}
		if p != before {
			changes = append(changes, func(c *ledger.Change) error { return c.PutProblem(p) })
		}
	}
	for at := range old {
		if r.isRead(at.member) {
			changes = append(changes, func(c *ledger.Change) error { return c.DropProblem(at.member, string(at.key), true) })
		}
	}
	return changes
}

func (r *run) isRead(id engine.MemberID) bool {
	for _, m := range r.members {
		if m.ID == id {
			return m.read
		}
	}
	return true // no member any more
}

func (r *run) heldProblem(h plan.Hold, row *plan.Row) ledger.Problem {
	m := r.members[h.Op.Member]
	what := "deleting it waits for a yes, since unusually many items would be deleted at once"
	if h.Op.Verb == plan.Create {
		what = "uploading it waits for a yes, since the server would send invitations for unusually many items"
	}
	name := r.name(row, h.Op.Member)
	m.counts.Held++
	r.sink.Item(engine.ItemStep{Action: "hold", Member: m.ID, Item: name})
	return ledger.Problem{
		Problem: engine.Problem{Group: r.set.Key().Group, Member: m.ID, Item: name, UID: row.UID, Held: true, Since: r.now,
			Failure: engine.FailureOf(engine.Fail(engine.NeedsConfirmation, h.Op.Verb.String(), string(m.ID)+"/"+name, "%s", what))},
		Key: string(h.Key), Verb: verbOf(h.Op.Verb), Version: h.Version, Sum: h.Op.Was,
	}
}

func (r *run) finishConflicts(d *decision) ([]func(*ledger.Change) error, error) {
	old, err := r.set.Conflicts()
	if err != nil {
		return nil, err
	}
	before := map[string]ledger.Conflict{}
	for _, f := range old {
		before[f.Key] = f
	}
	var changes []func(*ledger.Change) error
	for i := range d.conflicts {
		f := &d.conflicts[i]
		f.Revise()
		b, known := before[f.Key]
		delete(before, f.Key)
		if !known || b.Revision != f.Revision {
			changes = append(changes, func(c *ledger.Change) error { return c.PutConflict(f) })
		}
		r.total.Conflicts++
		r.sink.Item(engine.ItemStep{Action: "conflict", Member: f.Sides[0].Member, Item: f.Item})
	}
	for key := range before {
		if !r.unseen(plan.Key(key)) {
			changes = append(changes, func(c *ledger.Change) error { return c.DropConflict(key) })
		}
	}
	if d.skip != "" {
		changes = append(changes, func(c *ledger.Change) error { return c.SkipConflict(d.skip) })
	}
	return changes, nil
}

// unseen tells that an item could not be read somewhere in this run, so that an
// open conflict about it is not known to be over.
func (r *run) unseen(key plan.Key) bool {
	e := r.entries[key]
	if e == nil {
		return false
	}
	for n, m := range r.members {
		if e.marks[n] != nil && !m.read {
			return true
		}
	}
	return false
}

// tell names what a dry run would do.
func (r *run) tell(d *decision, rows []plan.Row) {
	byKey := rowsByKey(rows)
	for _, s := range d.plan.Steps {
		for _, op := range s.Ops {
			m := r.members[op.Member]
			step := engine.ItemStep{Member: m.ID, Item: r.name(byKey[s.Key], op.Member)}
			switch op.Verb {
			case plan.Link:
				continue
			case plan.Create:
				step.Action = "add"
				m.counts.Added++
			case plan.Replace:
				step.Action = "modify"
				m.counts.Modified++
			case plan.Delete:
				step.Action = "remove"
				m.counts.Removed++
			}
			r.sink.Item(step)
		}
	}
	for _, h := range d.held {
		r.heldProblem(h, byKey[h.Key])
	}
	for _, f := range d.conflicts {
		r.total.Conflicts++
		r.sink.Item(engine.ItemStep{Action: "conflict", Member: f.Sides[0].Member, Item: f.Item})
	}
}
