package memory

import (
	"bytes"
	"strconv"

	"davbus.org/davbus/engine"
)

// The methods below are the hands of somebody who edits a storage beside the
// engine. They ask no hook and are not counted.

// Put stores a text under a name, over whatever is there.
func (s *Storage) Put(ref engine.Ref, text []byte) engine.Head {
	s.mu.Lock()
	h := s.store(ref, bytes.Clone(text))
	s.mu.Unlock()
	s.told()
	return h
}

// Remove takes an item away.
func (s *Storage) Remove(ref engine.Ref) {
	s.mu.Lock()
	s.drop(ref)
	s.mu.Unlock()
	s.told()
}

// Touch gives an item a new etag over the same text.
func (s *Storage) Touch(ref engine.Ref) {
	s.mu.Lock()
	s.store(ref, s.items[ref].Text)
	s.mu.Unlock()
	s.told()
}

// EditMeta changes one property.
func (s *Storage) EditMeta(key engine.MetaKey, value string, set bool) {
	s.mu.Lock()
	if s.meta == nil {
		s.meta = engine.Meta{}
	}
	if set {
		s.meta[key] = value
	} else {
		delete(s.meta, key)
	}
	s.serial++
	s.mu.Unlock()
	s.told()
}

// Texts gives everything that is stored.
func (s *Storage) Texts() map[engine.Ref]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := make(map[engine.Ref]string, len(s.items))
	for ref, it := range s.items {
		texts[ref] = string(it.Text)
	}
	return texts
}

// State is a Collection.State: it differs once anything has moved.
func (s *Storage) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strconv.Itoa(s.serial)
}

// Counts tells how often each call was made; ResetCounts starts over.
func (s *Storage) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// ResetCounts starts counting over.
func (s *Storage) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = Counts{}
}

// ForgetTokens makes every token given so far unknown.
func (s *Storage) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.oldest = s.serial
}

func (s *Storage) told() {
	if s.OnChange != nil {
		s.OnChange()
	}
}

// Copy makes an empty storage with the same switches.
func (s *Storage) Copy() *Storage {
	return &Storage{
		Before: s.Before, After: s.After, Churn: s.Churn, NoEtags: s.NoEtags, NoTokens: s.NoTokens, Inline: s.Inline,
		ReadOnly: s.ReadOnly, Rewrite: s.Rewrite, WithUID: s.WithUID, Refuse: s.Refuse, Sum: s.Sum, Unkept: s.Unkept, OnChange: s.OnChange,
	}
}
