package remote

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"davbus.org/davbus/engine"
)

// A Peer is davbus as a plugin sees it.
type Peer interface {
	// Notify sends a notification; it may wait until davbus has read earlier ones.
	Notify(ctx context.Context, method string, params any) error
}

// A Server serves any source as a plugin: the other side of Source.
type Server struct {
	name string
	open func(params engine.Params) (engine.Source, error)

	mu     sync.Mutex
	source engine.Source
	looked map[string]engine.Collection
	opened map[string]engine.Storage
}

// NewServer makes a server. open is called once, with the account's parameters.
func NewServer(name string, open func(engine.Params) (engine.Source, error)) *Server {
	return &Server{name: name, open: open, looked: map[string]engine.Collection{}, opened: map[string]engine.Storage{}}
}

// Handle answers one call of davbus.
func (s *Server) Handle(ctx context.Context, peer Peer, method string, params json.RawMessage) (any, error) {
	switch method {
	case methodInitialize:
		return with(params, func(p initializeParams) (any, error) { return s.initialize(p) })
	case methodDiscover:
		return s.discover(ctx)
	case methodMake:
		return with(params, func(w wireCollection) (any, error) { return s.make(ctx, w) })
	case methodConnect:
		return with(params, func(p connectParams) (any, error) { return s.connect(ctx, p) })
	case methodChanges:
		return with(params, func(p changesParams) (any, error) { return s.changes(ctx, peer, p) })
	case methodRead:
		return with(params, func(p readParams) (any, error) { return s.read(ctx, peer, p) })
	case methodCommit:
		return with(params, func(p commitParams) (any, error) { return s.commit(ctx, p) })
	case methodCommittedAll:
		return struct{}{}, nil
	case methodSyncDone:
		return with(params, func(p collectionParams) (any, error) { return struct{}{}, s.end(ctx, p.Collection, true) })
	case methodDisconnect:
		return with(params, func(p collectionParams) (any, error) { return struct{}{}, s.disconnect(ctx, p.Collection) })
	case methodFinalize:
		return struct{}{}, s.Close()
	}
	return nil, engine.Fail(engine.NotSupported, "answer", method, "this plugin has no such method")
}

func with[P any](params json.RawMessage, do func(P) (any, error)) (any, error) {
	var p P
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	return do(p)
}

// Close ends the source.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := s.source
	s.source, s.opened = nil, map[string]engine.Storage{}
	if source == nil {
		return nil
	}
	return source.Close()
}

func (s *Server) initialize(p initializeParams) (any, error) {
	if p.Protocol < Protocol {
		return nil, engine.Fail(engine.NotSupported, "initialize", s.name, "davbus speaks protocol %d, and this plugin speaks %d", p.Protocol, Protocol)
	}
	source, err := s.open(p.Parameters)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.source = source
	return initializeResult{Protocol: Protocol, Name: s.name, Features: []string{featureChanges, featureMake}}, nil
}

func (s *Server) discover(ctx context.Context) (any, error) {
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if source == nil {
		return nil, engine.Fail(engine.Invalid, "discover", s.name, "initialize comes first")
	}
	found, err := source.Look(ctx, false)
	if err != nil {
		return nil, err
	}
	answer := discoverResult{Collections: []wireCollection{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range found {
		if known, ok := s.looked[c.Name]; ok && known.Identity != c.Identity {
			delete(s.opened, c.Name)
		}
		s.looked[c.Name] = c
		answer.Collections = append(answer.Collections, describe(c))
	}
	return answer, nil
}

func describe(c engine.Collection) wireCollection {
	return wireCollection{
		ID: c.Name, Kind: c.Kind, Components: c.Components, Name: c.Meta[engine.MetaName], Color: c.Meta[engine.MetaColor],
		Description: c.Meta[engine.MetaDescription], Order: c.Meta[engine.MetaOrder], ReadOnly: !c.Writable, Identity: c.Identity, State: c.State,
	}
}

func (s *Server) make(ctx context.Context, w wireCollection) (any, error) {
	meta := engine.Meta{}
	for key, value := range map[engine.MetaKey]string{engine.MetaName: w.Name, engine.MetaColor: w.Color, engine.MetaDescription: w.Description, engine.MetaOrder: w.Order} {
		if value != "" {
			meta[key] = value
		}
	}
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if source == nil {
		return nil, engine.Fail(engine.Invalid, "make collection", w.ID, "initialize comes first")
	}
	c, err := source.Make(ctx, engine.Collection{ID: w.ID, Name: w.ID, Kind: w.Kind, Components: w.Components, Meta: meta})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked[c.Name] = c
	return describe(c), nil
}

func (s *Server) storage(name string) (engine.Storage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.opened[name]; ok {
		return st, nil
	}
	c, ok := s.looked[name]
	if !ok || s.source == nil {
		return nil, engine.Fail(engine.CollectionGone, "open", name, "there is no such collection; discover tells which there are")
	}
	st, err := s.source.Open(c)
	if err == nil {
		s.opened[name] = st
	}
	return st, err
}

func (s *Server) connect(ctx context.Context, p connectParams) (any, error) {
	st, err := s.storage(p.Collection)
	if err != nil {
		return nil, err
	}
	session, ok := st.(engine.Session)
	if !ok {
		return connectResult{}, nil
	}
	slow, err := session.Begin(ctx, p.SlowSync)
	return connectResult{SlowSync: slow}, err
}

func (s *Server) end(ctx context.Context, name string, whole bool) error {
	st, err := s.storage(name)
	if err != nil {
		return err
	}
	if session, ok := st.(engine.Session); ok {
		return session.End(ctx, whole)
	}
	return nil
}

func (s *Server) disconnect(context.Context, string) error { return nil }

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
	send := func(c change) error {
		answer.Count++
		c.Stream = p.Stream
		return peer.Notify(ctx, methodChange, c)
	}
	for _, h := range d.Changed {
		c := change{Ref: h.Ref, Etag: h.Etag, wireText: toWire(d.Texts[h.Ref])}
		if err := send(c); err != nil {
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
	for it, err := range st.Fetch(ctx, p.Refs) {
		c := change{Stream: p.Stream, Ref: it.Ref, Etag: it.Etag, wireText: toWire(it.Text)}
		if err != nil && it.Ref == "" {
			return nil, err
		}
		if err != nil {
			c.Error = &wireError{Name: NameOf(err), Message: err.Error()}
		}
		answer.Count++
		if err := peer.Notify(ctx, methodChange, c); err != nil {
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
	for i, out := range st.Apply(ctx, []engine.Write{w}) {
		if out.Err != nil {
			return nil, out.Err
		}
		if i != 0 {
			continue
		}
		answer := commitResult{Ref: out.Head.Ref, Etag: out.Head.Etag}
		if verb != engine.Delete && !out.Kept {
			if answer.wireText, err = s.readBack(ctx, st, out.Head.Ref); err != nil {
				return nil, err
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
