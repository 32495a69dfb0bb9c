package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"davbus.org/davbus/engine"
)

// Discover looks for collections again; with forgetGone, those that vanished are
// let go. Their items stay in the other members.
func (k *Keeper) Discover(id engine.AccountID, forgetGone bool, by string) (engine.JobID, error) {
	return k.accountJob("discover", id, by, func(ctx context.Context, j *job, h *handle) verdict {
		j.progress.setPhase("list")
		cols, err := k.lookAt(ctx, h, true)
		if err != nil {
			return failedOr("discover", ctx, err)
		}
		if forgetGone {
			if err := k.forgetGone(ctx, h); err != nil {
				return failed(err)
			}
		}
		found := slices.DeleteFunc(cols, func(c seen) bool { return c.Gone })
		return verdict{result: engine.Success, report: engine.Report{Extra: map[string]any{"collections": uint32(len(found))}}}
	})
}

// forgetGone lets go what vanished.
func (k *Keeper) forgetGone(ctx context.Context, h *handle) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	defer h.done()
	known, err := k.opt.Ledger.CollectionIDs(h.cfg.ID)
	if err != nil {
		return err
	}
	for _, identity := range slices.Sorted(maps.Keys(known)) {
		if !known[identity].Gone {
			continue
		}
		if err := k.opt.Ledger.ForgetCollection(h.cfg.ID, identity); err != nil {
			return err
		}
		delete(known, identity)
	}
	k.post(func() { k.replaceKnown(h, known) })
	return nil
}

// Check connects, logs in and reads the root, and changes nothing. try are
// parameters instead of the stored ones; nil keeps those.
func (k *Keeper) Check(id engine.AccountID, try engine.Params, by string) (engine.JobID, error) {
	if try != nil {
		err := k.ask(func() error {
			a, err := k.account("check", id)
			if err != nil {
				return err
			}
			cfg := a.cfg
			cfg.Params = try
			return k.checkAccount("check", cfg)
		})
		if err != nil {
			return 0, err
		}
	}
	return k.accountJob("check", id, by, func(ctx context.Context, j *job, h *handle) verdict {
		j.progress.setPhase("connect")
		if try != nil {
			cfg := h.cfg
			cfg.Params = cloneParams(try)
			return k.checkWith(ctx, cfg)
		}
		v := k.checkWith(ctx, h.cfg)
		k.post(func() {
			if v.failure.Set {
				k.failAccount(h, v.failure, 0, 0)
			} else if a := k.accounts[id]; a != nil && a.handle == h {
				k.accountAnswered(h, a.known, v.report.Extra["capabilities"].([]string), false)
			}
		})
		return v
	})
}

// checkWith opens a source of its own, so that nothing that runs is disturbed.
func (k *Keeper) checkWith(ctx context.Context, cfg engine.AccountConfig) verdict {
	if cfg.Invalid != nil {
		return failed(cfg.Invalid)
	}
	source, err := k.kind(cfg.Kind).Open(ctx, cfg, k.opt.Secrets.Of(cfg))
	if err != nil {
		return failedOr("check", ctx, err)
	}
	defer source.Close()
	var r engine.Report
	if c, ok := source.(engine.Checker); ok {
		err = c.Check(ctx, func(s engine.Step) {
			line := s.Name + ": ok"
			if s.Err != nil {
				line = s.Name + ": " + s.Err.Error()
			}
			if s.Detail != "" {
				line += " (" + s.Detail + ")"
			}
			r.Lines = append(r.Lines, line)
		})
	}
	var found []engine.Collection
	if err == nil {
		found, err = source.Look(ctx, true)
	}
	if err != nil {
		v := failedOr("check", ctx, err)
		v.report = r
		return v
	}
	caps := source.Capabilities()
	r.Lines = append(r.Lines, fmt.Sprintf("collections: %d found", len(found)))
	r.Extra = map[string]any{"capabilities": append([]string{}, caps...), "collections": uint32(len(found))}
	return verdict{result: engine.Success, report: r}
}

// accountJob queues a job about one account. One of a kind runs at a time.
func (k *Keeper) accountJob(kind string, id engine.AccountID, by string, run func(context.Context, *job, *handle) verdict) (job engine.JobID, err error) {
	err = k.ask(func() error {
		a, err := k.account(kind, id)
		if err != nil {
			return err
		}
		if !a.cfg.Enabled && kind != "check" {
			return engine.Fail(engine.Disabled, kind, string(id), "the account is disabled; enable it first")
		}
		job, err = k.newJob(k.jobOf(kind, id, by, run))
		return err
	})
	return job, err
}

func (k *Keeper) jobOf(kind string, id engine.AccountID, by string, run func(context.Context, *job, *handle) verdict) *job {
	j := &job{keys: []string{"account " + string(id)}, accounts: map[engine.AccountID]bool{id: true}}
	j.st.Kind, j.st.Target, j.st.Initiator = kind, engine.Target{Account: id}, by
	j.run = func(ctx context.Context, j *job) (v verdict) {
		for {
			start := k.now()
			v = k.runOn(ctx, j, id, run)
			if !k.mend(ctx, j, start, &v) || !k.oneMore(ctx, j) {
				k.rememberAll(j, &v)
				return v
			}
		}
	}
	return j
}

// runOn runs a job on an account as it is configured now.
func (k *Keeper) runOn(ctx context.Context, j *job, id engine.AccountID, run func(context.Context, *job, *handle) verdict) verdict {
	var h *handle
	k.post(func() {
		if a := k.accounts[id]; a != nil {
			h = a.handle.use()
		}
	})
	if h == nil {
		return failed(engine.Fail(engine.NotFound, j.st.Kind, string(id), "the account was removed"))
	}
	defer k.post(h.leave)
	return run(ctx, j, h)
}

// failedOr is the verdict of an error, or of the context that caused it.
func failedOr(op string, ctx context.Context, err error) verdict {
	if ctx.Err() != nil {
		return stopped(op, ctx)
	}
	return failed(err)
}
