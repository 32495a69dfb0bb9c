package keeper

import (
	"context"
	"slices"

	"davbus.org/davbus/engine"
)

// An Opened is a local collection that is used beside the syncs.
type Opened struct {
	ID         engine.MemberID
	Collection engine.Collection
	Source     engine.Source
	Edited     func() // to be called after a write: the others follow
	Close      func() // to be called once
}

// OpenLocal opens a collection that can be read and written without a server: the
// one of this id, or else a member that is kept in step with it.
func (k *Keeper) OpenLocal(ctx context.Context, id engine.MemberID) (*Opened, error) {
	o := &Opened{}
	var h *handle
	err := k.ask(func() error {
		if k.cols[id] == nil {
			return engine.Fail(engine.NotFound, "open", string(id), "there is no collection of this id")
		}
		ids := []engine.MemberID{id}
		for _, g := range k.groups {
			for _, s := range g.sets {
				if slices.ContainsFunc(s.places, func(p place) bool { return p.id == id }) {
					for _, p := range s.places {
						ids = append(ids, p.id)
					}
				}
			}
		}
		for _, m := range ids {
			a := k.accounts[memberAccount(string(m))]
			if a != nil && k.cols[m] != nil && a.cfg.Enabled && a.cfg.Invalid == nil && (a.cfg.Kind == "vdir" || a.cfg.Kind == "store") {
				o.ID, h = m, a.handle.use()
				return nil
			}
		}
		return engine.Fail(engine.NotSupported, "open", string(id), "it is on a server, and no local collection is kept in step with it; add an account of kind vdir or store, and a group of both")
	})
	if err != nil {
		return nil, err
	}
	o.Close = func() { k.post(h.leave) }
	cols, err := k.lookAt(ctx, h, false)
	if err == nil {
		o.Source, err = h.open(ctx)
	}
	i := slices.IndexFunc(cols, func(c seen) bool { return memberID(h.cfg.ID, c.ID) == o.ID && !c.Gone })
	if err == nil && i < 0 {
		err = goneError(o.ID)
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	o.Collection = cols[i].Collection
	k.post(func() {
		if c := k.cols[o.ID]; c != nil {
			o.Collection.Kind = c.st.Kind
		}
	})
	o.Edited = func() {
		k.post(func() {
			if a := k.accounts[h.cfg.ID]; a != nil {
				k.touched(a, o.Collection.Folder)
			}
		})
	}
	return o, nil
}
