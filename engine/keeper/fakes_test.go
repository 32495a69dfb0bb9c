package keeper

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

type gate struct {
	once    sync.Once
	mu      sync.Mutex
	opening chan struct{}
	entered int
}

func newGate() *gate { return &gate{opening: make(chan struct{})} }

func (g *gate) pass() {
	g.mu.Lock()
	g.entered++
	ch := g.opening
	g.mu.Unlock()
	<-ch
}

// open lets everybody pass; a test defers it too, so that it ends where it fails.
func (g *gate) open() { g.once.Do(func() { close(g.opening) }) }

func (g *gate) reached() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entered > 0
}

func (r *rig) hold(id engine.AccountID) *gate {
	g := newGate()
	r.sources[id].Before = func(c memory.Call) error {
		if c.Name == "look" {
			g.pass()
		}
		return nil
	}
	return g
}

type fakeSecrets struct {
	mu                 sync.Mutex
	rejected, accepted []engine.AccountID
	set                []string
	state              string
}

func (f *fakeSecrets) Of(engine.AccountConfig) AccountSecrets { return nil }
func (f *fakeSecrets) State(engine.AccountConfig) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}
func (f *fakeSecrets) Set(id engine.AccountID, name string, value []byte, store string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = append(f.set, string(id)+" "+name+" "+string(value)+" "+store)
	return nil
}
func (f *fakeSecrets) Forget(id engine.AccountID, name, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = append(f.set, string(id)+" forget "+name)
	return nil
}
func (f *fakeSecrets) Rejected(id engine.AccountID) { f.rejected = append(f.rejected, id) }
func (f *fakeSecrets) Accepted(id engine.AccountID) { f.accepted = append(f.accepted, id) }

type fakeStore struct {
	files map[string]any
	fail  error
}

func (f *fakeStore) put(name string, v any) error {
	if f.fail != nil {
		return f.fail
	}
	if v == nil {
		delete(f.files, name)
	} else {
		f.files[name] = v
	}
	return nil
}
func (f *fakeStore) SaveAccount(c engine.AccountConfig) error { return f.put("a "+string(c.ID), c) }
func (f *fakeStore) SaveGroup(c engine.GroupConfig) error     { return f.put("g "+string(c.ID), c) }
func (f *fakeStore) RemoveAccount(id engine.AccountID) error  { return f.put("a "+string(id), nil) }
func (f *fakeStore) RemoveGroup(id engine.GroupID) error      { return f.put("g "+string(id), nil) }

func (f *fakeStore) names() string { return strings.Join(slices.Sorted(maps.Keys(f.files)), ", ") }

var errOffline = engine.Fail(engine.Offline, "look", "", "%w", errors.New("no route"))
