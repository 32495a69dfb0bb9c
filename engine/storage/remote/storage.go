package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"sync"

	"davbus.org/davbus/engine"
)

// A Storage is one collection of a plugin.
type Storage struct {
	source  *Source
	name    string
	poor    bool  // it says itself that it keeps less than it is given: what it kept is read
	session *link // that knows of the sync; guarded by source.mu
}

var (
	_ engine.Tracker = (*Storage)(nil)
	_ engine.Session = (*Storage)(nil)
)

// A stream gathers the changes of one call, so many and no more: a plugin that
// floods is stopped and not believed.
type stream struct {
	most  Limits
	taken chan struct{} // of one place: more may be sent
	stop  func()        // gives the call up

	mu      sync.Mutex
	allowed int // how many changes may have come; 0: any number
	came    int
	owed    int  // was allowed, and the plugin does not know it yet
	greedy  bool // it sent more than it may
	changes []change
	bytes   int
	over    bool
}

func (st *stream) put(c change) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.count()
	if c.Text != nil {
		st.bytes += len(*c.Text)
	}
	st.bytes += len(c.Base64)
	if st.over = st.over || len(st.changes) >= st.most.Items || st.bytes > st.most.Bytes; st.over {
		st.changes = nil
		st.stop()
		return
	}
	st.changes = append(st.changes, c)
}

// gather makes a call that answers with a stream.
func (s *Storage) gather(ctx context.Context, method string, params func(stream uint64, credit int) any, result any, count func() int) ([]change, error) {
	caller, err := s.source.need(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stopCall := context.WithCancel(ctx)
	defer stopCall()
	st := &stream{most: s.source.opt.Limits, allowed: s.source.credit(caller), taken: make(chan struct{}, 1), stop: stopCall}
	credit := st.allowed
	s.source.mu.Lock()
	s.source.last++
	id := s.source.last
	s.source.streams[id] = st
	s.source.mu.Unlock()
	stop := st.grant(ctx, caller, id)
	err = s.source.on(ctx, caller, method, s.name, params(id, credit), result)
	stop()
	s.source.mu.Lock()
	delete(s.source.streams, id)
	s.source.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	switch n := count(); {
	case st.over: // whatever else came of it: it was given up for that
		err = broken("read from the plugin", s.name, "it sent more than %d items or %d bytes in one answer", st.most.Items, st.most.Bytes)
	case st.greedy:
		err = broken("read from the plugin", s.name, "it sent more than its credit allows")
	case err != nil:
		return nil, err
	case n != len(st.changes):
		err = broken("read from the plugin", s.name, "it says that it sent %d items, and %d came", n, len(st.changes))
	default:
		return st.changes, nil
	}
	return nil, s.source.breaks(caller, err)
}

// etag is what tells the versions of an item apart: the plugin's own mark, or
// the text itself.
func (c change) etag(text []byte) engine.Etag {
	if c.Etag != "" || text == nil {
		return c.Etag
	}
	return textEtag(text)
}

// textMark begins an etag that was made of a text.
const textMark = "sha256:"

func textEtag(text []byte) engine.Etag {
	sum := sha256.Sum256(text)
	return engine.Etag(textMark + hex.EncodeToString(sum[:]))
}

// Changes asks what happened. A plugin that only lists answers with everything.
func (s *Storage) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	var answer changesResult
	list, err := s.gather(ctx, methodChanges, func(id uint64, credit int) any {
		return changesParams{Collection: s.name, Stream: id, Since: since, Credit: credit}
	}, &answer, func() int { return answer.Count })
	if err != nil {
		return engine.Delta{}, err
	}
	if since == "" && !answer.Full {
		return engine.Delta{}, broken("get changes", s.name, "everything was asked for, and the answer does not say that it is full")
	}
	d := engine.Delta{Full: answer.Full, Token: answer.Token, Texts: map[engine.Ref][]byte{}}
	for _, c := range list {
		if c.Ref == "" {
			return engine.Delta{}, broken("get changes", s.name, "an item has no ref")
		}
		if c.Deleted {
			d.Gone = append(d.Gone, c.Ref)
			continue
		}
		text, err := c.bytes()
		if err != nil {
			return engine.Delta{}, broken("get changes", s.name, "%s: %w", c.Ref, err)
		}
		if text == nil && c.Etag == "" {
			return engine.Delta{}, broken("get changes", s.name, "%s has neither an etag nor a text: nobody could tell whether it changed", c.Ref)
		}
		if text != nil {
			d.Texts[c.Ref] = text
		}
		d.Changed = append(d.Changed, engine.Head{Ref: c.Ref, Etag: c.etag(text)})
	}
	return d, nil
}

