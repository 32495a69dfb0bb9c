package group_test

import (
	"fmt"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

// letOwn makes a member one that gives items UIDs of its own. Its items are known
// by what was written into them first; half of the time it tells its UIDs.
func (s *storm) letOwn(p *spy, m *memory.Storage) {
	s.own, p.young = p, map[engine.Ref]bool{}
	m.WithUID, m.Rewrite = item.WithUID, nil
	if s.rules.Policy == "keep-both" {
		s.rules.Policy = "merge"
	}
	if s.seed%16 < 8 {
		m.Rewrite = func(text []byte) []byte { return text }
	}
}

// nameOf is what an item is the same by at every member: its UID, or, where one
// gives its own, its first value.
func (s *storm) nameOf(uid string, p props) string {
	if s.own == nil {
		return uid
	}
	v := p[0]
	for s.before[v] != 0 {
		v = s.before[v]
	}
	return fmt.Sprint("u-", v-1)
}

// letBy is what texts are let go by. A value belongs to one item.
func (s *storm) letBy(uid string) string {
	if s.own == nil {
		return uid
	}
	return ""
}

func (s *storm) letGo(uid string, v props) {
	s.let[s.letBy(uid)] = append(s.let[s.letBy(uid)], v)
}

// copies are the texts that members have of an item in conflict.
func (s *storm) copies(c ledger.Conflict) (texts [][]byte) {
	if s.own == nil {
		for _, p := range s.spies {
			if text := p.text(string(c.UID)); text != nil {
				texts = append(texts, text)
			}
		}
		return texts
	}
	var names []string
	for _, side := range c.Sides {
		if text, err := s.set().Text(side.Text); err == nil && !side.Gone {
			names = append(names, s.nameOf(read(text)))
		}
	}
	for _, p := range s.spies {
		for _, text := range p.Texts() {
			if slices.Contains(names, s.nameOf(read([]byte(text)))) {
				texts = append(texts, []byte(text))
			}
		}
	}
	return texts
}

// grow takes note of what the ledger knows by now; call it with mu held.
func (s *storm) grow() {
	if s.own == nil || len(s.own.young) == 0 || s.dead {
		return
	}
	book, err := s.set().Load()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range book.Marks {
		for _, m := range book.Members {
			if m.ID == k.Member && m.Name == s.own.member.ID {
				delete(s.own.young, k.Ref)
			}
		}
	}
}

// unmatched says what a first sync does after the ledger was lost, where the UIDs
// differ and nothing else does.
func (s *storm) unmatched() string {
	open, err := s.set().Conflicts()
	rewritten := slices.ContainsFunc(s.spies, func(p *spy) bool { return p != s.own && p.Rewrite != nil })
	if s.own == nil || err != nil || len(open) > 0 || s.apart() || rewritten {
		return "" // or the texts say different things
	}
	s.loseLedger()
	for _, p := range s.spies {
		p.ResetCounts()
	}
	if _, err := s.sync(group.Options{}); err != nil {
		return err.Error()
	}
	for _, p := range s.spies {
		if n := p.Counts().Writes(); n > 0 {
			return fmt.Sprintf("I8: after the ledger was lost, %d writes at %d", n, p.n)
		}
	}
	return s.unequal()
}
