package group_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"davbus.org/davbus/engine"
)

// Metas are the properties of the members' collections as the oracle knows them.
// Every value is given once, so that its fate can be told.
type metas struct {
	r      *rand.Rand
	now    map[engine.MetaStorage]engine.Meta
	before map[string]string           // the value that a person replaced by this one
	let    map[engine.MetaKey][]string // values that somebody removed
	given  int
}

func newMetas(seed uint64) *metas {
	return &metas{r: rand.New(rand.NewPCG(seed, 17)), now: map[engine.MetaStorage]engine.Meta{}, before: map[string]string{}, let: map[engine.MetaKey][]string{}}
}

func (m *metas) of(s engine.MetaStorage) engine.Meta {
	if m.now[s] == nil {
		m.now[s] = engine.Meta{}
	}
	return m.now[s]
}

// editMeta is what a person does to a property of a collection.
func (s *storm) editMeta() {
	m := s.metas
	if s.own != nil {
		return // these storms are about UIDs
	}
	p, key := s.spies[m.r.IntN(len(s.spies))], engine.MetaKeys[m.r.IntN(len(engine.MetaKeys))]
	has := m.of(p.Storage)
	old, there := has[key]
	if there && m.r.IntN(4) == 0 {
		m.let[key] = append(m.let[key], old)
		delete(has, key)
		p.EditMeta(key, "", false)
		s.say("%d removes its %s %s", p.n, key, old)
		return
	}
	m.given++
	value := fmt.Sprintf("%s %d", key, m.given)
	switch key {
	case engine.MetaColor:
		value = fmt.Sprintf("#%06X", m.given)
	case engine.MetaOrder:
		value = fmt.Sprint(m.given)
	}
	if there {
		m.before[value] = old
	}
	has[key] = value
	p.EditMeta(key, value, true)
	s.say("%d sets its %s to %s", p.n, key, value)
}

// from tells whether a value was made by people who saw another one.
func (m *metas) from(value, old string) bool {
	for value != old && value != "" {
		value = m.before[value]
	}
	return value == old
}

// SetMeta watches what the engine does to a property. What it replaces was seen by
// whoever gave the new value, or removed it; anything else must be in history.
func (p *spy) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	if err := p.Storage.SetMeta(ctx, key, value, set); err != nil {
		return err
	}
	s := p.storm
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.metas.of(p.Storage)
	old, there := has[key]
	if delete(has, key); set {
		has[key] = value
	}
	s.say("  set-meta at %d %s %q", p.n, key, value)
	known := set && s.metas.from(value, old) || slices.ContainsFunc(s.metas.let[key], func(let string) bool { return s.metas.from(let, old) })
	if there && !known {
		s.taken = append(s.taken, taken{"", old}) // whoever it was taken from: it was one value for all
	}
	return nil
}

// unlike says which property the members do not agree on.
func (s *storm) unlike() string {
	var first *spy
	for _, p := range s.spies {
		if s.wired(p) { // plugins are not asked for properties
			continue
		}
		if first == nil {
			first = p
		}
		if was, now := s.metas.of(first.Storage), s.metas.of(p.Storage); !maps.Equal(was, now) && !s.apart() {
			return fmt.Sprintf("I4: the properties of %d are %v, of %d %v", first.n, was, p.n, now)
		}
	}
	return ""
}
