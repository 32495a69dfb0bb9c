// Package remote is a storage in another process: a plugin. It turns the calls
// of the engine into messages and back; how the messages travel is the Caller's
// business. The protocol is written down in davbus-plugin(7).
//
// The service keeps what a plugin should not have to: what each item was when it
// was last in step, so that a plugin may just list what it has, every time.
package remote

import (
	"context"
	"slices"
	"sync"

	"davbus.org/davbus/engine"
)

// A Caller is the way to a plugin. Messages of the plugin come in by
// Source.Notify and Source.Handle. An error may tell more by a method
// ErrorName() string (a name of the protocol) or PluginFault() string ("gone",
// "missing", "timeout", "hung", "protocol").
type Caller interface {
	Call(ctx context.Context, method string, params, result any) error
	Close() error
}

// A Host is what a plugin may ask of davbus.
type Host interface {
	// State and SetState keep small texts for the plugin (its anchors) by
	// collection and key; a nil value forgets.
	State(collection, key string) (string, bool, error)
	SetState(collection, key string, value *string) error
	// Secret gives a secret parameter of the account.
	Secret(ctx context.Context, name string) ([]byte, error)
	// Group tells in which groups a collection is, and with whom.
	Group(collection string) (map[string]any, error)
	// RequestSync asks for a sync of a collection, or of all if it is "".
	RequestSync(collection string) error
	// Log is told what the plugin says.
	Log(level, text string)
}

// Options say which plugin is meant and who it works for.
type Options struct {
	Account string
	Params  engine.Params
	Host    Host
	// Dial starts or finds the plugin. It is called when the plugin is needed
	// and not there. Notify and Handle of s take what comes in.
	Dial func(ctx context.Context, s *Source) (Caller, error)

	Limits Limits // zero fields are defaults
}

// Limits are what one answer may hold.
type Limits struct {
	Items int // 1,048,576
	Bytes int // of texts; 256 MiB
}

// A Source is one account kept by a plugin.
type Source struct {
	opt Options

	mu       sync.Mutex
	caller   *link // nil: not there
	features []string
	keeps    []string // properties, where a collection says nothing else
	streams  map[uint64]*stream
	last     uint64          // number of the last stream
	looked   bool            // its collections are known
	slow     map[string]bool // collections for which the plugin asked for a slow sync
}

var _ engine.Source = (*Source)(nil)

// New makes a source. The plugin is not started yet.
func New(o Options) *Source {
	if o.Limits.Items == 0 {
		o.Limits.Items = 1 << 20
	}
	if o.Limits.Bytes == 0 {
		o.Limits.Bytes = 256 << 20
	}
	if o.Params == nil {
		o.Params = engine.Params{} // an author looks into it without asking
	}
	return &Source{opt: o, streams: map[uint64]*stream{}, slow: map[string]bool{}}
}

// Close tells the plugin that it is not needed any more, and ends it.
func (s *Source) Close() error {
	s.mu.Lock()
	caller := s.caller
	s.caller = nil
	s.mu.Unlock()
	if caller == nil {
		return nil
	}
	// It may be gone, or slow: Close ends it in any case.
	_ = caller.Call(context.Background(), methodFinalize, struct{}{}, nil)
	return caller.Close()
}

// Connect starts the plugin if it is not there.
func (s *Source) Connect(ctx context.Context) error {
	_, err := s.need(ctx)
	return err
}

// Disconnect drops the plugin without a word: what waits for it fails. It is
// started again when it is needed the next time.
func (s *Source) Disconnect() {
	s.mu.Lock()
	caller := s.caller
	s.mu.Unlock()
	if caller != nil {
		s.lose(caller)
	}
}

func (s *Source) has(feature string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.features, feature)
}

// Capabilities is what the plugin told of itself.
func (s *Source) Capabilities() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.features)
}

// Look asks the plugin for its collections.
func (s *Source) Look(ctx context.Context, _ bool) ([]engine.Collection, error) {
	var answer discoverResult
	if err := s.call(ctx, methodDiscover, s.opt.Account, struct{}{}, &answer); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []engine.Collection
	for _, w := range answer.Collections {
		if w.ID == "" || seen[w.ID] {
			return nil, broken("discover", s.opt.Account, "a collection has no id, or one that another has: %q", w.ID)
		}
		seen[w.ID] = true
		if w.Kind != engine.Calendar && w.Kind != engine.AddressBook {
			return nil, broken("discover", s.opt.Account, "the collection %q is of kind %q; it must be %q or %q", w.ID, w.Kind, engine.Calendar, engine.AddressBook)
		}
		out = append(out, s.collection(w))
	}
	s.mu.Lock()
	s.looked = true
	s.mu.Unlock()
	return out, nil
}

func (s *Source) collection(w wireCollection) engine.Collection {
	meta := engine.Meta{}
	for key, value := range map[engine.MetaKey]string{engine.MetaName: w.Name, engine.MetaColor: w.Color, engine.MetaDescription: w.Description, engine.MetaOrder: w.Order} {
		if value != "" {
			meta[key] = value
		}
	}
	identity := w.Identity
	if identity == "" {
		identity = w.ID
	}
	return engine.Collection{
		Name: w.ID, Kind: w.Kind, Components: w.Components, Formats: w.Formats, Meta: meta, Writable: !w.ReadOnly, OwnUIDs: w.OwnUIDs || s.has(featureOwnUIDs), Properties: s.properties(w),
		Identity: "plugin:" + s.opt.Account + ":" + identity, State: w.State,
	}
}

// properties are those that a collection keeps; nil for all.
func (s *Source) properties(w wireCollection) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.Properties) > 0 {
		return w.Properties
	}
	return s.keeps
}

// Make makes a collection.
func (s *Source) Make(ctx context.Context, c engine.Collection) (engine.Collection, error) {
	w := wireCollection{
		ID: c.Name, Kind: c.Kind, Components: c.Components,
		Name: c.Meta[engine.MetaName], Color: c.Meta[engine.MetaColor], Description: c.Meta[engine.MetaDescription], Order: c.Meta[engine.MetaOrder],
	}
	if w.ID == "" {
		w.ID = c.ID
	}
	if _, err := s.need(ctx); err != nil {
		return engine.Collection{}, err
	}
	if !s.has(featureMake) {
		return engine.Collection{}, engine.Fail(engine.NotSupported, "make collection", w.ID, "this plugin cannot make collections")
	}
	var made wireCollection
	if err := s.call(ctx, methodMake, w.ID, w, &made); err != nil {
		return engine.Collection{}, err
	}
	return s.collection(made), nil
}

// Open gives the storage of a collection.
func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	return &Storage{source: s, name: c.Name, poor: len(c.Properties) > 0}, nil
}
