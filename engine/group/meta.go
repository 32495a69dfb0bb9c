package group

import (
	"context"
	"maps"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// A value is one property of a collection: there or not.
type value struct {
	present bool
	text    string
}

// same compares as people do: servers write colours and names in their own way.
func (v value) same(key engine.MetaKey, o value) bool {
	if v.present != o.present {
		return false
	}
	return normal(key, v.text) == normal(key, o.text)
}

func normal(key engine.MetaKey, s string) string {
	s = strings.TrimSpace(s)
	if key == engine.MetaColor {
		s = strings.ToUpper(s)
		if len(s) == 9 {
			s = s[:7] // without opacity
		}
	}
	return s
}

// A metaSide is one member's view of one property.
type metaSide struct {
	m       *member
	storage engine.MetaStorage // nil if it keeps none
	had     engine.Meta        // all of them, as they were found
	now     value
	mark    *ledger.Meta // nil if it never was in step
}

// syncMeta brings names, colours, descriptions and order into step, each for
// itself: three-way, and won by the first member where they clash.
func (r *run) syncMeta(ctx context.Context) error {
	if r.opt.DryRun {
		return nil
	}
	known, err := r.set.Metas()
	if err != nil {
		return err
	}
	type at struct {
		member   engine.MemberID
		identity string
		key      engine.MetaKey
	}
	marks := make(map[at]*ledger.Meta, len(known))
	for i, k := range known {
		marks[at{k.Member, k.Identity, k.Key}] = &known[i]
	}
	current := r.metas(ctx)
	for _, key := range engine.MetaKeys {
		var sides []metaSide
		for _, m := range r.members {
			meta, is := current[m]
			if !is || m.err != nil {
				continue
			}
			text, present := meta[key]
			s := metaSide{m: m, had: meta, now: value{present, text}, mark: marks[at{m.ID, m.Identity, key}]}
			s.storage, _ = m.Storage.(engine.MetaStorage)
			if s.storage != nil && (s.mark == nil || !s.mark.Unkept) {
				sides = append(sides, s)
			}
		}
		if len(sides) >= 2 {
			if err := r.syncKey(ctx, key, sides, marks[at{"", "", key}]); err != nil {
				return err
			}
		}
	}
	return r.finishMeta()
}

// finishMeta stores the problems with properties, and lets go of old ones.
func (r *run) finishMeta() error {
	var now []ledger.Problem
	var over []place
	for at, p := range r.problems {
		if isMeta(at) {
			now = append(now, p)
		}
	}
	for at := range r.old {
		if _, still := r.problems[at]; isMeta(at) && !still {
			over = append(over, at)
		}
	}
	if len(now)+len(over) == 0 {
		return nil
	}
	return r.set.Do(func(c *ledger.Change) error {
		for _, p := range now {
			if err := c.PutProblem(p); err != nil {
				return err
			}
		}
		for _, at := range over {
			if err := c.DropProblem(at.member, string(at.key), false); err != nil {
				return err
			}
		}
		return nil
	})
}

func isMeta(at place) bool { return strings.HasPrefix(string(at.key), "m:") }

// metas is what every member that was read has now.
func (r *run) metas(ctx context.Context) map[*member]engine.Meta {
	current := map[*member]engine.Meta{}
	for _, m := range r.members {
		storage, is := m.Storage.(engine.MetaStorage)
		switch {
		case !m.read || m.err != nil || !is:
		case m.Meta != nil:
			current[m] = m.Meta
		case m.asked:
			meta, err := storage.Meta(m.counting(ctx))
			if err == nil {
				current[m] = meta
			} else if !engine.IsKind(err, engine.NotSupported) {
				r.complain(m, "m:", "properties", "", err)
			}
		}
	}
	return current
}

func (r *run) syncKey(ctx context.Context, key engine.MetaKey, sides []metaSide, agreed *ledger.Meta) error {
	target, known := r.metaTarget(key, sides, agreed)
	if target == nil {
		return nil
	}
	kept, err := r.keepMeta(key, sides, *target, known)
	if err != nil {
		return err
	}
	var store []ledger.Meta
	var vain []int64 // versions of what was not overwritten
	for i, s := range sides {
		m, err := r.bringMeta(ctx, key, s, *target)
		if s.mark == nil || m != *s.mark {
			store = append(store, m)
		}
		if kept[i] != 0 && err != nil && refused(err) {
			vain = append(vain, kept[i])
		}
	}
	if a := (ledger.Meta{Key: key, Present: target.present, Value: target.text}); agreed == nil || a != *agreed {
		store = append(store, a)
	}
	if len(store)+len(vain) == 0 {
		return nil
	}
	return r.set.Do(func(c *ledger.Change) error {
		for _, id := range vain {
			if err := c.Unkeep(id); err != nil {
				return err
			}
		}
		for _, m := range store {
			if err := c.PutMeta(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepMeta puts into history, before it is overwritten, what whoever gave the new
// value had not seen. It tells under which number, side by side.
func (r *run) keepMeta(key engine.MetaKey, sides []metaSide, target, known value) ([]int64, error) {
	kept := make([]int64, len(sides))
	var losers []int
	for i, s := range sides {
		if s.now.present && !s.now.same(key, target) && !s.stays() && !s.now.same(key, known) {
			losers = append(losers, i)
		}
	}
	if len(losers) == 0 {
		return kept, nil
	}
	return kept, r.set.Do(func(c *ledger.Change) error {
		for _, i := range losers {
			id, err := c.Text([]byte(sides[i].now.text))
			if err != nil {
				return err
			}
			if kept[i], err = c.Keep(engine.Version{Member: sides[i].m.ID, Item: string(key), Job: r.opt.Job, Reason: "conflict"}, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// metaTarget is the value that all are to have; nil if there is nothing to do. A
// new value wins over a removal, and the first member over the others. What the
// winner had seen before is the second result.
func (r *run) metaTarget(key engine.MetaKey, sides []metaSide, agreed *ledger.Meta) (target *value, known value) {
	if r.rules.From != "" {
		for _, s := range sides {
			if s.m.ID == r.rules.From {
				return &s.now, s.before()
			}
		}
		return nil, known
	}
	var winner *metaSide
	for _, s := range sides {
		if s.changed(key, agreed) && (winner == nil || s.now.present && !winner.now.present) {
			winner = &s
		}
	}
	switch {
	case winner != nil:
		return &winner.now, winner.before()
	case agreed == nil:
		return nil, known
	}
	return &value{agreed.Present, agreed.Value}, known
}

// before is what a member's property was when it was last in step.
func (s metaSide) before() value {
	if s.mark == nil {
		return value{}
	}
	return value{s.mark.Present, s.mark.Value}
}

// stays tells that a member is not written to.
func (s metaSide) stays() bool { return s.m.ReadOnly || s.m.err != nil }

// changed tells whether a member's value is news. One that never was in step and
// has none is waiting to be given one.
func (s metaSide) changed(key engine.MetaKey, agreed *ledger.Meta) bool {
	if s.mark != nil {
		return !s.now.same(key, value{s.mark.Present, s.mark.Value})
	}
	return s.now.present && (agreed == nil || !s.now.same(key, value{agreed.Present, agreed.Value}))
}

// bringMeta gives a member the value and tells what its mark is then, and why it did
// not take it.
func (r *run) bringMeta(ctx context.Context, key engine.MetaKey, s metaSide, target value) (ledger.Meta, error) {
	mark := ledger.Meta{Member: s.m.ID, Identity: s.m.Identity, Key: key, Present: s.now.present, Value: s.now.text}
	if s.now.same(key, target) || s.stays() {
		return mark, nil
	}
	err := s.storage.SetMeta(s.m.counting(ctx), key, target.text, target.present)
	switch {
	case err == nil:
		mark.Present, mark.Value = target.present, target.text
		s.m.wrote(key, s.had, target)
		return mark, nil
	case engine.IsKind(err, engine.NotSupported):
		mark.Unkept = true
		return mark, err
	case endsMember(err):
		s.m.end(err)
	default:
		r.complain(s.m, "m:"+string(key), string(key), "", err)
	}
	return mark, err // what it had was heard, and is no news to the next run
}

// wrote remembers for those who listen what a member's properties became.
func (m *member) wrote(key engine.MetaKey, had engine.Meta, now value) {
	if m.meta == nil {
		if m.meta = maps.Clone(had); m.meta == nil {
			m.meta = engine.Meta{}
		}
	}
	if now.present {
		m.meta[key] = now.text
	} else {
		delete(m.meta, key)
	}
}
