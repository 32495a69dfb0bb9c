package keeper

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

func cutPrefix(s, prefix string) (string, bool) { return strings.CutPrefix(s, prefix) }

// AddGroup takes in a new group; with ensure, a group of this id is brought to
// this configuration instead.
func (k *Keeper) AddGroup(cfg engine.GroupConfig, ensure bool) (id engine.GroupID, err error) {
	err = k.ask(func() error {
		if cfg.ID == "" {
			cfg.ID = engine.GroupID(k.freeID("group"))
		}
		cfg.Managed, cfg.Invalid = false, nil
		id = cfg.ID
		if len(cfg.Members) < 2 {
			return engine.Fail(engine.Invalid, "add", string(id), "a group has two members or more")
		}
		if err := k.checkNewGroup("add", cfg); err != nil {
			return err
		}
		if old := k.groups[id]; old != nil && ensure {
			return k.changeGroup("add", old, cfg)
		}
		if err := k.checkFree("add", string(id)); err != nil {
			return err
		}
		if err := k.opt.Store.SaveGroup(cfg); err != nil {
			return err
		}
		return k.putGroup(cfg)
	})
	return id, err
}

// checkNewGroup checks a group as a caller wants it: its accounts must exist.
func (k *Keeper) checkNewGroup(op string, cfg engine.GroupConfig) error {
	if err := checkGroup(op, cfg); err != nil {
		return err
	}
	for _, m := range cfg.Members {
		if k.accounts[memberAccount(m)] == nil {
			return engine.Fail(engine.NotFound, op, string(cfg.ID), "there is no account %q", memberAccount(m))
		}
	}
	return nil
}

// changeGroup checks, writes and applies a changed configuration.
func (k *Keeper) changeGroup(op string, g *groupLive, cfg engine.GroupConfig) error {
	if reflect.DeepEqual(g.cfg, cfg) {
		return nil
	}
	if g.cfg.Managed {
		return engine.Fail(engine.Managed, op, string(cfg.ID), "its file is a link or cannot be written; edit it there and reload")
	}
	cfg.Invalid = nil
	if err := checkGroup(op, cfg); err != nil {
		return err
	}
	if err := k.opt.Store.SaveGroup(cfg); err != nil {
		return err
	}
	k.applyGroup(g, cfg)
	return nil
}

// applyGroup puts a changed configuration into force; a running job goes on with
// the one that it began with.
func (k *Keeper) applyGroup(g *groupLive, cfg engine.GroupConfig) {
	members := !slices.Equal(g.cfg.Members, cfg.Members) || !slices.Equal(g.cfg.CreateMissing, cfg.CreateMissing)
	sooner := k.begun && (g.cfg.Enabled != cfg.Enabled || g.cfg.IntervalSec != cfg.IntervalSec || members)
	left := slices.DeleteFunc(g.accounts(), func(id engine.AccountID) bool {
		return slices.ContainsFunc(cfg.Members, func(m string) bool { return memberAccount(m) == id })
	})
	if g.cfg.Invalid != nil || cfg.Invalid != nil {
		g.failure = engine.FailureOf(cfg.Invalid)
	}
	g.cfg = cfg
	if members {
		k.applyMembers(g)
		for _, id := range left {
			if a := k.accounts[id]; a != nil {
				k.refilter(a)
			}
		}
	}
	k.staleWatches = true
	if sooner {
		k.dueSoon(g, afterAdding)
	}
	k.touchGroup(cfg.ID)
}

// groupKeys are the names that UpdateGroup takes; groupField is where each lies.
func groupKeys() []string {
	return []string{"direction", "conflict-policy", "conflict-command", "interval-sec", "create-missing",
		"read-only-policy", "hold-items", "hold-percent", "enabled"}
}

func groupField(c *engine.GroupConfig, name string) any {
	fields := []any{&c.Direction, &c.ConflictPolicy, &c.ConflictCommand, &c.IntervalSec, &c.CreateMissing,
		&c.ReadOnlyPolicy, &c.HoldItems, &c.HoldPercent, &c.Enabled}
	if i := slices.Index(groupKeys(), name); i >= 0 {
		return fields[i]
	}
	return nil
}

// UpdateGroup changes a group in one step. It names what waits for a running job.
func (k *Keeper) UpdateGroup(id engine.GroupID, set map[string]any, unset []string) (waits []string, err error) {
	err = k.ask(func() error {
		g, err := k.group("update", id)
		if err != nil {
			return err
		}
		cfg, err := editGroup(g.cfg, set, unset)
		if err != nil {
			return engine.Fail(engine.Invalid, "update", string(id), "%w", err)
		}
		if k.groupBusy(id) {
			waits = append(slices.Sorted(maps.Keys(set)), unset...)
		}
		return k.changeGroup("update", g, cfg)
	})
	return waits, err
}

