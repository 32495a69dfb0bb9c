package keeper

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// AddAccount takes in a new account; with ensure, an account of this id and kind
// is brought to these parameters instead.
func (k *Keeper) AddAccount(cfg engine.AccountConfig, ensure bool) (id engine.AccountID, err error) {
	err = k.ask(func() error {
		if cfg.ID == "" {
			cfg.ID = engine.AccountID(k.freeID(cfg.Kind))
		}
		cfg.Managed, cfg.Invalid, cfg.Params = false, nil, cloneParams(cfg.Params)
		id = cfg.ID
		if err := k.checkAccount("add", cfg); err != nil {
			return err
		}
		if old := k.accounts[id]; old != nil && ensure {
			return k.ensureAccount(old, cfg)
		}
		if err := k.checkFree("add", string(id)); err != nil {
			return err
		}
		if err := k.opt.Store.SaveAccount(cfg); err != nil {
			return err
		}
		return k.putAccount(cfg)
	})
	return id, err
}

func (k *Keeper) ensureAccount(old *account, cfg engine.AccountConfig) error {
	if old.cfg.Kind != cfg.Kind {
		return engine.Fail(engine.AlreadyExists, "add", string(cfg.ID), "this account is of kind %s", old.cfg.Kind)
	}
	if cfg.DisplayName == "" {
		cfg.DisplayName = old.cfg.DisplayName
	}
	return k.changeAccount(old, cfg)
}

// checkFree refuses an id that an account or a group has.
func (k *Keeper) checkFree(op, id string) error {
	switch {
	case k.accounts[engine.AccountID(id)] != nil:
		return engine.Fail(engine.AlreadyExists, op, id, "an account has this id")
	case k.groups[engine.GroupID(id)] != nil:
		return engine.Fail(engine.AlreadyExists, op, id, "a group has this id; accounts and groups share one name space")
	case k.heldUp(id):
		return engine.Fail(engine.Busy, op, id, "what had this id was removed and a job still ends; try again soon")
	}
	return nil
}

// freeID makes an id from a word.
func (k *Keeper) freeID(word string) string {
	word = strings.Map(func(r rune) rune {
		if goodID("a" + string(r)) {
			return r
		}
		return '-'
	}, word)
	if !goodID(word) || len(word) > 56 {
		word = "account"
	}
	for n, id := 2, word; ; n++ {
		if k.checkFree("add", id) == nil {
			return id
		}
		id = fmt.Sprintf("%s-%d", word, n)
	}
}

// UpdateAccount changes parameters in one step. It names those whose change
// waits until a running job ends.
func (k *Keeper) UpdateAccount(id engine.AccountID, set engine.Params, unset []string) (waits []string, err error) {
	err = k.ask(func() error {
		a, err := k.account("update", id)
		if err != nil {
			return err
		}
		cfg := a.cfg
		cfg.Params = cloneParams(cfg.Params)
		for _, name := range unset {
			if !slices.ContainsFunc(k.kind(cfg.Kind).Params, func(s engine.ParamSpec) bool { return s.Name == name }) {
				return engine.Fail(engine.Invalid, "update", string(id), "there is no parameter %q; there are: %s",
					name, specNames(k.kind(cfg.Kind).Params))
			}
			delete(cfg.Params, name)
		}
		maps.Copy(cfg.Params, cloneParams(set))
		if k.accountBusy(id) {
			waits = append(slices.Sorted(maps.Keys(set)), unset...)
		}
		return k.changeAccount(a, cfg)
	})
	return waits, err
}

// SetAccountName and EnableAccount change what is not a parameter.
func (k *Keeper) SetAccountName(id engine.AccountID, name string) error {
	return k.editAccount(id, func(cfg *engine.AccountConfig) { cfg.DisplayName = name })
}

func (k *Keeper) EnableAccount(id engine.AccountID, on bool) error {
	return k.editAccount(id, func(cfg *engine.AccountConfig) { cfg.Enabled = on })
}

func (k *Keeper) editAccount(id engine.AccountID, edit func(*engine.AccountConfig)) error {
	return k.ask(func() error {
		a, err := k.account("update", id)
		if err != nil {
			return err
		}
		cfg := a.cfg
		edit(&cfg)
		return k.changeAccount(a, cfg)
	})
}

