package keeper

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// collection is one collection as it lives, found or not.
type collection struct {
	account engine.AccountID
	st      *engine.CollectionState
	told    time.Time            // when ItemsChanged was last sent
	pending *engine.ItemsChanged // what is yet to be told
}

// putCollection takes in a collection that is known, or brings it up to date.
func (k *Keeper) putCollection(a *account, kc ledger.KnownCollection, note collectionNote) {
	id := memberID(a.cfg.ID, kc.ID)
	if k.cols[id] == nil {
		k.cols[id] = &collection{account: a.cfg.ID, st: &engine.CollectionState{
			ID: id, Account: a.cfg.ID, Revision: note.Revision, ItemCount: note.Count, LastSuccess: note.Success,
		}}
		k.touchAccount(a.cfg.ID)
	}
	k.editCollection(id, func(st *engine.CollectionState) {
		st.Collection = kc.Collection
		st.Collection.ID = kc.ID
		st.Kind = cmp.Or(st.Kind, stringParam(a.cfg.Params, "kind"))
		if boolParam(a.cfg.Params, "read-only") {
			st.Writable = false
		}
		switch {
		case kc.Gone:
			st.Failure = engine.FailureOf(goneError(id))
		case st.Failure.Set && (st.Failure.Kind == engine.CollectionGone || st.Failure.Kind == engine.NotFound):
			st.Failure = engine.Failure{}
		}
	})
}

func goneError(id engine.MemberID) error {
	return engine.Fail(engine.CollectionGone, "find", string(id),
		"it was there before and is not any more; its marks are kept. Discover with forget-gone lets it go")
}

// editCollection changes what is shown of a collection.
func (k *Keeper) editCollection(id engine.MemberID, edit func(*engine.CollectionState)) {
	c := k.cols[id]
	if c == nil {
		return
	}
	st := *c.st
	edit(&st)
	if k.next.Collections[id] == nil || !reflect.DeepEqual(&st, c.st) {
		c.st = &st
		k.emit(engine.CollectionChanged{State: &st})
	}
}

func (k *Keeper) dropCollection(id engine.MemberID) {
	if c := k.cols[id]; c != nil {
		delete(k.cols, id)
		k.emit(engine.CollectionDropped{ID: id})
		k.touchAccount(c.account)
	}
}

// refilter shows exactly those collections that are known and wanted, or named
// by a group.
func (k *Keeper) refilter(a *account) {
	show := map[engine.MemberID]bool{}
	for _, kc := range a.known {
		if wanted(a.cfg, kc.ID) {
			show[memberID(a.cfg.ID, kc.ID)] = true
			k.putCollection(a, kc, collectionNote{})
		}
	}
	for _, g := range k.groups {
		for _, m := range g.cfg.Members {
			id := engine.MemberID(m)
			if memberCollection(m) == "" || memberAccount(m) != a.cfg.ID || show[id] {
				continue
			}
			show[id] = true
			if k.cols[id] == nil {
				name := memberCollection(m)
				k.putCollection(a, ledger.KnownCollection{ID: name, Collection: engine.Collection{Name: name}}, collectionNote{})
			}
		}
	}
	for id, c := range k.cols {
		if c.account == a.cfg.ID && !show[id] {
			k.dropCollection(id)
		}
	}
	for _, g := range k.groups {
		if g.uses(a.cfg.ID) {
			k.regroup(g)
		}
	}
}

// regroup works out which collections a group uses.
func (k *Keeper) regroup(g *groupLive) {
	views := map[engine.AccountID]view{}
	for _, id := range g.accounts() {
		if a := k.accounts[id]; a != nil {
			views[id] = a.view()
		} else {
			views[id] = view{err: engine.Fail(engine.NotFound, "sync", string(id), "there is no account of this id")}
		}
	}
	g.sets = matchSets(g.cfg, views)
	used := map[engine.MemberID]bool{}
	for _, s := range g.sets {
		for _, p := range s.places {
			used[p.id] = true
		}
	}
	for id, c := range k.cols {
		if has := slices.Contains(c.st.Groups, g.cfg.ID); has != used[id] {
			k.editCollection(id, func(st *engine.CollectionState) {
				st.Groups = slices.DeleteFunc(slices.Clone(st.Groups), func(x engine.GroupID) bool { return x == g.cfg.ID })
				if used[id] {
					st.Groups = append(st.Groups, g.cfg.ID)
					slices.Sort(st.Groups)
				}
			})
		}
	}
	k.touchGroup(g.cfg.ID)
}

// view is what is remembered of an account's collections.
func (a *account) view() view {
	v := view{cfg: a.cfg, handle: a.handle}
	for _, id := range slices.Sorted(maps.Keys(a.known)) {
		if kc := a.known[id]; wanted(a.cfg, kc.ID) {
			c := kc.Collection
			c.ID = kc.ID
			v.cols = append(v.cols, seen{c, kc.Gone})
		}
	}
	return v
}

// itemsChanged tells which items of a collection changed, once a second at most.
func (k *Keeper) itemsChanged(e engine.ItemsChanged, now time.Time) {
	c := k.cols[e.Collection]
	if c == nil || len(e.Added)+len(e.Modified)+len(e.Removed) == 0 {
		return
	}
	if c.pending == nil {
		c.pending = &engine.ItemsChanged{Collection: e.Collection}
	}
	// One name more than is ever told says that names were left out.
	add := func(to *[]string, names []string) {
		*to = append(*to, names[:min(len(names), max(0, maxShown+1-len(*to)))]...)
	}
	add(&c.pending.Added, e.Added)
	add(&c.pending.Modified, e.Modified)
	add(&c.pending.Removed, e.Removed)
	k.tellItems(c, now)
}

func (k *Keeper) tellItems(c *collection, now time.Time) {
	if c.pending != nil && now.Sub(c.told) >= time.Second {
		k.emit(*c.pending)
		c.pending, c.told = nil, now
	}
}

// noteOf is what must survive a restart.
func (k *Keeper) noteOf(a *account) accountNote {
	note := accountNote{Attempt: a.attempt, Success: a.success, Capabilities: a.caps, Collections: map[string]collectionNote{}}
	for _, c := range k.cols {
		if c.account == a.cfg.ID {
			note.Collections[c.st.Collection.ID] = collectionNote{c.st.LastSuccess, c.st.ItemCount, c.st.Revision}
		}
	}
	return note
}
