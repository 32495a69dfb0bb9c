package keeper

import (
	"cmp"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// When the schedule first wants a group, and how long a touch waits for the next
// one, so that many edits make one run.
const (
	afterStart  = 5 * time.Second
	afterAdding = time.Minute
	afterChange = 2 * time.Second
	debounce    = 2 * time.Second
	apart       = 10 * time.Second // at least, from the end of one scheduled run to the next
)

// Begin turns the schedule and the watches on; before it, nothing runs by itself.
func (k *Keeper) Begin() {
	k.post(func() {
		k.begun, k.staleWatches = true, true
		k.tidyAt = k.now().Add(tidySoon)
		for _, g := range k.groups {
			k.dueSoon(g, afterStart)
		}
	})
}

// dueSoon has the schedule want a group, unless it wants it sooner already.
func (k *Keeper) dueSoon(g *groupLive, in time.Duration) {
	at := k.now().Add(in + k.jitter(in))
	if k.begun && k.interval(g) > 0 && (g.due.IsZero() || at.Before(g.due)) {
		g.due = at
	}
	k.touchGroup(g.cfg.ID)
}

func (k *Keeper) jitter(of time.Duration) time.Duration {
	return time.Duration(k.opt.Jitter() * float64(of))
}

// interval is how often a group runs: its own interval, or sooner where one of
// its accounts asks for that; 0 where the group or an account asks for no
// schedule.
func (k *Keeper) interval(g *groupLive) time.Duration {
	least := g.cfg.IntervalSec
	for _, id := range g.accounts() {
		a := k.accounts[id]
		if a == nil {
			continue
		}
		if sec, ok := a.cfg.Params["interval-sec"].(uint32); ok {
			least = min(least, sec)
		}
	}
	return time.Duration(least) * time.Second
}

// dueAt is when a group will next run by itself; zero for never. A failing
// account is a reason to run sooner; too many of them a reason to wait.
func (k *Keeper) dueAt(g *groupLive) time.Time {
	every := k.interval(g)
	if !k.begun || k.stopping || !k.runnable(g) || every == 0 && !g.wantRetry {
		return time.Time{}
	}
	due := g.due
	if every == 0 {
		due = time.Time{}
	}
	var ready []time.Time // when each member's account may be asked again
	for _, m := range g.cfg.Members {
		a := k.accounts[memberAccount(m)]
		if a == nil || !a.cfg.Enabled || a.cfg.Invalid != nil || !k.online && k.overNetwork(a) {
			continue
		}
		ready = append(ready, a.retry)
		if !a.retry.IsZero() && (due.IsZero() || a.retry.Before(due)) {
			due = a.retry
		}
	}
	if len(ready) < 2 || due.IsZero() {
		return time.Time{}
	}
	slices.SortFunc(ready, time.Time.Compare)
	for _, wait := range []time.Time{ready[1], g.notBefore} {
		if wait.After(due) {
			due = wait
		}
	}
	return due
}

// tick does what is due.
func (k *Keeper) tick(now time.Time) {
	if !k.pausedUntil.IsZero() && !now.Before(k.pausedUntil) {
		k.resume()
	}
	if k.stopping && !now.Before(k.breakOff) {
		for _, j := range k.running {
			j.cancel(errBrokenOff)
		}
	}
	for len(k.finished) > 0 && (len(k.finished) > lingerMost || !now.Before(k.finished[0].st.Finished.Add(lingerFor))) {
		k.forgetJob()
	}
	for _, c := range k.cols {
		k.tellItems(c, now)
	}
	k.tidy(now)
	if k.resting() {
		return
	}
	for _, a := range k.accounts {
		if !a.touched.IsZero() && !now.Before(a.touched) {
			k.runTouched(a)
		}
	}
	for _, g := range k.groups {
		if !g.shownDue.IsZero() && !now.Before(g.shownDue) {
			k.touchGroup(g.cfg.ID) // what is shown is worked out anew, whatever comes of it
		}
		if due := k.dueAt(g); !due.IsZero() && !now.Before(due) && !k.groupQueued(g) {
			k.runDue(g, now)
		}
	}
}

// groupQueued reports whether a group is about to be run. A job that waits for a
// person holds nothing up.
func (k *Keeper) groupQueued(g *groupLive) bool {
	uses := func(j *job) bool { return slices.Contains(j.groups, g.cfg.ID) && j.st.State != waiting }
	return slices.ContainsFunc(k.queue, uses) || slices.ContainsFunc(k.running, uses)
}

// runDue starts what the schedule wants of a group.
func (k *Keeper) runDue(g *groupLive, now time.Time) {
	_, err := k.syncNow(syncOrder{target: engine.Target{Group: g.cfg.ID}, initiator: "schedule", auto: true})
	if err != nil { // the queue is full, or the ledger gives no number
		g.due = now.Add(debounce * 15)
		k.touchGroup(g.cfg.ID)
	}
}

// untilNext is how long the owning goroutine may sleep.
func (k *Keeper) untilNext(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	at := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	at(k.pausedUntil)
	at(k.tidyDue())
	if k.stopping {
		at(k.breakOff)
	}
	if len(k.finished) > 0 {
		at(k.finished[0].st.Finished.Add(lingerFor))
	}
	for _, c := range k.cols {
		if c.pending != nil {
			at(c.told.Add(time.Second))
		}
	}
	if !k.resting() {
		for _, a := range k.accounts {
			at(a.touched)
		}
		for _, g := range k.groups {
			if !g.shownDue.IsZero() && !k.groupQueued(g) {
				at(g.shownDue)
			}
		}
	}
	return max(next.Sub(now), 0)
}

// touched is told that something moved in an account. The run waits until it is
// quiet for a moment, longer where earlier runs found nothing.
func (k *Keeper) touched(a *account, where string) {
	wait := debounce << min(max(a.idleRun-1, 0), 5)
	a.touched = k.now().Add(wait)
	if len(a.where) < 2 {
		a.where[where] = true
	}
}

// runTouched starts the run that a touch asked for: of the one collection that
// moved if it can be told, else of the whole account.
func (k *Keeper) runTouched(a *account) {
	target := engine.Target{Account: a.cfg.ID}
	if len(a.where) == 1 {
		for where := range a.where {
			for id, c := range k.cols {
				if c.account == a.cfg.ID && where != "" && cmp.Or(c.st.Folder, c.st.URL) == where && len(c.st.Groups) > 0 {
					target = engine.Target{Collection: id}
				}
			}
		}
	}
	a.touched, a.where = time.Time{}, map[string]bool{}
	if !k.inEnabledGroup(a.cfg.ID) || !a.cfg.Enabled {
		return
	}
	if _, err := k.syncNow(syncOrder{target: target, initiator: "change", auto: true}); err != nil {
		a.touched = k.now().Add(debounce * 15)
	}
}

// retryIn is how long to wait after so many failures in a row. What only a
// person can mend is tried rarely: a server may lock an account out.
func (k *Keeper) retryIn(f engine.Failure, streak int, asked time.Duration) time.Duration {
	first, most := 30*time.Second, time.Hour
	if f.Kind == engine.AuthFailed || f.Kind == engine.Forbidden {
		first, most = 15*time.Minute, 6*time.Hour
	}
	wait := min(first<<min(streak-1, 12), most)
	wait += time.Duration((k.opt.Jitter() - 0.5) * 0.4 * float64(wait))
	return max(wait, min(asked, 24*time.Hour))
}

// needsUser reports whether only a person can mend a failure.
func needsUser(f engine.Failure) bool {
	if !f.Set {
		return false
	}
	switch f.Kind {
	case engine.Invalid, engine.InvalidConfig, engine.NotSupported, engine.NotFound, engine.AuthRequired, engine.AuthFailed,
		engine.SecretLocked, engine.Forbidden, engine.CertUntrusted, engine.CertExpired, engine.CertHostMismatch,
		engine.CertRevoked, engine.CertInvalid, engine.CollectionGone, engine.QuotaExceeded, engine.NeedsConfirmation,
		engine.PluginMissing:
		return true
	}
	return false
}
