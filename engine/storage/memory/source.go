package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"davbus.org/davbus/engine"
)

// A Source is an account in memory. The zero Source has no collections and is
// ready. Before is set before use.
type Source struct {
	Before func(Call) error // asked before each call
	Has    []string         // what Capabilities tells

	// WithUID is that of its storages: see Storage.
	WithUID func(text []byte, uid engine.UID) []byte

	mu      sync.Mutex
	all     []*kept
	made    int
	counts  map[string]int
	watches []chan string
	closed  bool
}

type kept struct {
	engine.Collection
	storage *Storage
}

var _ engine.Watcher = (*Source)(nil)

// Add puts a collection into the account and gives its storage. An Identity is
// made if c has none.
func (s *Source) Add(c engine.Collection) *Storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(c).storage
}

func (s *Source) add(c engine.Collection) *kept {
	s.made++
	if c.Identity == "" {
		c.Identity = fmt.Sprintf("memory-%d", s.made)
	}
	c.ID = ""
	k := &kept{c, &Storage{meta: maps.Clone(c.Meta), WithUID: s.WithUID}}
	s.all = append(s.all, k)
	return k
}

// Drop takes a collection away, by its Identity.
func (s *Source) Drop(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(k *kept) bool { return k.Identity == identity })
}

// Storage gives the storage of a collection by its name; nil if there is none.
func (s *Source) Storage(name string) *Storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Name == name {
			return k.storage
		}
	}
	return nil
}

// Touch tells those who watch that something moved.
func (s *Source) Touch(where string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watches {
		select {
		case w <- where:
		default: // more than anybody can have read: it will look anyway
		}
	}
}

func (s *Source) begin(ctx context.Context, name, what string) error {
	s.mu.Lock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	n := s.counts[name]
	s.counts[name]++
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return engine.Fail(engine.Cancelled, name, what, "%w", err)
	}
	if s.Before == nil {
		return nil
	}
	return s.Before(Call{name, engine.Ref(what), n})
}

// Looks is how often Look was called.
func (s *Source) Looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts["look"]
}

func (s *Source) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	if err := s.begin(ctx, "look", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []engine.Collection
	for _, k := range s.all {
		found = append(found, k.now())
	}
	return found, nil
}

// now is the collection with what its storage says of itself.
func (k *kept) now() engine.Collection {
	k.storage.mu.Lock()
	defer k.storage.mu.Unlock()
	c := k.Collection
	c.State = strconv.Itoa(k.storage.serial)
	c.Writable = !k.storage.ReadOnly
	c.OwnUIDs = k.storage.WithUID != nil
	c.Meta = engine.Meta{}
	maps.Copy(c.Meta, k.storage.meta)
	return c
}

func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	if err := s.begin(context.Background(), "open", c.Name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Identity == c.Identity {
			return k.storage, nil
		}
	}
	return nil, engine.Fail(engine.CollectionGone, "open", c.Name, "this account has no such collection")
}

func (s *Source) Make(ctx context.Context, c engine.Collection) (engine.Collection, error) {
	if err := s.begin(ctx, "make", c.Name); err != nil {
		return engine.Collection{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.all, func(k *kept) bool { return k.Name == c.Name }) {
		return engine.Collection{}, engine.Fail(engine.AlreadyExists, "make", c.Name, "a collection of this name is there")
	}
	id := c.ID
	c.Identity = ""
	made := s.add(c).now()
	made.ID = id
	return made, nil
}

func (s *Source) Capabilities() []string { return s.Has }

func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Closed reports whether Close was called.
func (s *Source) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Source) Watch(ctx context.Context, touch func(where string)) error {
	moved := make(chan string, 64)
	s.mu.Lock()
	s.watches = append(s.watches, moved)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watches = slices.DeleteFunc(s.watches, func(w chan string) bool { return w == moved })
	}()
	for {
		select {
		case where := <-moved:
			touch(where)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
