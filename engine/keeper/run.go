package keeper

import (
	"context"
	"slices"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// A setRun is what one set came to in one job.
type setRun struct {
	set
	ran    bool
	result group.Result
	err    error // of the whole job: the ledger, or a cancelled context

	problem engine.Problem // one of those that are open; zero if none is
}

// runSync does a sync job: it looks at all accounts at once, matches the sets of
// each group, makes what is missing, and runs the sets.
func (k *Keeper) runSync(ctx context.Context, j *job, o syncOrder) verdict {
	var all verdict
	for round := 0; ; round++ {
		start := k.now()
		v := k.syncOnce(ctx, j, o)
		if round > 0 {
			v.report.Counts = later(all.report.Counts, v.report.Counts)
			v.report.Sets = addReports(all.report.Sets, v.report.Sets, later)
			v.report.Members = addReports(all.report.Members, v.report.Members, later)
		}
		all = v
		k.mend(ctx, j, start, &all)
		if !k.oneMore(ctx, j) {
			break
		}
	}
	k.rememberAll(j, &all)
	return all
}

func (k *Keeper) syncOnce(ctx context.Context, j *job, o syncOrder) verdict {
	j.progress.setPhase("connect")
	views := k.lookAll(ctx, j, false)
	defer k.leaveAll(views)
	if ctx.Err() != nil {
		return stopped("sync", ctx)
	}
	var before engine.Counts
	if o.before != nil {
		var err error
		if before, err = o.before(ctx, j, views); err != nil {
			return failedOr(o.kind, ctx, err)
		}
		if o.dry || len(j.groups) == 0 {
			v := verdict{result: engine.Success, report: engine.Report{Counts: before}}
			if o.after != nil {
				o.after(&v)
			}
			return v
		}
	}
	configs := map[engine.GroupID]engine.GroupConfig{}
	k.post(func() {
		for _, id := range j.groups {
			if g := k.groups[id]; g != nil && g.cfg.Invalid == nil {
				configs[id] = g.cfg
			}
		}
	})
	var sets []set
	for _, id := range j.groups {
		if cfg, ok := configs[id]; ok {
			sets = append(sets, k.setsOf(ctx, cfg, views, o)...)
		}
	}
	runs := k.runSets(ctx, j, o, configs, sets, views)
	k.retryMoved(ctx, j, o, configs, runs, views)
	v := judge(runs, views, configs, len(j.groups))
	v.add(before)
	if o.after != nil {
		o.after(&v)
	}
	v.stop("sync", ctx)
	if !o.dry {
		k.groupsDone(ctx, j, runs, views, configs)
	}
	return v
}

// setsOf are the sets of a group that the job is about, with what was missing
// made.
func (k *Keeper) setsOf(ctx context.Context, cfg engine.GroupConfig, views map[engine.AccountID]view, o syncOrder) []set {
	var sets []set
	for _, s := range matchSets(cfg, views) {
		var ids []engine.MemberID
		for _, p := range s.places {
			ids = append(ids, p.id)
		}
		if o.target.Collection != "" && !slices.Contains(ids, o.target.Collection) || o.onlySet != nil && !o.onlySet(s) {
			continue
		}
		for i := range s.places {
			if s.places[i].make && s.err == nil && !o.dry {
				k.fillPlace(ctx, &s, i, views)
			}
		}
		if err := k.learnKinds(ctx, s, views); err != nil && s.err == nil {
			s.err = err
		}
		sets = append(sets, s)
	}
	return sets
}

// fillPlace makes the collection that a member lacks.
func (k *Keeper) fillPlace(ctx context.Context, s *set, i int, views map[engine.AccountID]view) {
	p := &s.places[i]
	want := p.col
	for _, other := range s.places {
		if !other.make && other.err == nil {
			want.Kind, want.Components, want.Meta = s.key.Kind, other.col.Components, other.col.Meta
			break
		}
	}
	v := views[memberAccount(p.member)]
	made, err := k.makeCollection(ctx, v.handle, want)
	if err != nil {
		p.err = err
		return
	}
	p.col, p.make = made, false
}

// makeCollection makes a collection, keeps its id and shows it.
func (k *Keeper) makeCollection(ctx context.Context, h *handle, want engine.Collection) (engine.Collection, error) {
	if err := h.wait(ctx); err != nil {
		return want, err
	}
	defer h.done()
	source, err := h.opened(ctx)
	if err != nil {
		return want, err
	}
	made, err := source.Make(ctx, want)
	if err != nil {
		return want, err
	}
	made.ID = want.ID
	if made.Kind == "" {
		made.Kind = want.Kind
	}
	return made, k.keepMade(h, made)
}

// runSets runs the sets side by side, a few at a time, and lets go of each group
// as soon as its last set is done.
func (k *Keeper) runSets(ctx context.Context, j *job, o syncOrder, configs map[engine.GroupID]engine.GroupConfig, sets []set, views map[engine.AccountID]view) []setRun {
	runs := make([]setRun, len(sets))
	left := map[engine.GroupID]int{}
	for _, s := range sets {
		left[s.key.Group]++
	}
	for _, id := range j.groups {
		if left[id] == 0 {
			k.letGo(j, "group "+string(id))
		}
	}
	j.progress.expect(len(sets))
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, s := range sets {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			runs[i] = k.runSet(ctx, j, o, configs[s.key.Group], s, views)
			mu.Lock()
			left[s.key.Group]--
			last := left[s.key.Group] == 0
			mu.Unlock()
			if last && len(j.groups) > 1 {
				k.letGo(j, "group "+string(s.key.Group))
			}
		})
	}
	wg.Wait()
	return runs
}

