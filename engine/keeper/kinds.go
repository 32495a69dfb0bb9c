package keeper

import (
	"context"
	"maps"
	"slices"

	"davbus.org/davbus/engine"
)

// kind is a kind of account; the zero Kind for one that is not known.
func (k *Keeper) kind(name string) Kind { return (*k.kinds.Load())[name] }

func (k *Keeper) kindNames() []string { return slices.Sorted(maps.Keys(*k.kinds.Load())) }

// SetKind adds a kind of account, or replaces one for what is opened from now on.
func (k *Keeper) SetKind(name string, kind Kind) error {
	return k.ask(func() error {
		all := maps.Clone(*k.kinds.Load())
		all[name] = kind
		k.kinds.Store(&all)
		return nil
	})
}

// An OpenedAccount is an account that is used beside the syncs.
type OpenedAccount struct {
	Source engine.Source
	Edited func() // to be called after a write: the others follow
	Close  func() // to be called once
}

// OpenAccount opens an account that is enabled.
func (k *Keeper) OpenAccount(ctx context.Context, id engine.AccountID) (*OpenedAccount, error) {
	var h *handle
	err := k.ask(func() error {
		a := k.accounts[id]
		switch {
		case a == nil:
			return engine.Fail(engine.NotFound, "open", string(id), "there is no account of this id")
		case !a.cfg.Enabled:
			return engine.Fail(engine.Disabled, "open", string(id), "the account is disabled; enable it first")
		}
		h = a.handle.use()
		return nil
	})
	if err != nil {
		return nil, err
	}
	o := &OpenedAccount{Close: func() { k.post(h.leave) }}
	o.Edited = func() {
		k.post(func() {
			if a := k.accounts[id]; a != nil {
				k.touched(a, "")
			}
		})
	}
	if o.Source, err = h.open(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}
