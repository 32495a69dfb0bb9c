package keeper

import (
	"reflect"
	"slices"

	"davbus.org/davbus/engine"
)

// A Reading is a configuration that was read anew.
type Reading struct {
	Accounts []engine.AccountConfig
	Groups   []engine.GroupConfig
	Accept   func() // called once it is in force; may be nil
}

// Reconfigure puts a configuration into force, and names the accounts and groups
// that it added, changed or removed. All of it is checked before any of it is
// applied; with dryRun nothing is. What it does not name any more is let go, but
// what was in step about it is kept: it may come back. read is called when nobody
// else changes the configuration.
func (k *Keeper) Reconfigure(read func() (Reading, error), dryRun bool) (changed []string, err error) {
	err = k.ask(func() error {
		r, err := read()
		if err != nil {
			return err
		}
		accounts, groups, err := k.checkReading(r)
		if err != nil {
			return err
		}
		changed = k.differences(accounts, groups)
		if dryRun {
			return nil
		}
		if err := k.reconfigure(accounts, groups); err != nil {
			return err
		}
		if r.Accept != nil {
			r.Accept()
		}
		return nil
	})
	return changed, err
}

// checkReading refuses what is wrong, except where it was wrong before in the same
// way: that stays invalid and holds up nobody.
func (k *Keeper) checkReading(r Reading) ([]engine.AccountConfig, []engine.GroupConfig, error) {
	accounts, groups := slices.Clone(r.Accounts), slices.Clone(r.Groups)
	for i, cfg := range accounts {
		cfg.Params = cloneParams(cfg.Params)
		if cfg.Invalid == nil {
			cfg.Invalid = k.checkAccount("use", cfg)
		}
		accounts[i] = cfg
		if a := k.accounts[cfg.ID]; cfg.Invalid != nil && (a == nil || !reflect.DeepEqual(a.cfg, cfg)) {
			return nil, nil, engine.Fail(engine.InvalidConfig, "load the account", string(cfg.ID), "%w", cfg.Invalid)
		}
	}
	for i, cfg := range groups {
		if cfg.Invalid == nil {
			cfg.Invalid = checkGroup("use", cfg)
		}
		if cfg.Invalid == nil && hasAccount(accounts, engine.AccountID(cfg.ID)) {
			cfg.Invalid = engine.Fail(engine.AlreadyExists, "use", string(cfg.ID), "an account has this id; accounts and groups share one name space")
		}
		groups[i] = cfg
		if g := k.groups[cfg.ID]; cfg.Invalid != nil && (g == nil || !reflect.DeepEqual(g.cfg, cfg)) {
			return nil, nil, engine.Fail(engine.InvalidConfig, "load the group", string(cfg.ID), "%w", cfg.Invalid)
		}
	}
	return accounts, groups, nil
}

func (k *Keeper) differences(accounts []engine.AccountConfig, groups []engine.GroupConfig) []string {
	var changed []string
	for _, cfg := range accounts {
		if a := k.accounts[cfg.ID]; a == nil || !reflect.DeepEqual(a.cfg, cfg) {
			changed = append(changed, string(cfg.ID))
		}
	}
	for _, cfg := range groups {
		if g := k.groups[cfg.ID]; g == nil || !reflect.DeepEqual(g.cfg, cfg) {
			changed = append(changed, string(cfg.ID))
		}
	}
	for id := range k.accounts {
		if !hasAccount(accounts, id) {
			changed = append(changed, string(id))
		}
	}
	for id := range k.groups {
		if !hasGroup(groups, id) {
			changed = append(changed, string(id))
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

func (k *Keeper) reconfigure(accounts []engine.AccountConfig, groups []engine.GroupConfig) error {
	for id, g := range k.groups {
		if !hasGroup(groups, id) {
			k.dropGroup(g)
		}
	}
	for id, a := range k.accounts {
		if !hasAccount(accounts, id) {
			k.dropAccount(a)
		}
	}
	for _, cfg := range accounts {
		a := k.accounts[cfg.ID]
		if a != nil && a.cfg.Kind != cfg.Kind { // the object says its kind for life
			k.dropAccount(a)
			a = nil
		}
		if a == nil {
			if err := k.putAccount(cfg); err != nil {
				return err
			}
		} else if !reflect.DeepEqual(a.cfg, cfg) {
			cfg.Params = cloneParams(cfg.Params)
			k.applyAccount(a, cfg)
		}
	}
	for _, cfg := range groups {
		if g := k.groups[cfg.ID]; g == nil {
			if err := k.putGroup(cfg); err != nil {
				return err
			}
		} else if !reflect.DeepEqual(g.cfg, cfg) {
			k.applyGroup(g, cfg)
		}
	}
	for _, g := range k.groups {
		k.applyMembers(g) // an account may have come or gone
	}
	return nil
}

func hasAccount(all []engine.AccountConfig, id engine.AccountID) bool {
	return slices.ContainsFunc(all, func(c engine.AccountConfig) bool { return c.ID == id })
}

func hasGroup(all []engine.GroupConfig, id engine.GroupID) bool {
	return slices.ContainsFunc(all, func(c engine.GroupConfig) bool { return c.ID == id })
}

// SetConfigState tells how the files are: "loaded", "changed-on-disk" or
// "invalid".
func (k *Keeper) SetConfigState(state string) {
	k.post(func() { k.configState = state })
}
