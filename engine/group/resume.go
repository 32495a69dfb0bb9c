package group

import (
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// resume finds out what became of writes whose outcome was not recorded, and
// takes what a server made of our texts for what it is: ours.
func (r *run) resume(m *member, rows []plan.Row) error {
	byKey := make(map[plan.Key]*plan.Row, len(m.intents))
	if len(m.intents) > 0 {
		byKey = rowsByKey(rows)
	}
	for _, i := range m.intents {
		row, e := byKey[plan.Key(i.Key)], r.entries[plan.Key(i.Key)]
		if row != nil && e != nil && i.Verb == engine.Create && !e.marks[m.n].Held() {
			// The mark that stands for the doubt must never look let go.
			if !m.asked || m.open(i, row) {
				row.Seen[m.n] = plan.Seen{}
			} else {
				row.Marks[m.n] = nil
				if k := e.marks[m.n]; k != nil {
					row.Marks[m.n] = new(planMark(k))
				}
			}
		}
		if !m.asked || i.Verb == engine.Delete || row == nil || e == nil || row.Seen[m.n].Is != plan.Present {
			continue
		}
		o := m.obs[row.Seen[m.n].Ref]
		if ours, err := r.wrote(m, i.Text, i.Sum, o); err != nil {
			return err
		} else if ours {
			r.adopt(m, row, e, o, i.Version)
		}
	}
	for i := range rows {
		row := &rows[i]
		seen, e := row.Seen[m.n], r.entries[row.Key]
		if seen.Is != plan.Present || e == nil || e.marks[m.n] == nil {
			continue
		}
		o := m.obs[seen.Ref]
		if o.written == nil {
			continue
		}
		ours := o.written.Etag != "" && o.written.Etag == o.Etag
		if o.written.Etag == "" {
			// After all this time it may be somebody's edit; but what is only
			// missing may be what the member does not keep, and erases nothing.
			var err error
			if ours, err = r.echoed(m, o); err != nil {
				return err
			}
		}
		if ours {
			r.adopt(m, row, e, o, e.marks[m.n].Version)
		} else if err := r.concede(m, row, e, o); err != nil {
			return err
		}
	}
	return nil
}

// adopt makes what a member holds its mark, in the middle of matching.
func (r *run) adopt(m *member, row *plan.Row, e *entry, o *seen, version uint64) {
	r.hold(m, row, e, &ledger.Mark{Item: e.ID, Member: m.id, Ref: o.Ref, Etag: o.Etag, Sum: o.Sum, Version: version, Text: o.Text, UID: o.UID})
}

// hold gives a member another mark, which is stored with what the survey learned.
func (r *run) hold(m *member, row *plan.Row, e *entry, k *ledger.Mark) {
	e.marks[m.n] = k
	pm := planMark(k)
	row.Marks[m.n] = &pm
	m.adopted = append(m.adopted, k)
}

// open tells that even now nobody knows what became of a write: its item could
// not be read.
func (m *member) open(i ledger.Intent, row *plan.Row) bool {
	if row == nil {
		return false
	}
	if i.Verb != engine.Create || row.Seen[m.n].Is != plan.Absent {
		return row.Seen[m.n].Is == plan.Unread
	}
	return m.mayHave(row.UID) || m.OwnUIDs && len(m.riddles) > 0 // there, no name tells which item it is
}

// made tells whether an unrecorded write came to pass, as far as history is
// concerned: what may have been overwritten stays there.
func (r *run) made(m *member, i ledger.Intent) bool {
	e := r.entries[plan.Key(i.Key)]
	if e == nil || e.marks[m.n] == nil {
		return true
	}
	o := m.obs[i.Old.Ref]
	return o == nil || o.Text != i.Was
}
