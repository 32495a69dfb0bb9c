package keeper

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// A SyncRequest is one call for a sync.
type SyncRequest struct {
	What      string // "", a group, an account, ACCOUNT/COLLECTION
	Mode      string // "", "two-way", "from:MEMBER"
	Slow      bool
	DryRun    bool
	IfRunning string // "join" or "", "queue", "fail"
	Timeout   time.Duration
	Initiator string
}

// A syncOrder is one sync as the keeper runs it.
type syncOrder struct {
	target    engine.Target
	initiator string
	auto      bool
	mode      string
	slow, dry bool
	ifRunning string
	timeout   time.Duration
	kind      string // of the job; "" is "sync"

	options group.Options                                                                 // what a person decided; such a job is never joined
	before  func(context.Context, *job, map[engine.AccountID]view) (engine.Counts, error) // done between the look and the sets
	onlySet func(set) bool
	after   func(*verdict) // tells what before did
}

// Sync starts, or joins, a sync.
func (k *Keeper) Sync(r SyncRequest) (id engine.JobID, err error) {
	err = k.ask(func() error {
		target, err := k.lookup("sync", r.What)
		if err != nil {
			return err
		}
		if err := k.checkEnabled(target); err != nil {
			return err
		}
		o := syncOrder{
			target: target, initiator: r.Initiator, mode: r.Mode, slow: r.Slow, dry: r.DryRun,
			ifRunning: r.IfRunning, timeout: r.Timeout,
		}
		if err := k.checkMode(o); err != nil {
			return err
		}
		id, err = k.syncNow(o)
		return err
	})
	return id, err
}

// checkEnabled refuses a target that is never synced, not even on request.
func (k *Keeper) checkEnabled(t engine.Target) error {
	account := t.Account
	if t.Collection != "" {
		account = memberAccount(string(t.Collection))
	}
	if a := k.accounts[account]; a != nil && !a.cfg.Enabled {
		return engine.Fail(engine.Disabled, "sync", string(account), "the account is disabled; enable it first")
	}
	if g := k.groups[t.Group]; g != nil && !g.cfg.Enabled {
		return engine.Fail(engine.Disabled, "sync", string(t.Group), "the group is disabled; enable it first")
	}
	return nil
}

func (k *Keeper) checkMode(o syncOrder) error {
	if o.ifRunning != "" && !slices.Contains([]string{"join", "queue", "fail"}, o.ifRunning) {
		return engine.Fail(engine.Invalid, "sync", "", "if-running is join, queue or fail, not %q", o.ifRunning)
	}
	from, one := strings.CutPrefix(o.mode, "from:")
	switch {
	case o.mode == "" || o.mode == "two-way":
		return nil
	case !one:
		return engine.Fail(engine.Invalid, "sync", "", "a mode is two-way or from:MEMBER, not %q", o.mode)
	case o.target.Group == "":
		return engine.Fail(engine.Invalid, "sync", "", "from:MEMBER needs one group as what to sync")
	case !slices.Contains(k.groups[o.target.Group].cfg.Members, from):
		return engine.Fail(engine.Invalid, "sync", string(o.target.Group), "it has no member %q", from)
	}
	return nil
}

// syncNow queues a sync, or joins one that is queued or runs.
func (k *Keeper) syncNow(o syncOrder) (engine.JobID, error) {
	groups := k.groupsOf(o.target)
	o.kind = cmp.Or(o.kind, "sync")
	j := &job{
		groups: groups, accounts: map[engine.AccountID]bool{}, auto: o.auto, mode: o.mode, slow: o.slow, dry: o.dry,
		timeout: o.timeout, joinable: o.kind == "sync" && o.before == nil && o.onlySet == nil && !o.options.Proceed && !o.options.Restore,
		run: func(ctx context.Context, j *job) verdict { return k.runSync(ctx, j, o) },
	}
	j.st.Kind, j.st.Target, j.st.Initiator = o.kind, o.target, o.initiator
	for _, id := range groups {
		j.keys = append(j.keys, "group "+string(id))
		for _, a := range k.groups[id].accounts() {
			j.accounts[a] = true
		}
	}
	if o.initiator == "change" {
		j.watchCause = cmp.Or(o.target.Account, memberAccount(string(o.target.Collection)))
	}
	if m := o.target.Collection; o.before != nil && m != "" { // in a group or not
		j.keys = append(j.keys, "collection "+string(m))
		j.accounts[memberAccount(string(m))] = true
	}
	for _, old := range slices.Concat(k.running, k.queue) {
		overlaps := slices.ContainsFunc(old.groups, func(id engine.GroupID) bool { return slices.Contains(groups, id) })
		switch {
		case o.ifRunning == "fail" && overlaps:
			return 0, engine.Fail(engine.Busy, "sync", "", "%s works on it", jobName(old.st.ID))
		case o.ifRunning != "queue" && o.ifRunning != "fail" && j.joinable && old.joins(j):
			old.again = old.again || old.st.State != "queued"
			old.auto = old.auto && j.auto
			return old.st.ID, nil
		}
	}
	return k.newJob(j)
}

// joins reports whether a job does all that another one wants.
func (j *job) joins(other *job) bool {
	return j.joinable && j.st.Kind == other.st.Kind && j.st.Target == other.st.Target &&
		j.mode == other.mode && j.slow == other.slow && j.dry == other.dry && slices.Equal(j.groups, other.groups)
}

// groupsOf are the groups that a target means: those that are enabled.
func (k *Keeper) groupsOf(t engine.Target) []engine.GroupID {
	var ids []engine.GroupID
	for id, g := range k.groups {
		if !g.cfg.Enabled {
			continue
		}
		switch {
		case t.Group != "" && t.Group != id:
		case t.Account != "" && !g.uses(t.Account):
		case t.Collection != "" && !slices.Contains(k.cols[t.Collection].st.Groups, id):
		default:
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Lookup finds the object of an id as Sync takes it.
func (k *Keeper) Lookup(what string) (t engine.Target, err error) {
	err = k.ask(func() error { t, err = k.lookup("find", what); return err })
	return t, err
}

func (k *Keeper) lookup(op, what string) (engine.Target, error) {
	switch {
	case what == "":
		return engine.Target{}, nil
	case k.groups[engine.GroupID(what)] != nil:
		return engine.Target{Group: engine.GroupID(what)}, nil
	case k.accounts[engine.AccountID(what)] != nil:
		return engine.Target{Account: engine.AccountID(what)}, nil
	case k.cols[engine.MemberID(what)] != nil:
		return engine.Target{Collection: engine.MemberID(what)}, nil
	}
	return engine.Target{}, engine.Fail(engine.NotFound, op, what, "there is no account, group or collection of this id")
}

// inTarget reports whether something of a group and a member belongs to a target.
func inTarget(t engine.Target, g engine.GroupID, members ...engine.MemberID) bool {
	switch {
	case t.Group != "":
		return t.Group == g
	case t.Collection != "":
		return slices.Contains(members, t.Collection)
	case t.Account != "":
		return slices.ContainsFunc(members, func(m engine.MemberID) bool { return memberAccount(string(m)) == t.Account })
	}
	return true
}