// runSet runs one set with the members that answered, if two or more did.
func (k *Keeper) runSet(ctx context.Context, j *job, o syncOrder, cfg engine.GroupConfig, s set, views map[engine.AccountID]view) setRun {
	run := setRun{set: s}
	told := &sink{progress: j.progress}
	defer told.end()
	members := s.members(views, func(p place) (engine.Storage, error) {
		source, err := views[memberAccount(p.member)].handle.open(ctx)
		if err != nil {
			return nil, err
		}
		return source.Open(p.col)
	})
	answered := 0
	var failed error
	for _, m := range members {
		if m.Err == nil {
			answered++
		} else if failed == nil {
			failed = m.Err
		}
	}
	switch {
	case s.err != nil:
		run.result.Set.Failure = engine.FailureOf(s.err)
	case answered < 2:
		run.result.Set.Failure = engine.FailureOf(failed)
	case ctx.Err() != nil:
		run.err = cancelled("sync", string(cfg.ID), ctx)
	default:
		opt := o.options
		opt.Job, opt.DryRun, opt.Slow, opt.Force = j.st.ID, o.dry, o.slow, j.force
		if opt.Only != "" {
			opt.Only = s.memberNamed(string(opt.Only))
		}
		run.ran = true
		run.result, run.err = group.Sync(ctx, k.opt.Ledger.Set(s.key), members, rulesFor(cfg, s, o.mode, views), opt, told)
	}
	run.finish(members)
	if run.ran && run.err == nil && !o.dry {
		run.problem = k.oneProblem(run.set)
		k.setDone(j, &run, views)
	}
	return run
}

// finish completes the report of a set: its id, and every member.
func (r *setRun) finish(members []group.Member) {
	r.result.Set.ID = setName(r.set)
	for _, m := range members {
		i := slices.IndexFunc(r.result.Members, func(p engine.PartReport) bool { return p.ID == string(m.ID) })
		if i < 0 {
			r.result.Members = append(r.result.Members, engine.PartReport{ID: string(m.ID)})
			i = len(r.result.Members) - 1
		}
		if m.Err != nil && !r.result.Members[i].Failure.Set {
			r.result.Members[i].Failure = engine.FailureOf(m.Err)
		}
	}
	if r.err != nil && !r.result.Set.Failure.Set {
		r.result.Set.Failure = engine.FailureOf(r.err)
	}
}

func setName(s set) string {
	if s.key.ID == "" {
		return string(s.key.Group)
	}
	return string(s.key.Group) + "/" + s.key.ID
}

// retryMoved runs those sets once more that refused an item because its UID was
// somewhere else, once the deletions of all sets are done: so an item that moved
// from one calendar to another arrives.
func (k *Keeper) retryMoved(ctx context.Context, j *job, o syncOrder, configs map[engine.GroupID]engine.GroupConfig, runs []setRun, views map[engine.AccountID]view) {
	removed := slices.ContainsFunc(runs, func(r setRun) bool { return r.result.Set.Removed > 0 })
	if !removed || o.dry || ctx.Err() != nil || len(runs) < 2 {
		return
	}
	for i := range runs {
		if !runs[i].ran || runs[i].err != nil || !runs[i].result.Again {
			continue
		}
		j.progress.expect(1)
		again := k.runSet(ctx, j, o, configs[runs[i].key.Group], runs[i].set, views)
		again.result.Set.Counts = later(runs[i].result.Set.Counts, again.result.Set.Counts)
		again.result.Members = addReports(runs[i].result.Members, again.result.Members, later)
		runs[i] = again
	}
}

// oneProblem is an open problem of a set, so that a report can name one.
func (k *Keeper) oneProblem(s set) engine.Problem {
	open, err := k.opt.Ledger.Problems(func(p engine.Problem) bool {
		return p.Group == s.key.Group && !p.Held && s.has(p.Member)
	}, 0, 1)
	if err != nil || len(open) == 0 {
		return engine.Problem{}
	}
	return open[0]
}

func (s set) has(m engine.MemberID) bool {
	return slices.ContainsFunc(s.places, func(p place) bool { return p.id == m })
}
