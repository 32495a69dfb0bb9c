package keeper

import (
	"reflect"
	"slices"

	"davbus.org/davbus/engine"
)

// Reconfigure puts a configuration that was read anew into force, and names the
// accounts and groups that it added, changed or removed. All of it is checked
// before any of it is applied; with dryRun nothing is. What a file does not name
// any more is let go, but what was in step about it is kept: it may come back.
func (k *Keeper) Reconfigure(accounts []engine.AccountConfig, groups []engine.GroupConfig, dryRun bool) (changed []string, err error) {
	err = k.ask(func() error {
		for _, cfg := range accounts {
			if err := k.checkAccount("load", cfg); err != nil {
				return engine.Fail(engine.InvalidConfig, "load the account", string(cfg.ID), "%w", err)
			}
			if slices.ContainsFunc(groups, func(g engine.GroupConfig) bool { return string(g.ID) == string(cfg.ID) }) {
				return engine.Fail(engine.InvalidConfig, "load", string(cfg.ID), "an account and a group have this id; they share one name space")
			}
		}
		for _, cfg := range groups {
			if err := checkGroup("load", cfg); err != nil {
				return engine.Fail(engine.InvalidConfig, "load the group", string(cfg.ID), "%w", err)
			}
		}
		changed = k.differences(accounts, groups)
		if dryRun {
			return nil
		}
		return k.reconfigure(accounts, groups)
	})
	return changed, err
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
