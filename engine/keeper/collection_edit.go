package keeper

import (
	"context"
	"errors"
	"maps"
	"slices"

	"davbus.org/davbus/engine"
)

// CreateCollection makes a new calendar or address book.
func (k *Keeper) CreateCollection(ctx context.Context, id engine.AccountID, c engine.Collection) (engine.MemberID, error) {
	var h *handle
	err := k.ask(func() error {
		a, err := k.account("create a collection in", id)
		switch {
		case err != nil:
			return err
		case !a.cfg.Enabled:
			return engine.Fail(engine.Disabled, "create a collection in", string(id), "the account is disabled; enable it first")
		case c.ID == "":
			return engine.Fail(engine.Invalid, "create a collection in", string(id), "a collection needs an id")
		case c.Kind != engine.Calendar && c.Kind != engine.AddressBook:
			return engine.Fail(engine.Invalid, "create a collection in", string(id), "a kind is calendar or addressbook, not %q", c.Kind)
		case !wanted(a.cfg, c.ID):
			return engine.Fail(engine.Invalid, "create a collection in", string(id), "the parameter \"collections\" leaves %q out", c.ID)
		}
		for _, kc := range a.known {
			if kc.ID == c.ID && !kc.Gone {
				return engine.Fail(engine.AlreadyExists, "create a collection in", string(id), "there is a collection %q", c.ID)
			}
		}
		h = a.handle.use()
		return nil
	})
	if err != nil {
		return "", err
	}
	defer k.post(h.leave)
	c.Name = c.ID
	_, err = k.makeCollection(ctx, h, c)
	return memberID(id, c.ID), err
}

// UpdateCollection changes metadata here and, by the sync that it starts, in the
// other members.
func (k *Keeper) UpdateCollection(id engine.MemberID, set engine.Meta, unset []engine.MetaKey, by string) (number engine.JobID, err error) {
	for _, key := range slices.Concat(slices.Collect(maps.Keys(set)), unset) {
		if !slices.Contains(engine.MetaKeys[:], key) {
			return 0, engine.Fail(engine.Invalid, "update", string(id), "there is no property %q", key)
		}
	}
	err = k.ask(func() error {
		c := k.cols[id]
		if c == nil {
			return engine.Fail(engine.NotFound, "update", string(id), "there is no collection of this id")
		}
		target := engine.Target{Collection: id}
		if err := k.checkEnabled(target); err != nil {
			return err
		}
		if len(c.st.Groups) == 0 {
			number, err = k.newJob(k.jobOf("sync", c.account, by, func(ctx context.Context, _ *job, h *handle) verdict {
				cols, err := k.lookAt(ctx, h, false)
				if err == nil {
					err = k.setMeta(ctx, id, view{cfg: h.cfg, cols: cols, handle: h}, set, unset)
				}
				if err != nil {
					return failedOr("update", ctx, err)
				}
				return verdict{result: engine.Success}
			}))
			return err
		}
		number, err = k.syncNow(syncOrder{target: target, initiator: by, before: func(ctx context.Context, _ *job, views map[engine.AccountID]view) (engine.Counts, error) {
			return engine.Counts{}, k.setMeta(ctx, id, views[c.account], set, unset)
		}})
		return err
	})
	return number, err
}

// setMeta writes metadata of one collection.
func (k *Keeper) setMeta(ctx context.Context, id engine.MemberID, v view, set engine.Meta, unset []engine.MetaKey) error {
	if v.err != nil {
		return v.err
	}
	i := slices.IndexFunc(v.cols, func(c seen) bool { return memberID(v.cfg.ID, c.ID) == id && !c.Gone })
	if i < 0 {
		return goneError(id)
	}
	source, err := v.handle.open(ctx)
	if err != nil {
		return err
	}
	storage, err := source.Open(v.cols[i].Collection)
	if err != nil {
		return err
	}
	meta, ok := storage.(engine.MetaStorage)
	if !ok {
		return engine.Fail(engine.NotSupported, "update", string(id), "this collection keeps no name, colour, description or order")
	}
	var errs []error
	for _, key := range engine.MetaKeys {
		if value, ok := set[key]; ok {
			errs = append(errs, meta.SetMeta(ctx, key, value, true))
		} else if slices.Contains(unset, key) {
			errs = append(errs, meta.SetMeta(ctx, key, "", false))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	now := maps.Clone(v.cols[i].Meta)
	if now == nil {
		now = engine.Meta{}
	}
	maps.Copy(now, set)
	for _, key := range unset {
		delete(now, key)
	}
	v.cols[i].Meta = now // for the sync that follows
	k.post(func() {
		k.editCollection(id, func(st *engine.CollectionState) { st.Meta = now })
	})
	return nil
}

// SetSecret stores a secret of an account, and has what waits for it tried again.
func (k *Keeper) SetSecret(id engine.AccountID, name string, value []byte, store string) error {
	if err := k.checkSecret("set a secret of", id, name); err != nil {
		return err
	}
	if err := k.opt.Secrets.Set(id, name, value, store); err != nil {
		return err
	}
	return k.ask(func() error {
		if a := k.accounts[id]; a != nil {
			k.forgiveAccount(a)
		}
		return nil
	})
}

// ForgetSecret removes a secret from memory and, unless store is "session", from
// the keyring.
func (k *Keeper) ForgetSecret(id engine.AccountID, name, store string) error {
	if err := k.checkSecret("forget a secret of", id, name); err != nil {
		return err
	}
	if err := k.opt.Secrets.Forget(id, name, store); err != nil {
		return err
	}
	return k.ask(func() error {
		if a := k.accounts[id]; a != nil { // an open client knows it still
			a.handle.retire()
			a.handle = k.newHandle(a.cfg, a.turn)
		}
		k.touchAccount(id)
		return nil
	})
}

// SecretsChanged is told that secrets may be there that were not, or may be had
// that were locked: what waits for one is tried again.
func (k *Keeper) SecretsChanged() {
	k.post(func() {
		for _, a := range k.accounts {
			if a.failure.Set && (a.failure.Kind == engine.AuthRequired || a.failure.Kind == engine.SecretLocked) {
				k.forgiveAccount(a)
			}
		}
	})
}

func (k *Keeper) checkSecret(op string, id engine.AccountID, name string) error {
	return k.ask(func() error {
		a, err := k.account(op, id)
		if err != nil {
			return err
		}
		for _, s := range k.kind(a.cfg.Kind).Params {
			if s.Name == name && s.Secret {
				return nil
			}
		}
		return engine.Fail(engine.Invalid, op, string(id), "%q is no secret of this kind of account", name)
	})
}