func editGroup(cfg engine.GroupConfig, set map[string]any, unset []string) (engine.GroupConfig, error) {
	defaults := engine.DefaultGroup()
	for i, name := range slices.Concat(unset, slices.Sorted(maps.Keys(set))) {
		field := groupField(&cfg, name)
		if field == nil {
			return cfg, fmt.Errorf("there is no key %q; there are: %s", name, strings.Join(groupKeys(), ", "))
		}
		value := reflect.ValueOf(groupField(&defaults, name)).Elem().Interface()
		want := engine.Signature(value)
		if i >= len(unset) {
			value = set[name]
		}
		if got := engine.Signature(value); got != want {
			return cfg, fmt.Errorf("%q has the type %q, not %q", name, want, got)
		}
		reflect.ValueOf(field).Elem().Set(reflect.ValueOf(value))
	}
	return cfg, nil
}

// RemoveGroup lets a group go, with its marks and no items.
func (k *Keeper) RemoveGroup(id engine.GroupID) error {
	return k.ask(func() error {
		g, err := k.group("remove", id)
		if err != nil {
			return err
		}
		if g.cfg.Managed {
			return engine.Fail(engine.Managed, "remove", string(id), "its file is a link or cannot be written; remove it there and reload")
		}
		if err := k.opt.Store.RemoveGroup(id); err != nil {
			return err
		}
		k.dropGroup(g)
		k.whenIdle(string(id), func() error {
			return errors.Join(k.opt.Ledger.DropGroup(id), k.opt.Ledger.ForgetNotes(groupNoteName(id)))
		})
		return nil
	})
}

// dropGroup takes a group out of the live state and stops what uses it alone.
func (k *Keeper) dropGroup(g *groupLive) {
	id := g.cfg.ID
	for _, j := range slices.Concat(k.running, k.queue) {
		if slices.Contains(j.groups, id) {
			k.cancelJob(j)
		}
	}
	for cid, c := range k.next.Conflicts {
		if c.Group == id {
			k.emit(engine.ConflictGone{ID: cid})
		}
	}
	accounts := g.accounts()
	g.cfg.Members = nil
	k.regroup(g)
	delete(k.groups, id)
	for _, aid := range accounts {
		if a := k.accounts[aid]; a != nil {
			k.refilter(a)
		}
	}
	k.staleWatches = true
	k.emit(engine.GroupGone{ID: id})
}

// AddMember takes one more account or collection into a group.
func (k *Keeper) AddMember(id engine.GroupID, member string) error {
	return k.ask(func() error {
		g, err := k.group("add a member to", id)
		if err != nil {
			return err
		}
		cfg := g.cfg
		cfg.Members = append(slices.Clone(cfg.Members), member)
		if err := k.checkNewGroup("add a member to", cfg); err != nil {
			return err
		}
		return k.changeGroup("add a member to", g, cfg)
	})
}

// RemoveMember lets one member go; at least two must remain.
func (k *Keeper) RemoveMember(id engine.GroupID, member string) error {
	return k.ask(func() error {
		g, err := k.group("remove a member from", id)
		if err != nil {
			return err
		}
		cfg := g.cfg
		i := slices.Index(cfg.Members, member)
		switch {
		case i < 0:
			return engine.Fail(engine.NotFound, "remove a member from", string(id), "it has no member %q", member)
		case len(cfg.Members) < 3:
			return engine.Fail(engine.Invalid, "remove a member from", string(id), "at least two members must remain; remove the group instead")
		}
		cfg.Members = slices.Delete(slices.Clone(cfg.Members), i, i+1)
		cfg.CreateMissing = slices.DeleteFunc(slices.Clone(cfg.CreateMissing), func(m string) bool { return m == member })
		if cfg.Direction == "from:"+member || cfg.ConflictPolicy == "member:"+member {
			return engine.Fail(engine.Invalid, "remove a member from", string(id), "direction or conflict-policy names %q; change them first", member)
		}
		return k.changeGroup("remove a member from", g, cfg)
	})
}

// ResetState forgets what was in step: the next sync compares everything.
func (k *Keeper) ResetState(id engine.GroupID) error {
	return k.ask(func() error {
		g, err := k.group("reset", id)
		if err != nil {
			return err
		}
		if k.groupBusy(id) {
			return engine.Fail(engine.Busy, "reset", string(id), "a job runs; wait for it or cancel it")
		}
		if err := k.opt.Ledger.ResetGroup(id); err != nil {
			return err
		}
		g.slow = "asked"
		if err := k.rememberGroup(g); err != nil {
			return err
		}
		return k.recount(g)
	})
}

func (k *Keeper) rememberGroup(g *groupLive) error {
	return k.opt.Ledger.Note(groupNoteName(g.cfg.ID), groupNote{g.lastResult, g.success, g.slow})
}

func (k *Keeper) group(op string, id engine.GroupID) (*groupLive, error) {
	if g := k.groups[id]; g != nil {
		return g, nil
	}
	return nil, engine.Fail(engine.NotFound, op, string(id), "there is no group of this id")
}

func (k *Keeper) groupBusy(id engine.GroupID) bool {
	return slices.ContainsFunc(k.running, func(j *job) bool { return slices.Contains(j.groups, id) })
}
