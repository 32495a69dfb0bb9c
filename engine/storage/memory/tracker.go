package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"

	"davbus.org/davbus/engine"
)

func (s *Storage) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	if err := s.begin(ctx, "changes", "", &s.counts.Changes); err != nil {
		return engine.Delta{}, err
	}
	if s.NoTokens {
		return engine.Delta{}, engine.Fail(engine.NotSupported, "list changes", "", "this storage has no tokens")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, err := strconv.Atoi(string(since))
	d := engine.Delta{Token: engine.Token(strconv.Itoa(s.serial))}
	if err != nil || from < s.oldest || from > s.serial {
		d.Full, from = true, -1
	}
	var moved []engine.Ref
	for ref, serial := range s.moved {
		if serial > from {
			moved = append(moved, ref)
		}
	}
	slices.Sort(moved)
	for _, ref := range moved {
		it, ok := s.items[ref]
		switch {
		case ok:
			d.Changed = append(d.Changed, s.head(it))
			if s.Inline {
				if d.Texts == nil {
					d.Texts = map[engine.Ref][]byte{}
				}
				d.Texts[ref] = bytes.Clone(it.Text)
			}
		case !d.Full:
			d.Gone = append(d.Gone, ref)
		}
	}
	return d, nil
}

func (s *Storage) Meta(ctx context.Context) (engine.Meta, error) {
	if err := s.begin(ctx, "meta", "", &s.counts.Meta); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta == nil {
		return engine.Meta{}, nil
	}
	return maps.Clone(s.meta), nil
}

func (s *Storage) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	if err := s.begin(ctx, "set-meta", engine.Ref(key), &s.counts.SetMeta); err != nil {
		return err
	}
	switch {
	case s.Unkept[key] || !slices.Contains(engine.MetaKeys[:], key):
		return engine.Fail(engine.NotSupported, "set", string(key), "this storage does not keep it")
	case s.ReadOnly:
		return engine.Fail(engine.ReadOnly, "set", string(key), "this storage takes no writes")
	}
	s.EditMeta(key, value, set)
	return nil
}
