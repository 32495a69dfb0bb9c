package davserver

import (
	"context"
	"net/http"
	"strconv"

	"davbus.org/davbus/engine"
)

// A catalog knows which collections there are and keeps those that were opened.
type catalog struct {
	backend Backend
	lock    lock // guards the backend and opened
	opened  map[shelf]*collection
}

// A shelf is where a collection stands: its kind and the name it has in URLs.
type shelf struct{ kind, name string }

// An entry is a collection as the backend shows it at this moment, with where it
// stands.
type entry struct {
	shelf
	engine.Collection
	*collection
}

func newCatalog(b Backend) catalog {
	return catalog{backend: b, lock: newLock(), opened: map[shelf]*collection{}}
}

// list gives all collections, in the backend's order.
func (c *catalog) list(ctx context.Context) ([]entry, error) {
	if err := c.lock.take(ctx); err != nil {
		return nil, err
	}
	defer c.lock.give()
	found, err := c.backend.Look(ctx, false)
	if err != nil {
		return nil, err
	}
	opened := make(map[shelf]*collection, len(found))
	var list []entry
	for _, col := range found {
		if col.Kind != engine.Calendar && col.Kind != engine.AddressBook {
			continue
		}
		at := freeShelf(opened, col)
		kept := c.opened[at]
		if kept == nil || kept.identity != col.Identity {
			kept = newCollection(col.Identity)
		}
		opened[at] = kept
		list = append(list, entry{at, col, kept})
	}
	c.opened = opened
	return list, nil
}

// freeShelf names a collection by its id; by its name where the backend gives no
// ids; and where two have one name, the later one with its parent's before it.
func freeShelf(taken map[shelf]*collection, c engine.Collection) shelf {
	name := c.ID
	if name == "" {
		name = c.Name
	}
	if name == "" {
		name = "collection"
	}
	at := shelf{c.Kind, name}
	if taken[at] != nil && c.Parent != "" {
		at.name = c.Parent + "." + name
	}
	for n := 2; taken[at] != nil; n++ {
		at.name = name + "-" + strconv.Itoa(n)
	}
	return at
}

// find gives one collection with its storage open.
func (c *catalog) find(ctx context.Context, at place) (entry, error) {
	list, err := c.list(ctx)
	if err != nil {
		return entry{}, err
	}
	for _, e := range list {
		if e.shelf == (shelf{at.of, at.name}) {
			return e, e.open(ctx, c.backend, e.Collection)
		}
	}
	return entry{}, refuse(http.StatusNotFound, "there is no collection of this name")
}

// create makes a collection and tells where it stands.
func (c *catalog) create(ctx context.Context, want engine.Collection) (shelf, error) {
	if err := c.lock.take(ctx); err != nil {
		return shelf{}, err
	}
	made, err := c.backend.Make(ctx, want)
	c.lock.give()
	if err != nil {
		return shelf{}, err
	}
	list, err := c.list(ctx)
	if err != nil {
		return shelf{}, err
	}
	for _, e := range list {
		if e.Kind == want.Kind && e.Identity == made.Identity {
			return e.shelf, nil
		}
	}
	return shelf{want.Kind, want.Name}, nil
}

// A lock is a mutex that gives up when a request has ended.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return engine.Fail(engine.Cancelled, "wait for the collection", "", "%w", ctx.Err())
	}
}

func (l lock) give() { <-l }
