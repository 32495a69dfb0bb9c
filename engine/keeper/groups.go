package keeper

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// groupLive is one group as it lives.
type groupLive struct {
	cfg        engine.GroupConfig
	sets       []set // by what is remembered
	conflicts  uint32
	problems   uint32
	heldBack   uint32
	lastResult string
	success    time.Time
	slow       string // why the next run compares everything
	failure    engine.Failure
	toldKind   engine.Failure

	due       time.Time // when the schedule wants it
	shownDue  time.Time // the same, as published
	notBefore time.Time // the schedule does not want it sooner
	wantRetry bool      // a run that a change caused could not reach everybody
}

// groupNote is what is remembered of a group over restarts.
type groupNote struct {
	LastResult string
	Success    time.Time
	Slow       string
}

func groupNoteName(id engine.GroupID) string { return "group/" + string(id) + "/" }

// putGroup takes a group in, with what is remembered of it.
func (k *Keeper) putGroup(cfg engine.GroupConfig) error {
	if cfg.Invalid == nil {
		cfg.Invalid = checkGroup("use", cfg)
	}
	var note groupNote
	known, err := k.opt.Ledger.Noted(groupNoteName(cfg.ID), &note)
	if err != nil {
		return err
	}
	if !known {
		note.Slow = "first"
	}
	if k.opt.Opened.SetAside != "" {
		note.Slow = "lost-state"
	}
	g := &groupLive{cfg: cfg, lastResult: note.LastResult, success: note.Success, slow: note.Slow, failure: engine.FailureOf(cfg.Invalid)}
	k.groups[cfg.ID] = g
	k.applyMembers(g)
	if k.begun {
		k.dueSoon(g, afterAdding)
	}
	return k.recount(g)
}

// applyMembers works out what follows from the members of a group.
func (k *Keeper) applyMembers(g *groupLive) {
	k.staleWatches = true
	for _, id := range g.accounts() {
		if a := k.accounts[id]; a != nil {
			k.refilter(a)
		}
	}
	k.regroup(g)
}

func (g *groupLive) uses(id engine.AccountID) bool {
	return slices.ContainsFunc(g.cfg.Members, func(m string) bool { return memberAccount(m) == id })
}

