package group

import (
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// load reads the book and makes of it what every member was last seen to have.
func (r *run) load() error {
	book, err := r.set.Load()
	if err != nil {
		return err
	}
	r.entries = make(map[plan.Key]*entry, len(book.Items))
	r.byID = make(map[int64]*entry, len(book.Items))
	r.problems = map[place]ledger.Problem{}
	for _, it := range book.Items {
		r.enter(&entry{Item: it, marks: make([]*ledger.Mark, len(r.members))})
	}
	byID, err := r.introduce(book)
	if err != nil {
		return err
	}
	for i := range book.Marks {
		k := &book.Marks[i]
		m, e := byID[k.Member], r.byID[k.Item]
		if m == nil || e == nil {
			continue // of another identity, or of a member that has left
		}
		e.marks[m.n] = k
		if !k.Gone && k.Ref != "" {
			m.obs[k.Ref] = &seen{Seen: ledger.Seen{Member: m.id, Ref: k.Ref, Etag: k.Etag, Sum: k.Sum, Text: k.Text, UID: k.UID, Components: e.Components}}
		}
	}
	for _, s := range book.Seen {
		if m := byID[s.Member]; m != nil {
			m.obs[s.Ref] = &seen{Seen: s, stored: true}
		}
	}
	for _, i := range book.Intents {
		if m := byID[i.Member]; m != nil {
			m.intents = append(m.intents, i)
		}
	}
	return r.loadProblems()
}

func (r *run) enter(e *entry) {
	r.entries[plan.Key(e.Key)] = e
	if e.ID != 0 {
		r.byID[e.ID] = e
	}
}

func (r *run) loadProblems() error {
	old, err := r.set.Problems()
	if err != nil {
		return err
	}
	r.old = map[place]ledger.Problem{}
	for _, p := range old {
		if !p.Held {
			r.old[place{p.Member, plan.Key(p.Key)}] = p
		}
	}
	return nil
}

// introduce finds every member in the ledger, and enters the new ones. A member
// that is not there now has no identity to show: it is the one last seen under
// its name.
func (r *run) introduce(book *ledger.Book) (map[int64]*member, error) {
	byID := map[int64]*member{}
	var strangers []*member
	for _, m := range r.members {
		m.obs, m.intents, m.gone = map[engine.Ref]*seen{}, nil, nil
		at := slices.IndexFunc(book.Members, func(k ledger.Member) bool { return k.Name == m.ID && k.Identity == m.Identity })
		if at < 0 && m.Storage == nil && m.Identity == "" {
			for i, k := range book.Members {
				if k.Name == m.ID && (at < 0 || k.Surveyed.After(book.Members[at].Surveyed)) {
					at = i
				}
			}
		}
		if at < 0 {
			if m.Storage != nil {
				strangers = append(strangers, m)
			}
			continue
		}
		m.known, m.stored, m.id = book.Members[at], true, book.Members[at].ID
		byID[m.id] = m
	}
	if len(strangers) == 0 || r.opt.DryRun {
		return byID, nil
	}
	return byID, r.set.Do(func(c *ledger.Change) (err error) {
		for _, m := range strangers {
			if m.id, err = c.Member(m.ID, m.Identity); err != nil {
				return err
			}
			m.known, m.stored = ledger.Member{ID: m.id, Name: m.ID, Identity: m.Identity}, true
			byID[m.id] = m
		}
		return nil
	})
}

// text reads a text; one of a dry run lives in memory.
func (r *run) text(id ledger.TextID) ([]byte, error) {
	if id < 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.texts[id], nil
	}
	return r.set.Text(id)
}

// keep stores a text, or has it in memory in a dry run.
func (r *run) keep(text []byte) (id ledger.TextID, err error) {
	if r.opt.DryRun {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.imagine(text), nil
	}
	return id, r.set.Do(func(c *ledger.Change) (err error) {
		id, err = c.Text(text)
		return err
	})
}

// imagine gives a text of a dry run an id; call it with mu held.
func (r *run) imagine(text []byte) ledger.TextID {
	if r.texts == nil {
		r.texts = map[ledger.TextID][]byte{}
	}
	id := -ledger.TextID(len(r.texts)) - 1
	r.texts[id] = text
	return id
}
