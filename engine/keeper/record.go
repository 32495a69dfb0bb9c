package keeper

import (
	"context"
	"slices"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// managerNote is what is remembered of the whole over restarts.
type managerNote struct{ LastSuccess time.Time }

const managerNoteName = "manager"

func (k *Keeper) recallManager() error {
	var note managerNote
	_, err := k.opt.Ledger.Noted(managerNoteName, &note)
	k.lastSuccess = note.LastSuccess
	return err
}

// keepMade remembers a collection that we made. The caller has the account's
// turn.
func (k *Keeper) keepMade(h *handle, made engine.Collection) error {
	id := h.cfg.ID
	known, err := k.opt.Ledger.CollectionIDs(id)
	if err != nil {
		return err
	}
	if known == nil {
		known = map[string]ledger.KnownCollection{}
	}
	if identity, old, taken := holder(known, made.ID); taken && identity != made.Identity {
		if !old.Gone {
			return engine.Fail(engine.AlreadyExists, "make", string(memberID(id, made.ID)), "a collection of this id is there")
		}
		delete(known, identity)
		if err := k.opt.Ledger.ForgetCollection(id, identity); err != nil {
			return err
		}
	}
	known[made.Identity] = ledger.KnownCollection{ID: made.ID, Collection: made}
	if err := k.opt.Ledger.KeepCollection(id, made.Identity, known[made.Identity]); err != nil {
		return err
	}
	k.post(func() { k.replaceKnown(h, known) })
	return nil
}

func (k *Keeper) replaceKnown(h *handle, known map[string]ledger.KnownCollection) {
	if a := k.accounts[h.cfg.ID]; a != nil && a.handle == h {
		a.known = known
		k.refilter(a)
	}
}

// learnKinds remembers the kind of a folder that only its set told.
func (k *Keeper) learnKinds(ctx context.Context, s set, views map[engine.AccountID]view) error {
	for _, p := range s.places {
		v := views[memberAccount(p.member)]
		untold := slices.ContainsFunc(v.cols, func(c seen) bool { return c.Identity == p.col.Identity && c.Kind == "" })
		if !untold || p.col.Kind == "" || p.make || v.handle == nil {
			continue
		}
		if err := v.handle.wait(ctx); err != nil {
			return err
		}
		err := k.learnKind(v.handle, p.col)
		v.handle.done()
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) learnKind(h *handle, c engine.Collection) error {
	known, err := k.opt.Ledger.CollectionIDs(h.cfg.ID)
	if err != nil {
		return err
	}
	kc, ok := known[c.Identity]
	if !ok || kc.Collection.Kind != "" {
		return nil
	}
	kc.Collection.Kind = c.Kind
	known[c.Identity] = kc
	if err := k.opt.Ledger.KeepCollection(h.cfg.ID, c.Identity, kc); err != nil {
		return err
	}
	k.post(func() { k.replaceKnown(h, known) })
	return nil
}

// groupsDone shows what a job did to its groups.
func (k *Keeper) groupsDone(ctx context.Context, j *job, runs []setRun, views map[engine.AccountID]view, configs map[engine.GroupID]engine.GroupConfig) {
	for _, id := range j.groups {
		cfg, ok := configs[id]
		if !ok {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(runs), func(r setRun) bool { return r.key.Group != id })
		v := judge(mine, views, map[engine.GroupID]engine.GroupConfig{id: cfg}, 1)
		k.post(func() {
			g := k.groups[id]
			if g == nil {
				return
			}
			if ctx.Err() != nil {
				g.lastResult = engine.Cancel
			} else {
				k.groupDone(g, v)
			}
			if err := k.recount(g); err != nil {
				g.failure = engine.FailureOf(err)
			}
			k.touchGroup(id)
		})
	}
}

func (k *Keeper) groupDone(g *groupLive, v verdict) {
	g.lastResult, g.failure = v.result, engine.Failure{}
	if !v.itemsOnly {
		g.failure = v.failure
	}
	if v.result == engine.Success || v.itemsOnly {
		g.success = k.now()
	}
	if v.result == engine.Success || v.result == engine.Partial {
		g.slow = ""
	}
}

// afterJob does what follows from the end of a job: when its groups run next.
func (k *Keeper) afterJob(j *job, v verdict) {
	if j.st.Kind == "sync" && v.result == engine.Success && !j.dry {
		k.lastSuccess = v.report.Finished
	}
	if a := k.accounts[j.watchCause]; a != nil {
		a.idleRun++
		if c := v.report.Counts; c.Added+c.Modified+c.Removed+c.Merged > 0 {
			a.idleRun = 0
		}
	}
	if j.dry {
		return
	}
	for _, id := range j.groups {
		g := k.groups[id]
		if g == nil {
			continue
		}
		g.wantRetry = g.wantRetry || j.watchCause != ""
		if !g.failure.Set {
			g.wantRetry = false
		}
		if j.auto {
			g.notBefore = k.now().Add(apart)
		}
		if every := k.interval(g); every > 0 && k.begun {
			g.due = k.now().Add(every + k.jitter(every/20))
		}
	}
}

// rememberAll writes down what must survive a restart, once a job is over.
func (k *Keeper) rememberAll(j *job, v *verdict) {
	notes := map[string]any{}
	k.post(func() {
		for id := range j.accounts {
			if a := k.accounts[id]; a != nil {
				notes[accountNoteName(id)] = k.noteOf(a)
			}
		}
		for _, id := range j.groups {
			if g := k.groups[id]; g != nil {
				notes[groupNoteName(id)] = groupNote{g.lastResult, g.success, g.slow}
			}
		}
		if v.result == engine.Success {
			notes[managerNoteName] = managerNote{time.Now()}
		}
	})
	if j.dry {
		return
	}
	for name, note := range notes {
		if err := k.opt.Ledger.Note(name, note); err != nil && !v.failure.Set {
			v.failure = engine.FailureOf(err)
			if v.result == engine.Success {
				v.result = engine.Partial
			}
		}
	}
}

// whenIdle does something to the ledger as soon as no job can write there about
// what was removed.
func (k *Keeper) whenIdle(id string, do func() error) {
	k.drops = append(k.drops, drop{id, do})
	k.dropIdle()
}

// A drop is ledger state to be forgotten.
type drop struct {
	id string
	do func() error
}

func (k *Keeper) dropIdle() {
	k.drops = slices.DeleteFunc(k.drops, func(d drop) bool {
		if k.jobOn(d.id) {
			return false
		}
		return d.do() == nil // else tried again after the next job
	})
}

func (k *Keeper) heldUp(id string) bool {
	return slices.ContainsFunc(k.drops, func(d drop) bool { return d.id == id })
}

func (k *Keeper) jobOn(id string) bool {
	return slices.ContainsFunc(k.running, func(j *job) bool {
		return j.accounts[engine.AccountID(id)] || slices.Contains(j.groups, engine.GroupID(id))
	})
}

// stop begins the end: nothing new starts, running jobs stop at the next item.
func (k *Keeper) stop() {
	k.stopping = true
	k.breakOff = k.now().Add(drainFor)
	for _, j := range slices.Concat(k.queue, k.running) {
		k.cancelJob(j)
	}
	for _, g := range k.groups {
		k.touchGroup(g.cfg.ID)
	}
}

// Drain starts nothing new and waits until every job has run to its end.
func (k *Keeper) Drain() {
	done := make(chan struct{})
	k.post(func() {
		k.draining = done
		k.begun = false
		for _, g := range k.groups {
			k.touchGroup(g.cfg.ID)
		}
	})
	select {
	case <-done:
	case <-k.ended:
	}
}

// finishDrain tells Drain that nothing runs any more.
func (k *Keeper) finishDrain() {
	if k.draining != nil && len(k.running)+len(k.queue) == 0 {
		close(k.draining)
		k.draining = nil
	}
}

func (k *Keeper) drained() bool { return k.stopping && len(k.running) == 0 }
