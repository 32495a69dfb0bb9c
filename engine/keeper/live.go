package keeper

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// live is the state that the owning goroutine works on.
type live struct {
	next   *engine.Snapshot // being made; the one before it is published
	copied map[string]bool  // which maps of next are its own already
	now    func() time.Time

	accounts map[engine.AccountID]*account
	groups   map[engine.GroupID]*groupLive
	cols     map[engine.MemberID]*collection

	queue    []*job // waiting, in order
	running  []*job
	finished []*job          // lingering, oldest first
	held     map[string]*job // who works on what
	drops    []drop
	counted  counters

	begun   bool // the schedule is on
	tidying bool // the ledger is being tidied
	tidyAt  time.Time

	staleWatches bool // who is to be watched may have changed
	stopping     bool
	draining     chan struct{} // closed once nothing runs; nil if nobody waits for that
	breakOff     time.Time     // when stopping turns to breaking off
	online       bool
	pausedUntil  time.Time
	inhibits     map[int]inhibit
	inhibitNext  int
	lastSuccess  time.Time
	configState  string

	dirtyAccounts map[engine.AccountID]bool
	dirtyGroups   map[engine.GroupID]bool
}

type inhibit struct{ what, reason string }

func (l *live) init() {
	*l = live{
		next: &engine.Snapshot{
			Accounts: map[engine.AccountID]*engine.AccountState{}, Collections: map[engine.MemberID]*engine.CollectionState{},
			Groups: map[engine.GroupID]*engine.GroupState{}, Jobs: map[engine.JobID]*engine.JobState{},
			Conflicts: map[string]*engine.ConflictState{},
		},
		copied: map[string]bool{}, now: time.Now, online: true, configState: "loaded",
		accounts: map[engine.AccountID]*account{}, groups: map[engine.GroupID]*groupLive{},
		cols: map[engine.MemberID]*collection{}, held: map[string]*job{}, inhibits: map[int]inhibit{},
		dirtyAccounts: map[engine.AccountID]bool{}, dirtyGroups: map[engine.GroupID]bool{},
	}
}

// emit publishes an event and brings the snapshot in the making up to it.
func (k *Keeper) emit(e engine.Event) {
	n := k.next
	switch e := e.(type) {
	case engine.ManagerChanged:
		n.Manager = e.State
	case engine.AccountChanged:
		own(k, "a", &n.Accounts)[e.State.ID] = e.State
	case engine.AccountGone:
		delete(own(k, "a", &n.Accounts), e.ID)
	case engine.CollectionChanged:
		own(k, "c", &n.Collections)[e.State.ID] = e.State
	case engine.CollectionDropped:
		delete(own(k, "c", &n.Collections), e.ID)
	case engine.GroupChanged:
		own(k, "g", &n.Groups)[e.State.ID] = e.State
	case engine.GroupGone:
		delete(own(k, "g", &n.Groups), e.ID)
	case engine.ConflictChanged:
		own(k, "x", &n.Conflicts)[e.State.ID] = e.State
	case engine.ConflictGone:
		delete(own(k, "x", &n.Conflicts), e.ID)
	case engine.JobChanged:
		own(k, "j", &n.Jobs)[e.State.ID] = e.State
	case engine.JobGone:
		delete(own(k, "j", &n.Jobs), e.ID)
	case engine.JobProgress:
		if old := n.Jobs[e.Job]; old != nil {
			st := *old
			st.Progress = e.Progress
			own(k, "j", &n.Jobs)[e.Job] = &st
		}
	}
	n.Seq = k.feed.Publish(e)
}

// own gives a map of the snapshot in the making that may be written: each is
// copied once in a step, and only if the step touches it.
func own[K comparable, V any](k *Keeper, name string, m *map[K]V) map[K]V {
	if !k.copied[name] {
		*m = maps.Clone(*m)
		k.copied[name] = true
	}
	return *m
}

// finishStep tells what the step changed and puts the new snapshot in place.
func (k *Keeper) finishStep() {
	k.startJobs()
	k.settle()
	k.reviseWatches()
	k.finishDrain()
	if k.next.Seq == k.snap.Load().Seq {
		return
	}
	k.snap.Store(k.next)
	next := *k.next
	k.next = &next
	clear(k.copied)
}

// settle works out every state that may have changed and publishes those that
// have.
func (k *Keeper) settle() {
	for _, id := range slices.Sorted(maps.Keys(k.dirtyAccounts)) {
		if a := k.accounts[id]; a != nil {
			k.settleAccount(a)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.dirtyGroups)) {
		if g := k.groups[id]; g != nil {
			k.settleGroup(g)
		}
	}
	clear(k.dirtyAccounts)
	clear(k.dirtyGroups)
	if m := k.managerState(); !reflect.DeepEqual(m, k.next.Manager) {
		k.emit(engine.ManagerChanged{State: m})
	}
}

// touchAccount and touchGroup have a state worked out again at the end of the
// step. What an account does shows on its groups too.
func (k *Keeper) touchAccount(id engine.AccountID) {
	k.dirtyAccounts[id] = true
	for _, g := range k.groups {
		if g.uses(id) {
			k.dirtyGroups[g.cfg.ID] = true
		}
	}
}

func (k *Keeper) touchGroup(id engine.GroupID) { k.dirtyGroups[id] = true }

func (k *Keeper) managerState() engine.ManagerState {
	m := engine.ManagerState{
		State: "idle", Online: k.online, PausedUntil: k.pausedUntil, LastSuccess: k.lastSuccess,
		ConfigState: k.configState, AccountKinds: k.kindNames(),
	}
	for _, j := range k.running {
		m.Jobs = append(m.Jobs, j.st.ID)
	}
	for _, j := range k.queue {
		m.Jobs = append(m.Jobs, j.st.ID)
	}
	for _, g := range k.groups {
		m.ConflictCount += g.conflicts
		if g.toldKind.Set {
			m.AttentionNeeded = true
		}
		if due := g.shownDue; !due.IsZero() && (m.NextRun.IsZero() || due.Before(m.NextRun)) {
			m.NextRun = due
		}
	}
	for _, a := range k.accounts {
		if a.told.Set {
			m.AttentionNeeded = true
		}
	}
	if k.pausedUntil.Equal(forever()) {
		m.PausedUntil = time.Time{}
	}
	switch {
	case !k.pausedUntil.IsZero(): // "paused" with no end is how a pause without end is told
		m.State = "paused"
	case len(k.running) > 0:
		m.State = "syncing"
	case !k.online:
		m.State = "offline"
	}
	return m
}
