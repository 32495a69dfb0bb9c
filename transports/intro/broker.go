package intro

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Name is what somebody registers.
type Name struct {
	Name   string `json:"name"`   // a label unless Public
	Public bool   `json:"public"` // the name itself can be introduced to, and is listed
	// AcceptFrom are the sandboxed applications that may introduce, and they
	// alone; without it those may that are not sandboxed.
	AcceptFrom []string `json:"accept-from,omitempty"`
}

// A Registration is a name with its owner.
type Registration struct {
	Name
	Owner string // as of a Sender

	// Designator may be set by a door that had it proved to be the owner's; else
	// one is made that cannot be guessed.
	Designator string

	// Deliver hands a socket over and closes it at this end. Its error is the
	// owner's refusal. It ends with its context.
	Deliver func(context.Context, Introduction) error

	// Tunnel is told of the connections that others make to what the owner
	// offers, in order. It must not wait. nil: nothing can be offered.
	Tunnel func(TunnelEvent)
}

// A Broker is the middle. It knows who registered and what waits, and nothing of
// what is said between those it brought together.
type Broker struct {
	// Changed is called after the public names have changed. It may be nil, and is
	// set before anything else is done.
	Changed func()

	mu           sync.Mutex
	byDesignator map[string]*entry
	byName       map[string]*entry // public ones
	owned        map[string]map[string]*entry
	pending      map[string]int // by sender
	waiting      int            // all of pending
	grown        chan struct{}  // closed when somebody registers
}

// An entry is one name that is registered. Its context ends with it.
type entry struct {
	Registration
	ctx    context.Context
	end    context.CancelFunc
	offers map[string]*offer
}

// NewBroker makes one.
func NewBroker() *Broker {
	return &Broker{byDesignator: map[string]*entry{}, byName: map[string]*entry{}, owned: map[string]map[string]*entry{}, pending: map[string]int{}, grown: make(chan struct{})}
}

func newDesignator() string {
	var random [16]byte
	rand.Read(random[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:]))
}

// Register takes introductions for an owner until it unregisters or leaves.
func (b *Broker) Register(r Registration) (designator string, err error) {
	if err := checkName(r.Name.Name); err != nil {
		return "", err
	}
	if r.Designator == "" {
		r.Designator = newDesignator()
	}
	if err := b.add(r); err != nil {
		return "", err
	}
	if r.Public {
		b.changed()
	}
	return r.Designator, nil
}

func (b *Broker) add(r Registration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := r.Name.Name
	switch {
	case b.owned[r.Owner][name] != nil:
		return failed(AlreadyExists, "this caller has registered %q already", name)
	case b.byDesignator[r.Designator] != nil:
		return failed(AlreadyExists, "the designator is registered already")
	case r.Public && b.byName[name] != nil:
		return failed(AlreadyExists, "another program has registered the public name %q", name)
	case len(b.owned[r.Owner]) >= maxNames:
		return failed(LimitExceeded, "one caller may register %d names", maxNames)
	case len(b.byDesignator) >= maxAllNames:
		return failed(LimitExceeded, "%d names are registered already", maxAllNames)
	}
	e := &entry{Registration: r, offers: map[string]*offer{}}
	e.ctx, e.end = context.WithCancel(context.Background())
	b.byDesignator[r.Designator] = e
	if r.Public {
		b.byName[name] = e
	}
	if b.owned[r.Owner] == nil {
		b.owned[r.Owner] = map[string]*entry{}
	}
	b.owned[r.Owner][name] = e
	close(b.grown)
	b.grown = make(chan struct{})
	return nil
}

func (b *Broker) changed() {
	if b.Changed != nil {
		b.Changed()
	}
}

// Unregister ends a registration, what waits for its owner and what was offered
// under the name.
func (b *Broker) Unregister(owner, name string) error {
	b.mu.Lock()
	e := b.owned[owner][name]
	b.drop(e)
	b.mu.Unlock()
	if e == nil {
		return failed(NotFound, "this caller has not registered %q", name)
	}
	if e.Public {
		b.changed()
	}
	return nil
}

// drop forgets an entry, which may be nil; mu is held.
func (b *Broker) drop(e *entry) {
	if e == nil {
		return
	}
	e.end()
	delete(b.byDesignator, e.Designator)
	if e.Public {
		delete(b.byName, e.Name.Name)
	}
	delete(b.owned[e.Owner], e.Name.Name)
	if len(b.owned[e.Owner]) == 0 {
		delete(b.owned, e.Owner)
	}
}

// Leave ends everything that an owner registered.
func (b *Broker) Leave(owner string) {
	b.mu.Lock()
	public := false
	for _, e := range b.owned[owner] {
		public = public || e.Public
		b.drop(e)
	}
	b.mu.Unlock()
	if public {
		b.changed()
	}
}

// Names lists the public names.
func (b *Broker) Names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.byName))
}

// Pending is how many introductions are not taken yet.
func (b *Broker) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// find gives who is meant, or a channel that is closed when somebody registers.
func (b *Broker) find(to string) (*entry, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byDesignator[to]; e != nil {
		return e, nil
	}
	if e := b.byName[to]; e != nil {
		return e, nil
	}
	return nil, b.grown
}
