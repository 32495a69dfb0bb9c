package dbusapi

import (
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

const (
	itemsPace = time.Second // between two ItemsChanged of one collection
	maxNames  = 256         // in one of them
)

// An itemNames gathers the items of one collection that changed since the last
// signal, each under what became of it in the end.
type itemNames struct {
	due       time.Time // zero: nothing is gathered
	last      time.Time // when the last signal left
	fate      map[string]string
	order     []string
	truncated bool
}

func (p *publisher) itemsChanged(e engine.ItemsChanged, now time.Time) {
	if p.objects[collectionPath(e.Collection)] == nil {
		return
	}
	n := p.items[e.Collection]
	if n == nil {
		n = &itemNames{fate: map[string]string{}}
		p.items[e.Collection] = n
	}
	for _, item := range e.Added {
		n.add(item, "added")
	}
	for _, item := range e.Modified {
		n.add(item, "modified")
	}
	for _, item := range e.Removed {
		n.add(item, "removed")
	}
	if n.due.IsZero() && (len(n.order) > 0 || n.truncated) {
		n.due = now
		if soonest := n.last.Add(itemsPace); soonest.After(now) {
			n.due = soonest
		}
	}
}

// add notes the newest fate: what was added and then modified is still new, and
// what was removed and then added has been modified.
func (n *itemNames) add(item, fate string) {
	old, known := n.fate[item]
	switch {
	case !known && len(n.order) >= maxNames:
		n.truncated = true
		return
	case !known:
		n.order = append(n.order, item)
	case old == "added" && fate == "modified":
		fate = "added"
	case old == "removed" && fate == "added":
		fate = "modified"
	}
	n.fate[item] = fate
}

func (p *publisher) flushItems(now time.Time) {
	for id, n := range p.items {
		if n.due.IsZero() || n.due.After(now) {
			continue
		}
		p.emit(collectionPath(id), ifCollection, "ItemsChanged", n.with("added"), n.with("modified"), n.with("removed"), n.truncated)
		p.items[id] = &itemNames{last: now, fate: map[string]string{}}
	}
}

func (n *itemNames) with(fate string) []string {
	return names(slices.DeleteFunc(slices.Clone(n.order), func(item string) bool { return n.fate[item] != fate }))
}