// changeAccount checks, writes and applies a changed configuration.
func (k *Keeper) changeAccount(a *account, cfg engine.AccountConfig) error {
	if reflect.DeepEqual(a.cfg, cfg) {
		return nil
	}
	if a.cfg.Managed {
		return engine.Fail(engine.Managed, "update", string(cfg.ID), "its file is a link or cannot be written; edit it there and reload")
	}
	cfg.Invalid = nil
	if err := k.checkAccount("update", cfg); err != nil {
		return err
	}
	if err := k.opt.Store.SaveAccount(cfg); err != nil {
		return err
	}
	k.applyAccount(a, cfg)
	return nil
}

// applyAccount puts a changed configuration into force. Running jobs keep the
// source that they have.
func (k *Keeper) applyAccount(a *account, cfg engine.AccountConfig) {
	same := a.cfg.Enabled == cfg.Enabled && a.cfg.Kind == cfg.Kind && reflect.DeepEqual(a.cfg.Params, cfg.Params)
	a.cfg = cfg
	k.touchAccount(cfg.ID)
	if same && cfg.Invalid == nil && !engineInvalid(a.failure) {
		return
	}
	a.handle.retire()
	a.handle = k.newHandle(cfg, a.turn)
	a.failure, a.status = engine.FailureOf(cfg.Invalid), 0
	k.forgiveAccount(a)
	k.refilter(a)
}

func engineInvalid(f engine.Failure) bool {
	return f.Set && (f.Kind == engine.Invalid || f.Kind == engine.InvalidConfig || f.Kind == engine.NotSupported)
}

// forgiveAccount forgets failures, so that the schedule tries again soon.
func (k *Keeper) forgiveAccount(a *account) {
	a.streak, a.retry = 0, time.Time{}
	k.touchAccount(a.cfg.ID)
	for _, g := range k.groups {
		if g.uses(a.cfg.ID) && g.failing() {
			g.notBefore = time.Time{}
			k.dueSoon(g, afterChange)
		}
	}
}

// RemoveAccount lets an account go, with its marks and no items.
func (k *Keeper) RemoveAccount(id engine.AccountID, forgetSecrets bool) error {
	err := k.ask(func() error {
		a, err := k.account("remove", id)
		if err != nil {
			return err
		}
		if a.cfg.Managed {
			return engine.Fail(engine.Managed, "remove", string(id), "its file is a link or cannot be written; remove it there and reload")
		}
		if err := k.leaveGroups(id); err != nil {
			return err
		}
		if err := k.opt.Store.RemoveAccount(id); err != nil {
			return err
		}
		k.dropAccount(a)
		k.whenIdle(string(id), func() error {
			return errors.Join(k.opt.Ledger.DropAccount(id), k.opt.Ledger.ForgetNotes(accountNoteName(id)), k.opt.Ledger.ForgetNotes(changeLogName(memberID(id, ""))))
		})
		return nil
	})
	if err == nil && forgetSecrets {
		err = k.opt.Secrets.Forget(id, "", "")
	}
	return err
}

// leaveGroups takes a removed account out of the groups that we may write; in
// the others it stays as a member that does not exist.
func (k *Keeper) leaveGroups(id engine.AccountID) error {
	for _, g := range k.groups {
		if !g.uses(id) || g.cfg.Managed {
			continue
		}
		cfg := g.cfg
		cfg.Members = slices.DeleteFunc(slices.Clone(cfg.Members), func(m string) bool { return memberAccount(m) == id })
		cfg.CreateMissing = slices.DeleteFunc(slices.Clone(cfg.CreateMissing), func(m string) bool { return memberAccount(m) == id })
		cfg.Invalid = checkGroup("use", cfg)
		if err := k.opt.Store.SaveGroup(cfg); err != nil {
			return err
		}
		k.applyGroup(g, cfg)
	}
	return nil
}

// dropAccount takes an account out of the live state and stops what uses it.
func (k *Keeper) dropAccount(a *account) {
	id := a.cfg.ID
	for _, j := range slices.Concat(k.running, k.queue) {
		if j.accounts[id] {
			k.cancelJob(j)
		}
	}
	a.watch.stop()
	a.handle.retire()
	for mid, c := range k.cols {
		if c.account == id {
			k.dropCollection(mid)
		}
	}
	delete(k.accounts, id)
	for _, g := range k.groups {
		if g.uses(id) {
			k.touchGroup(g.cfg.ID)
		}
	}
	k.emit(engine.AccountGone{ID: id})
}
