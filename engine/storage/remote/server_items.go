package remote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

func (s *Server) changes(ctx context.Context, peer Peer, p changesParams) (any, error) {
	st, err := s.storage(p.Collection)
	if err != nil {
		return nil, err
	}
	d, err := delta(ctx, st, p.Since)
	if err != nil {
		return nil, err
	}
	answer := changesResult{Full: d.Full || p.Since == "", Token: d.Token}
	out, end := s.stream(ctx, peer, p.Stream, p.Credit)
	defer end()
	send := func(c change) error {
		answer.Count++
		return out(c)
	}
	if err := bare(ctx, st, &d); err != nil {
		return nil, err
	}
	for _, h := range d.Changed {
		if err := send(change{Ref: h.Ref, Etag: h.Etag, wireText: toWire(d.Texts[h.Ref])}); err != nil {
			return nil, err
		}
	}
	for _, ref := range d.Gone {
		if err := send(change{Ref: ref, Deleted: true}); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// unread is the etag of an item that has none and cannot be read: no text has it,
// and whoever reads the item is told what is wrong.
const unread = textMark + "unread"

// bare reads the items that a storage gives no etag: their texts tell whether
// they differ. One that is gone meanwhile is left out.
func bare(ctx context.Context, st engine.Storage, d *engine.Delta) error {
	var refs []engine.Ref
	for _, h := range d.Changed {
		if h.Etag == "" && d.Texts[h.Ref] == nil {
			refs = append(refs, h.Ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	texts, failed := map[engine.Ref][]byte{}, map[engine.Ref]bool{}
	maps.Copy(texts, d.Texts)
	for it, err := range st.Fetch(ctx, refs) {
		if err != nil && it.Ref == "" {
			return err
		}
		if failed[it.Ref] = err != nil; err == nil {
			texts[it.Ref] = it.Text
		}
	}
	d.Texts = texts
	d.Changed = slices.DeleteFunc(slices.Clone(d.Changed), func(h engine.Head) bool { return h.Etag == "" && texts[h.Ref] == nil && !failed[h.Ref] })
	for i, h := range d.Changed {
		if failed[h.Ref] {
			d.Changed[i].Etag = unread
		}
	}
	return nil
}

// meant finds the version that a write names by its text, where the storage gives
// no etags.
func meant(ctx context.Context, st engine.Storage, w *engine.Write) error {
	if w.Verb == engine.Create || !strings.HasPrefix(string(w.Old.Etag), textMark) {
		return nil
	}
	for it, err := range st.Fetch(ctx, []engine.Ref{w.Old.Ref}) {
		if err != nil {
			return err
		}
		if it.Etag != "" {
			return nil
		}
		if textEtag(it.Text) != w.Old.Etag {
			return engine.Fail(engine.Changed, w.Verb.String(), string(w.Old.Ref), "it is not the version that was meant")
		}
		w.Old.Etag, w.Was = "", item.Sum(it.Text)
		return nil
	}
	return engine.Fail(engine.Changed, w.Verb.String(), string(w.Old.Ref), "it is gone")
}

// delta tells what happened, by a full list where the storage cannot tell.
func delta(ctx context.Context, st engine.Storage, since engine.Token) (engine.Delta, error) {
	if t, ok := st.(engine.Tracker); ok {
		d, err := t.Changes(ctx, since)
		if !engine.IsKind(err, engine.NotSupported) {
			return d, err
		}
	}
	d := engine.Delta{Full: true}
	for h, err := range st.List(ctx) {
		if err != nil {
			return d, err
		}
		d.Changed = append(d.Changed, h)
	}
	return d, nil
}

func (s *Server) read(ctx context.Context, peer Peer, p readParams) (any, error) {
	st, err := s.storage(p.Collection)
	if err != nil {
		return nil, err
	}
	var answer readResult
	send, end := s.stream(ctx, peer, p.Stream, p.Credit)
	defer end()
	for it, err := range st.Fetch(ctx, p.Refs) {
		c := change{Ref: it.Ref, Etag: it.Etag, wireText: toWire(it.Text)}
		if err != nil && it.Ref == "" {
			return nil, err
		}
		if err != nil {
			c.Error = &wireError{Name: NameOf(err), Message: err.Error()}
		}
		answer.Count++
		if err := send(c); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

var verbs = map[string]engine.Verb{"create": engine.Create, "replace": engine.Replace, "delete": engine.Delete}

func (s *Server) commit(ctx context.Context, p commitParams) (any, error) {
	st, err := s.storage(p.Collection)
	if err != nil {
		return nil, err
	}
	verb, ok := verbs[p.Verb]
	if !ok {
		return nil, engine.Fail(engine.Invalid, "commit", string(p.Ref), "the verb is %q; it must be create, replace or delete", p.Verb)
	}
	text, err := p.bytes()
	if err != nil {
		return nil, engine.Fail(engine.Invalid, "commit", string(p.Ref), "%w", err)
	}
	w := engine.Write{Verb: verb, UID: p.UID, Old: engine.Head{Ref: p.Ref, Etag: p.Etag}, Text: text}
	if err := meant(ctx, st, &w); err != nil {
		return nil, err
	}
	for i, out := range st.Apply(ctx, []engine.Write{w}) {
		if out.Err != nil {
			return nil, out.Err
		}
		if i != 0 {
			continue
		}
		answer := commitResult{Ref: out.Head.Ref, Etag: out.Head.Etag, UID: out.UID}
		if verb != engine.Delete && !out.Kept {
			// It is written: why it cannot be read must not be taken for a refusal.
			if answer.wireText, err = s.readBack(ctx, st, out.Head.Ref); err != nil {
				return nil, engine.Fail(engine.PluginError, "read back", string(out.Head.Ref), "it is written, but %w", err)
			}
		}
		return answer, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, engine.Fail(engine.Internal, "commit", string(p.Ref), "the storage did not say what came of it")
}

// readBack gives the text that a storage made of what it was given.
func (s *Server) readBack(ctx context.Context, st engine.Storage, ref engine.Ref) (wireText, error) {
	for it, err := range st.Fetch(ctx, []engine.Ref{ref}) {
		if err != nil {
			return wireText{}, err
		}
		return toWire(it.Text), nil
	}
	return wireText{}, errors.New("the item is gone right after it was written")
}