// accounts are those of its members, each once.
func (g *groupLive) accounts() []engine.AccountID {
	var ids []engine.AccountID
	for _, m := range g.cfg.Members {
		if id := memberAccount(m); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (g *groupLive) failing() bool { return g.failure.Set || g.lastResult == engine.Failed }

// runnable reports whether a group may be run by itself.
func (k *Keeper) runnable(g *groupLive) bool {
	return g.cfg.Enabled && g.cfg.Invalid == nil && k.membersLeft(g) >= 2
}

// membersLeft counts the members whose account exists.
func (k *Keeper) membersLeft(g *groupLive) int {
	n := 0
	for _, m := range g.cfg.Members {
		if k.accounts[memberAccount(m)] != nil {
			n++
		}
	}
	return n
}

func (k *Keeper) inEnabledGroup(id engine.AccountID) bool {
	for _, g := range k.groups {
		if g.uses(id) && k.runnable(g) {
			return true
		}
	}
	return false
}

// settleGroup publishes a group if it is not as it was, and asks for the user's
// attention once for each change.
func (k *Keeper) settleGroup(g *groupLive) {
	g.shownDue = k.dueAt(g)
	st := k.groupState(g)
	if !reflect.DeepEqual(st, k.next.Groups[g.cfg.ID]) {
		k.emit(engine.GroupChanged{State: st})
	}
	needs := st.Failure
	if g.heldBack > 0 {
		needs = engine.FailureOf(engine.Fail(engine.NeedsConfirmation, "sync", string(g.cfg.ID), "%d deletions are held; look at them, then confirm or refuse them", g.heldBack))
	}
	if needs.Kind != engine.NeedsConfirmation && (k.accountFails(g) || k.groupBusy(g.cfg.ID)) {
		return // the account asks; or it is about to be seen
	}
	switch {
	case !g.cfg.Enabled || !needsUser(needs):
		if !needs.Set || !g.cfg.Enabled {
			g.toldKind = engine.Failure{}
		}
	case !g.toldKind.Set || g.toldKind.Kind != needs.Kind:
		g.toldKind = needs
		k.emit(engine.Attention{Group: g.cfg.ID, Failure: needs})
	}
}

func (k *Keeper) accountFails(g *groupLive) bool {
	return slices.ContainsFunc(g.accounts(), func(id engine.AccountID) bool {
		return k.accounts[id] != nil && k.accounts[id].failure.Set
	})
}

func (k *Keeper) groupState(g *groupLive) *engine.GroupState {
	st := &engine.GroupState{
		GroupConfig: g.cfg, SlowSyncReason: g.slow, LastResult: g.lastResult, LastSuccess: g.success, NextRun: g.shownDue,
		ConflictCount: g.conflicts, ProblemCount: g.problems, HeldDeletions: g.heldBack, Failure: g.failure,
	}
	if left := k.membersLeft(g); left < 2 && g.cfg.Invalid == nil {
		st.Failure = engine.FailureOf(engine.Fail(engine.NotFound, "sync", string(g.cfg.ID),
			"a group needs two members and it has %d: add one or remove the group", left))
	}
	uses := func(j *job) bool { return slices.Contains(j.groups, g.cfg.ID) }
	word := ""
	if i := slices.IndexFunc(k.queue, uses); i >= 0 {
		st.Job, word = k.queue[i].st.ID, "queued"
	}
	if i := slices.IndexFunc(k.running, uses); i >= 0 {
		st.Job, word = k.running[i].st.ID, "syncing"
		if k.running[i].slow {
			st.SlowSyncReason = "asked"
		}
	}
	switch {
	case !g.cfg.Enabled:
		st.State = "disabled"
	case word != "":
		st.State = word
	case st.Failure.Set:
		st.State = "error"
	case g.heldBack > 0:
		st.State = "confirm-deletions"
	case g.conflicts > 0:
		st.State = "conflicts"
	default:
		st.State = "idle"
	}
	return st
}

// recount reads from the ledger how much is open in a group.
func (k *Keeper) recount(g *groupLive) error {
	conflicts, problems, held, err := k.opt.Ledger.Counts(g.cfg.ID)
	if err != nil {
		return err
	}
	g.conflicts, g.problems, g.heldBack = uint32(conflicts), uint32(problems), uint32(held)
	k.touchGroup(g.cfg.ID)
	return k.showConflicts(g.cfg.ID)
}

// showConflicts brings the objects of open conflicts up to date; the oldest of a
// group come first, and there is a limit over all groups.
func (k *Keeper) showConflicts(id engine.GroupID) error {
	open, err := k.opt.Ledger.Conflicts(func(c engine.ConflictState) bool { return c.Group == id }, 0, maxShown)
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, c := range open {
		now[c.ID] = true
	}
	for cid, c := range k.next.Conflicts {
		if c.Group == id && !now[cid] {
			k.emit(engine.ConflictGone{ID: cid})
		}
	}
	for _, c := range open {
		old := k.next.Conflicts[c.ID]
		if reflect.DeepEqual(old, &c) || old == nil && len(k.next.Conflicts) >= maxShown {
			continue
		}
		k.emit(engine.ConflictChanged{State: &c})
	}
	return nil
}

// checkGroup checks what can be told of a group by itself.
func checkGroup(op string, cfg engine.GroupConfig) error {
	bad := func(format string, args ...any) error {
		return engine.Fail(engine.Invalid, op, string(cfg.ID), format, args...)
	}
	if err := checkID(op, string(cfg.ID)); err != nil {
		return err
	}
	if len(cfg.Members) > 64 {
		return bad("a group has at most 64 members")
	}
	for i, m := range cfg.Members {
		switch {
		case !goodID(string(memberAccount(m))) || m == string(memberAccount(m))+"/":
			return bad("%q is no member; a member is ACCOUNT or ACCOUNT/COLLECTION", m)
		case slices.Contains(cfg.Members[:i], m):
			return bad("the member %q is named twice", m)
		case (memberCollection(m) == "") != (memberCollection(cfg.Members[0]) == ""):
			return bad("members are all accounts or all collections, not both")
		}
	}
	for _, m := range cfg.CreateMissing {
		if !slices.Contains(cfg.Members, m) {
			return bad("create-missing names %q, which is no member", m)
		}
	}
	if err := checkDirection(cfg.Direction, cfg.Members); err != nil {
		return bad("%w", err)
	}
	if err := checkPolicy(cfg); err != nil {
		return bad("%w", err)
	}
	if cfg.ReadOnlyPolicy != "ignore" && cfg.ReadOnlyPolicy != "revert" {
		return bad("read-only-policy is ignore or revert, not %q", cfg.ReadOnlyPolicy)
	}
	if cfg.HoldPercent > 100 {
		return bad("hold-percent is at most 100")
	}
	return nil
}

func checkDirection(direction string, members []string) error {
	if direction == "two-way" {
		return nil
	}
	from, ok := cutPrefix(direction, "from:")
	if !ok || !slices.Contains(members, from) {
		return fmt.Errorf("a direction is two-way or from:MEMBER with a member of the group, not %q", direction)
	}
	return nil
}

func checkPolicy(cfg engine.GroupConfig) error {
	switch cfg.ConflictPolicy {
	case "merge", "ask", "newest", "keep-both":
		return nil
	case "command":
		if len(cfg.ConflictCommand) == 0 || cfg.ConflictCommand[0] == "" {
			return fmt.Errorf("conflict-policy command needs conflict-command")
		}
		return nil
	}
	member, ok := cutPrefix(cfg.ConflictPolicy, "member:")
	whole := string(memberAccount(member))
	if !ok || !slices.Contains(cfg.Members, member) && !slices.Contains(cfg.Members, whole) {
		return fmt.Errorf("a conflict-policy is merge, ask, newest, keep-both, command or member:ID, not %q", cmp.Or(cfg.ConflictPolicy, "nothing"))
	}
	return nil
}
