package remote

import (
	"context"
	"encoding/json"
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
	purses map[uint64]*purse // of the calls that stream now
}

// NewServer makes a server. open is called once, with the account's parameters.
func NewServer(name string, open func(engine.Params) (engine.Source, error)) *Server {
	return &Server{name: name, open: open, looked: map[string]engine.Collection{}, opened: map[string]engine.Storage{}, purses: map[uint64]*purse{}}
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

// Notify takes a notification of davbus. It does not wait.
func (s *Server) Notify(method string, params json.RawMessage) {
	var p creditParams
	if method != methodCredit || json.Unmarshal(params, &p) != nil {
		return
	}
	s.mu.Lock()
	purse := s.purses[p.Stream]
	s.mu.Unlock()
	if purse != nil { // else its call is answered already
		purse.add(p.More)
	}
}

// stream gives what sends the changes of a call, within its credit.
func (s *Server) stream(ctx context.Context, peer Peer, id uint64, credit int) (send func(change) error, end func()) {
	purse := newPurse(credit)
	s.mu.Lock()
	s.purses[id] = purse
	s.mu.Unlock()
	send = func(c change) error {
		if credit > 0 {
			if err := purse.take(ctx); err != nil {
				return err
			}
		}
		c.Stream = id
		return peer.Notify(ctx, methodChange, c)
	}
	return send, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.purses, id)
	}
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
	return initializeResult{Protocol: Protocol, Name: s.name, Features: []string{featureChanges, featureMake, featureCredit}}, nil
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
		ID: c.Name, Kind: c.Kind, Components: c.Components, Formats: c.Formats, Name: c.Meta[engine.MetaName], Color: c.Meta[engine.MetaColor],
		Description: c.Meta[engine.MetaDescription], Order: c.Meta[engine.MetaOrder], ReadOnly: !c.Writable, OwnUIDs: c.OwnUIDs, Properties: c.Properties, Identity: c.Identity, State: c.State,
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