// List is Changes since ever.
func (s *Storage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		d, err := s.Changes(ctx, "")
		if err != nil {
			yield(engine.Head{}, err)
			return
		}
		for _, h := range d.Changed {
			if !yield(h, nil) {
				return
			}
		}
	}
}

// readBatch is how many items are asked for at once.
const readBatch = 64

// Fetch reads items.
func (s *Storage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		for len(refs) > 0 {
			n := min(readBatch, len(refs))
			if !s.fetch(ctx, refs[:n], yield) {
				return
			}
			refs = refs[n:]
		}
	}
}

func (s *Storage) fetch(ctx context.Context, refs []engine.Ref, yield func(engine.Item, error) bool) bool {
	var answer readResult
	list, err := s.gather(ctx, methodRead, func(id uint64, credit int) any {
		return readParams{Collection: s.name, Stream: id, Refs: refs, Credit: credit}
	}, &answer, func() int { return answer.Count })
	if err != nil {
		yield(engine.Item{}, err)
		return false
	}
	for _, c := range list {
		if c.Ref == "" {
			yield(engine.Item{}, broken("read", s.name, "an item has no ref"))
			return false
		}
		if c.Deleted {
			continue
		}
		text, err := c.bytes()
		switch {
		case c.Error != nil:
			kind, ok := kinds[c.Error.Name]
			if !ok {
				kind = engine.PluginError
			}
			err = engine.Fail(kind, "read", string(c.Ref), "%s", c.Error.Message)
		case err != nil:
			err = engine.Fail(engine.InvalidItem, "read", string(c.Ref), "%w", err)
		case text == nil:
			err = engine.Fail(engine.InvalidItem, "read", string(c.Ref), "the plugin gave no text")
		}
		if !yield(engine.Item{Head: engine.Head{Ref: c.Ref, Etag: c.etag(text)}, Text: text}, err) {
			return false
		}
	}
	return true
}

// Apply commits writes one after the other.
func (s *Storage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i, w := range writes {
			if ctx.Err() != nil {
				return
			}
			out, err := s.commit(ctx, w)
			if err != nil && !ofItem(err) {
				if !engine.IsKind(err, engine.Cancelled) {
					yield(-1, engine.Outcome{Err: err})
				}
				return
			}
			out.Err = err
			if !yield(i, out) {
				return
			}
		}
	}
}

func (s *Storage) commit(ctx context.Context, w engine.Write) (engine.Outcome, error) {
	params := commitParams{Collection: s.name, Verb: w.Verb.String(), UID: w.UID, Ref: w.Old.Ref, Etag: w.Old.Etag}
	if w.Verb != engine.Delete {
		params.wireText = toWire(w.Text)
	}
	var answer commitResult
	if err := s.source.call(ctx, methodCommit, string(w.Old.Ref), params, &answer); err != nil {
		return engine.Outcome{}, err
	}
	if w.Verb == engine.Delete {
		return engine.Outcome{Kept: true}, nil
	}
	if answer.Ref == "" {
		return engine.Outcome{}, broken("commit", s.name, "the answer does not say where the item is")
	}
	text, err := answer.bytes()
	if err != nil {
		return engine.Outcome{}, broken("commit", s.name, "%w", err)
	}
	out := engine.Outcome{Head: engine.Head{Ref: answer.Ref, Etag: answer.Etag}, Kept: text == nil && !s.poor, UID: answer.UID}
	switch {
	case out.Head.Etag != "":
	case text != nil: // it was read after the write, and may be somebody's by now
	case out.UID != "": // nobody knows how the line reads now
		out.Kept = false
	default:
		out.Head.Etag = textEtag(w.Text)
	}
	return out, nil
}

// ofItem tells whether an error concerns one item alone.
func ofItem(err error) bool {
	switch engine.KindOf(err) {
	case engine.NotFound, engine.AlreadyExists, engine.Changed, engine.InvalidItem, engine.TooLarge, engine.Forbidden, engine.PluginError:
		return true
	}
	return false
}
