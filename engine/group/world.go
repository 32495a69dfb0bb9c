package group

import (
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// match tells which item of which member is which, stores what the survey
// learned together with how far it came, and gives the rows to decide about.
func (r *run) match() ([]plan.Row, error) {
	for _, m := range r.members {
		m.ponder()
	}
	rows, surveys := r.rows(), r.surveys()
	if err := r.compare(rows, surveys); err != nil {
		return nil, err
	}
	rows, clashes := plan.Match(rows, surveys)
	for _, m := range r.members {
		if err := r.resume(m, rows); err != nil {
			return nil, err
		}
	}
	for _, c := range clashes {
		r.clash(c)
	}
	if err := r.remember(rows); err != nil {
		return nil, err
	}
	for i := range rows {
		r.scope(&rows[i])
		if err := r.settle(&rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (r *run) rows() []plan.Row {
	doubts := r.doubts()
	rows := make([]plan.Row, 0, len(r.entries))
	marks := make([]plan.Mark, 0, len(r.entries)*len(r.members))
	for _, e := range r.byID {
		row := plan.Row{Key: plan.Key(e.Key), UID: e.UID, Version: e.Version, Sum: e.Sum, Marks: make([]*plan.Mark, len(r.members))}
		for n, k := range e.marks {
			if i := doubts[place{r.members[n].ID, row.Key}]; i != nil && !k.Held() {
				row.Marks[n] = &plan.Mark{Sum: i.Sum, Version: i.Version}
				e.unsure = true
			} else if k != nil {
				marks = append(marks, planMark(k))
				row.Marks[n] = &marks[len(marks)-1]
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b plan.Row) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return rows
}

// doubts are the writes that may have given an item to a member. They stand for a
// mark until the member is read and tells.
func (r *run) doubts() map[place]*ledger.Intent {
	doubts := map[place]*ledger.Intent{}
	for _, m := range r.members {
		for i := range m.intents {
			if at := &m.intents[i]; at.Verb == engine.Create {
				doubts[place{m.ID, plan.Key(at.Key)}] = at
			}
		}
	}
	return doubts
}

func planMark(k *ledger.Mark) plan.Mark {
	return plan.Mark{Head: engine.Head{Ref: k.Ref, Etag: k.Etag}, Sum: k.Sum, UID: k.UID, Version: k.Version, Gone: k.Gone}
}

// surveys gives what members have in the planner's words. What a member does not
// take by its components is not its business, and so not gone either.
func (r *run) surveys() []plan.Survey {
	surveys := make([]plan.Survey, len(r.members))
	for n, m := range r.members {
		if !m.read {
			continue
		}
		s := plan.Survey{Complete: true, Own: m.OwnUIDs, Items: make([]plan.Item, 0, len(m.obs))}
		for _, o := range m.obs {
			usable := o.Status == ledger.Known || o.Status == ledger.Written && !o.blind
			s.Items = append(s.Items, plan.Item{Head: engine.Head{Ref: o.Ref, Etag: o.Etag}, Raw: o.Sum, UID: o.UID, Unread: !usable || !m.takes(o.Components)})
		}
		slices.SortFunc(s.Items, func(a, b plan.Item) int { return strings.Compare(string(a.Ref), string(b.Ref)) })
		surveys[n] = s
	}
	return surveys
}

func (m *member) takes(components string) bool {
	var list []string
	if components != "" {
		list = strings.Split(components, ",")
	}
	return item.Takes(m.Components, item.Info{Components: list})
}

// scope takes a row out of reach of members that do not take such items, and of
// those that may have it under a name that could not be read.
func (r *run) scope(row *plan.Row) {
	for n, m := range r.members {
		if row.Seen[n].Is != plan.Absent {
			continue
		}
		if !m.takes(r.componentsOf(row)) || row.Marks[n] == nil && m.mayHave(row.UID) {
			row.Seen[n] = plan.Seen{}
		}
	}
}

// mayHave tells whether an item without a mark may be one whose text could not be
// read. In the first run any may be; one that stays unreadable must not hold up
// all others, so that later its name decides.
func (m *member) mayHave(uid engine.UID) bool {
	if m.puzzle || uid == "" {
		return m.puzzle
	}
	return m.riddles[strings.ToLower(string(uid))]
}

// ponder finds items of which not even the UID is known.
func (m *member) ponder() {
	m.puzzle, m.riddles = false, map[string]bool{}
	for ref, o := range m.obs {
		if o.UID == "" && (o.Status == ledger.Pending || o.Status == ledger.Broken) {
			m.puzzle = m.puzzle || !o.stored
			name := string(ref)
			if i := strings.LastIndexByte(string(ref), '.'); i > 0 {
				name = string(ref[:i])
			}
			m.riddles[strings.ToLower(name)] = true
			m.riddles[strings.ToLower(string(ref))] = true
		}
	}
}

func (r *run) componentsOf(row *plan.Row) string {
	if e := r.entries[row.Key]; e != nil && e.Components != "" {
		return e.Components
	}
	for n, s := range row.Seen {
		if s.Is == plan.Present {
			return r.members[n].obs[s.Ref].Components
		}
	}
	return ""
}

// remember stores what a survey learned, up to the token it got. Where nothing
// is new it writes nothing.
func (r *run) remember(rows []plan.Row) error {
	if r.opt.DryRun {
		return nil
	}
	var news []func(*ledger.Change) error
	for _, m := range r.members {
		if m.read && m.asked {
			news = append(news, r.news(m, rows)...)
		}
	}
	return r.store(news)
}

// store makes changes, if there are any.
func (r *run) store(changes []func(*ledger.Change) error) error {
	if len(changes) == 0 {
		return nil
	}
	return r.set.Do(func(c *ledger.Change) error {
		for _, change := range changes {
			if err := change(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *run) news(m *member, rows []plan.Row) []func(*ledger.Change) error {
	var news []func(*ledger.Change) error
	add := func(change func(*ledger.Change) error) { news = append(news, change) }
	for _, ref := range m.gone {
		add(func(c *ledger.Change) error { return c.DropSeen(m.id, ref) })
	}
	byKey := map[plan.Key]*plan.Row{}
	if len(m.intents) > 0 {
		byKey = rowsByKey(rows)
	}
	for _, i := range m.intents {
		if m.open(i, byKey[plan.Key(i.Key)]) {
			continue
		}
		made := r.made(m, i)
		add(func(c *ledger.Change) error { return c.Settle(i, made) })
	}
	for _, k := range m.adopted {
		add(func(c *ledger.Change) error { return r.mark(c, m, k) })
	}
	for _, o := range m.obs {
		if o.dirty {
			add(func(c *ledger.Change) error {
				if !o.dirty {
					return nil // adopted just now
				}
				o.stored, o.dirty = true, false
				return c.PutSeen(o.Seen)
			})
		}
	}
	for i := range rows {
		if e := r.entries[rows[i].Key]; e != nil && e.marks[m.n] != nil && m.gives(e.marks[m.n], rows[i].Seen[m.n]) {
			add(func(c *ledger.Change) error { return c.PutMark(*e.marks[m.n]) })
		}
	}
	if len(news) > 0 || m.token != m.known.Token || m.State != m.known.State || m.known.Surveyed.IsZero() {
		add(func(c *ledger.Change) error { return c.Surveyed(m.id, m.token, m.State) })
	}
	m.gone, m.intents, m.adopted = nil, nil, nil
	return news
}

// gives lets a mark follow what became of its item, and tells whether it had to:
// the token that a survey got says only once that a name is gone.
func (m *member) gives(k *ledger.Mark, seen plan.Seen) bool {
	switch {
	case k.Gone:
		return false
	case seen.Is == plan.Absent:
		k.Gone = true
	case k.Ref == seen.Ref || m.obs[k.Ref] != nil:
		return false
	default:
		k.Ref, k.Etag = seen.Ref, "" // its name elsewhere; none where nothing can be said
	}
	return true
}

// mark stores a mark; what is seen under its ref is then what the mark says.
func (r *run) mark(c *ledger.Change, m *member, k *ledger.Mark) error {
	if o := m.obs[k.Ref]; o != nil && o.Etag == k.Etag && o.Sum == k.Sum {
		o.dirty = false
		if o.stored {
			o.stored = false
			if err := c.DropSeen(m.id, k.Ref); err != nil {
				return err
			}
		}
	}
	return c.PutMark(*k)
}
