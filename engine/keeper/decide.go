package keeper

import (
	"context"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// ConfirmDeletions lets the deletions happen that are held now, or puts the items
// back where they are gone. expect refuses if another number is held.
func (k *Keeper) ConfirmDeletions(id engine.GroupID, proceed bool, member engine.MemberID, expect *uint32, by string) (number engine.JobID, err error) {
	err = k.ask(func() error {
		g, err := k.group("confirm deletions in", id)
		if err != nil {
			return err
		}
		if !g.cfg.Enabled {
			return engine.Fail(engine.Disabled, "confirm deletions in", string(id), "the group is disabled; enable it first")
		}
		held, err := k.heldOf(id, member)
		if err != nil {
			return err
		}
		if expect != nil && int(*expect) != len(held) {
			return engine.Fail(engine.Changed, "confirm deletions in", string(id), "%d deletions are held and %d were expected; look at them again", len(held), *expect)
		}
		number, err = k.syncNow(syncOrder{
			target: engine.Target{Group: id}, initiator: by, ifRunning: "queue",
			options: group.Options{Proceed: proceed, Restore: !proceed, Only: member},
			onlySet: func(s set) bool { return member == "" || s.has(s.memberNamed(string(member))) },
			before: func(context.Context, *job, map[engine.AccountID]view) (none engine.Counts, err error) {
				now, err := k.heldOf(id, member)
				if err != nil {
					return none, err
				}
				for key := range now {
					if !held[key] {
						return none, engine.Fail(engine.Changed, "confirm deletions in", string(id), "more deletions are held than when it was asked; look at them again")
					}
				}
				return none, nil
			},
		})
		return err
	})
	return number, err
}

type heldKey struct {
	member engine.MemberID
	uid    engine.UID
	item   string
}

// heldOf are the deletions that are held in a group, or at one member of it.
func (k *Keeper) heldOf(id engine.GroupID, member engine.MemberID) (map[heldKey]bool, error) {
	open, err := k.opt.Ledger.Problems(func(p engine.Problem) bool {
		return p.Held && p.Group == id && (member == "" || p.Member == member || string(memberAccount(string(p.Member))) == string(member))
	}, 0, 1<<30)
	held := map[heldKey]bool{}
	for _, p := range open {
		held[heldKey{p.Member, p.UID, p.Item}] = true
	}
	return held, err
}

// Resolve settles a conflict.
func (k *Keeper) Resolve(id string, r engine.Resolution, by string) (number engine.JobID, err error) {
	c, err := k.conflict(id)
	if err != nil {
		return 0, err
	}
	d, err := decisionOf(c, r)
	if err != nil {
		return 0, err
	}
	unmoved := func() error {
		texts, err := k.opt.Ledger.ConflictTexts(id)
		if err == nil && r.Revision != "" && texts.Revision != r.Revision {
			err = engine.Fail(engine.Changed, "resolve", id, "a member has moved since; look at it again")
		}
		return err
	}
	if err := unmoved(); err != nil {
		return 0, err
	}
	err = k.ask(func() error {
		g, err := k.group("resolve", c.Group)
		if err != nil {
			return err
		}
		if !g.cfg.Enabled {
			return engine.Fail(engine.Disabled, "resolve", id, "the group %q is disabled; enable it first", c.Group)
		}
		number, err = k.syncNow(syncOrder{
			kind: "resolve", target: engine.Target{Group: c.Group}, initiator: by, ifRunning: "queue",
			options: group.Options{Decide: d},
			onlySet: func(s set) bool { return slices.ContainsFunc(c.Members, s.has) },
			before: func(context.Context, *job, map[engine.AccountID]view) (engine.Counts, error) {
				return engine.Counts{}, unmoved()
			},
		})
		if shown := k.next.Conflicts[id]; err == nil && shown != nil {
			st := *shown
			st.State = "resolving"
			k.emit(engine.ConflictChanged{State: &st})
		}
		return err
	})
	return number, err
}

func (k *Keeper) conflict(id string) (engine.ConflictState, error) {
	open, err := k.opt.Ledger.Conflicts(func(c engine.ConflictState) bool { return c.ID == id }, 0, 1)
	if err == nil && len(open) == 0 {
		err = engine.Fail(engine.NotFound, "find conflict", id, "it is not open (any more)")
	}
	if err != nil {
		return engine.ConflictState{}, err
	}
	return open[0], nil
}

// decisionOf understands a choice: "member:ID", "newest", "both", "merged" or
// "skip".
func decisionOf(c engine.ConflictState, r engine.Resolution) (*group.Decision, error) {
	d := &group.Decision{Conflict: c.ID, Choice: r.Choice, Text: r.Data}
	if name, ok := strings.CutPrefix(r.Choice, "member:"); ok {
		i := slices.IndexFunc(c.Members, func(m engine.MemberID) bool {
			return string(m) == name || string(memberAccount(string(m))) == name
		})
		if i < 0 {
			return nil, engine.Fail(engine.Invalid, "resolve", c.ID, "%q is no member of it", name)
		}
		d.Choice, d.Member = "member", c.Members[i]
		return d, nil
	}
	if !slices.Contains([]string{"newest", "both", "merged", "skip"}, r.Choice) {
		return nil, engine.Fail(engine.Invalid, "resolve", c.ID, "a choice is member:ID, newest, both, merged or skip, not %q", r.Choice)
	}
	return d, nil
}

// Conflicts, Problems and History page through what belongs to an id as Sync
// takes it.
func (k *Keeper) Conflicts(what string, offset, limit int) ([]engine.ConflictState, error) {
	t, err := k.Lookup(what)
	if err != nil {
		return nil, err
	}
	return k.opt.Ledger.Conflicts(func(c engine.ConflictState) bool { return inTarget(t, c.Group, c.Members...) }, offset, limit)
}

func (k *Keeper) Problems(what string, heldOnly bool, offset, limit int) ([]engine.Problem, error) {
	t, err := k.Lookup(what)
	if err != nil {
		return nil, err
	}
	return k.opt.Ledger.Problems(func(p engine.Problem) bool { return (p.Held || !heldOnly) && inTarget(t, p.Group, p.Member) }, offset, limit)
}

func (k *Keeper) History(what string, offset, limit int) ([]engine.Report, error) {
	t, err := k.Lookup(what)
	if err != nil {
		return nil, err
	}
	return k.opt.Ledger.History(func(r engine.Report) bool { return t == (engine.Target{}) || reportAbout(t, r) }, offset, limit)
}

// reportAbout reports whether a job was about a target, or touched it.
func reportAbout(t engine.Target, r engine.Report) bool {
	if r.Target == t {
		return true
	}
	for _, s := range r.Sets {
		if name, _, _ := strings.Cut(s.ID, "/"); t.Group != "" && name == string(t.Group) {
			return true
		}
	}
	return slices.ContainsFunc(r.Members, func(m engine.PartReport) bool {
		return t.Collection != "" && m.ID == string(t.Collection) || t.Account != "" && memberAccount(m.ID) == t.Account
	})
}

// ConflictTexts gives the texts of an open conflict.
func (k *Keeper) ConflictTexts(id string) (engine.ConflictTexts, error) {
	return k.opt.Ledger.ConflictTexts(id)
}

// Versions lists what an item was before, newest first.
func (k *Keeper) Versions(m engine.MemberID, item string, offset, limit int) ([]engine.Version, error) {
	if err := k.checkCollection("list versions of", m); err != nil {
		return nil, err
	}
	return k.opt.Ledger.Versions(m, item, offset, limit)
}

func (k *Keeper) checkCollection(op string, m engine.MemberID) error {
	return k.ask(func() error {
		if k.cols[m] == nil {
			return engine.Fail(engine.NotFound, op, string(m), "there is no collection of this id; if its account was removed, add an account of this id again: its history is kept")
		}
		return nil
	})
}

// Explain tells why an item is as it is, for people.
func (k *Keeper) Explain(m engine.MemberID, name string) ([]string, error) {
	if err := k.checkCollection("explain", m); err != nil {
		return nil, err
	}
	return k.opt.Ledger.Explain(m, name)
}
