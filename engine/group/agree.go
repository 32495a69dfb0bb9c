package group

import (
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// agree records what the plan agrees on, and every link, before anything is
// written: a run that is cut off afterwards finds the members behind, and goes on.
func (r *run) agree(d *decision, rows []plan.Row) error {
	byKey := rowsByKey(rows)
	steps := d.plan.Steps
	for len(steps) > 0 {
		n := min(len(steps), storeItems)
		if err := r.set.Do(func(c *ledger.Change) error {
			for i := range steps[:n] {
				if err := r.agreeStep(c, &steps[i], byKey[steps[i].Key], d); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return r.addExtra(d)
}

func (r *run) agreeStep(c *ledger.Change, s *plan.Step, row *plan.Row, d *decision) error {
	e := r.entries[s.Key]
	if s.Forget {
		delete(r.entries, s.Key)
		delete(r.byID, e.ID)
		return c.ForgetItem(e.ID)
	}
	if e == nil && s.Version == 0 {
		// Nothing was agreed: a copy is to be undone that no other member ever had.
		e = &entry{Item: ledger.Item{Key: string(s.Key), UID: row.UID}, marks: make([]*ledger.Mark, len(r.members))}
		r.entries[s.Key] = e
	} else if e == nil || s.Version != e.Version {
		if err := r.newVersion(c, s, row, d); err != nil {
			return err
		}
		e = r.entries[s.Key]
	}
	for _, op := range s.Ops {
		if op.Verb != plan.Link {
			continue
		}
		m := r.members[op.Member]
		o := m.obs[op.Over.Ref]
		k := &ledger.Mark{Item: e.ID, Member: m.id, Ref: o.Ref, Etag: o.Etag, Sum: o.Sum, Version: op.Version, Text: o.Text, UID: o.UID}
		e.marks[m.n] = k
		if err := r.mark(c, m, k); err != nil {
			return err
		}
	}
	return nil
}

// newVersion stores what a step agrees on.
func (r *run) newVersion(c *ledger.Change, s *plan.Step, row *plan.Row, d *decision) error {
	e := r.entries[s.Key]
	fresh := e == nil
	if fresh {
		e = &entry{Item: ledger.Item{Key: string(s.Key)}, marks: make([]*ledger.Mark, len(r.members))}
	}
	e.Version, e.Job, e.At, e.Origin, e.Rule = s.Version, r.opt.Job, r.now, "", "brought back, since somebody still wants it"
	if g, is := d.given[s.Key]; is {
		id, err := c.Text(g.text)
		if err != nil {
			return err
		}
		e.Text, e.Sum, e.Rule = id, s.Sum, "merged from what several members did"
		e.describe(g.text)
		if g.lone {
			e.Origin, e.Rule = r.members[s.From].ID, "edited there"
		} else {
			r.total.Merged++
		}
	} else if s.From != plan.Ledger {
		o := r.members[s.From].obs[row.Seen[s.From].Ref]
		e.Origin, e.Rule = r.members[s.From].ID, "edited there"
		if fresh {
			e.Rule = "new there"
		}
		if r.members[s.From].foreign(o.UID, row.UID) {
			if err := e.takeHome(c, o, row.UID); err != nil {
				return err
			}
		} else {
			e.Text, e.Sum, e.UID, e.Components = o.Text, o.Sum, o.UID, o.Components
		}
	}
	if rule := d.rules[s.Key]; rule != "" {
		e.Rule = rule
	}
	if err := c.PutItem(&e.Item); err != nil {
		return err
	}
	r.enter(e)
	return nil
}

// takeHome takes the edit of a storage that gives its own UIDs, and leaves that
// UID there.
func (e *entry) takeHome(c *ledger.Change, o *seen, uid engine.UID) error {
	text, err := c.TextOf(o.Text)
	if err != nil {
		return err
	}
	text = item.WithUID(text, uid)
	e.Sum, e.UID, e.Components = item.Sum(text), uid, o.Components
	e.Text, err = c.Text(text)
	return err
}

func (e *entry) describe(text []byte) {
	info := item.Read(text)
	e.UID, e.Components = info.UID, strings.Join(info.Components, ",")
}

// addExtra stores the copies under new UIDs. They belong to everybody and are
// nowhere yet: the next round brings them.
func (r *run) addExtra(d *decision) error {
	if len(d.extra) == 0 {
		return nil
	}
	r.moved = true
	return r.set.Do(func(c *ledger.Change) (err error) {
		for _, i := range d.extra {
			if i.Text, err = c.Text(d.given[plan.Key(i.Key)].text); err != nil {
				return err
			}
			if err := c.PutItem(&i); err != nil {
				return err
			}
		}
		return nil
	})
}

// version is how history names what a member held.
func (r *run) version(m *member, e *entry, ref engine.Ref, reason string) engine.Version {
	return engine.Version{Member: m.ID, UID: e.UID, Item: string(ref), Job: r.opt.Job, Reason: reason}
}
