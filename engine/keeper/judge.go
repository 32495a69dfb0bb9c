package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// judge tells what the sets of a job, or of one group of it, came to.
//
// It is success if every set was compared and every permitted step done; partial
// for a problem, a held deletion, an unread member or a failed set beside
// others; failed if no set finished; skipped if there was nothing to run.
func judge(runs []setRun, views map[engine.AccountID]view, configs map[engine.GroupID]engine.GroupConfig, groups int) verdict {
	var v verdict
	var whole, part, items engine.Failure // a set failed, a member did, or only items
	finished := 0
	for _, r := range runs {
		v.report.Counts.Add(r.result.Set.Counts)
		v.report.Sets = append(v.report.Sets, r.result.Set)
		v.report.Members = addReports(v.report.Members, r.result.Members, sum)
		if f := r.result.Set.Failure; f.Set {
			whole = firstOf(whole, f)
			continue
		}
		finished++
		for _, m := range r.result.Members {
			part = firstOf(part, m.Failure)
		}
		items = firstOf(items, itemFailure(r))
	}
	part = firstOf(part, unread(views, configs, groups))
	switch any := firstOf(whole, part); {
	case finished == 0 && any.Set:
		v.result, v.failure = engine.Failed, any
	case finished == 0:
		v.result = engine.Skipped
	case any.Set:
		v.result, v.failure = engine.Partial, any
	case items.Set:
		v.result, v.failure, v.itemsOnly = engine.Partial, items, true
	default:
		v.result = engine.Success
	}
	return v
}

// add adds what a job did before its sets ran.
func (v *verdict) add(c engine.Counts) {
	v.report.Counts.Add(c)
	if v.result == engine.Success && c.Failed > 0 {
		v.result, v.itemsOnly = engine.Partial, true
		v.failure = engine.FailureOf(engine.Fail(engine.Changed, "put back", "", "%d items were changed since and stay as they are", c.Failed))
	}
}

// itemFailure is what single items leave undone in a set that finished.
func itemFailure(r setRun) engine.Failure {
	switch c := r.result.Set.Counts; {
	case c.Held > 0:
		return engine.FailureOf(engine.Fail(engine.NeedsConfirmation, "sync", setName(r.set),
			"%d deletions are held; look at them, then confirm or refuse them", c.Held))
	case r.problem.Failure.Set:
		return engine.Failure{Kind: r.problem.Failure.Kind, Set: true, Message: worst(r.problem, c.Failed)}
	case c.Failed > 0:
		return engine.FailureOf(engine.Fail(engine.InvalidItem, "sync", setName(r.set), "%d items could not be synced; list the problems", c.Failed))
	}
	return engine.Failure{}
}

// worst tells of one of the problems of a set. Their texts often name the item by
// themselves.
func worst(p engine.Problem, failed uint32) string {
	name, text := string(p.Member)+"/"+p.Item, p.Failure.Message
	told := strings.Contains(text, name)
	switch {
	case failed > 1 && told:
		return fmt.Sprintf("%d items could not be synced; one of them: %s", failed, text)
	case failed > 1:
		return fmt.Sprintf("%d items could not be synced, among them %s: %s", failed, name, text)
	case told:
		return text
	}
	return "cannot sync " + name + ": " + text
}

// unread is why an account of the job could not be read. That need not show in a
// set: nothing of the account may be known yet.
func unread(views map[engine.AccountID]view, configs map[engine.GroupID]engine.GroupConfig, groups int) engine.Failure {
	for _, cfg := range configs {
		for _, m := range cfg.Members {
			if v := views[memberAccount(m)]; v.err != nil {
				return engine.FailureOf(v.err)
			}
		}
	}
	if len(configs) < groups {
		return engine.FailureOf(engine.Fail(engine.InvalidConfig, "sync", "", "a group cannot be used as it is configured; its own error tells why"))
	}
	return engine.Failure{}
}

// stopped is the verdict of a job that its context ended.
func stopped(op string, ctx context.Context) verdict {
	v := failed(cancelled(op, "", ctx))
	if v.failure.Kind == engine.Cancelled {
		v.result = engine.Cancel
	}
	return v
}

// stop makes a verdict one of a job that its context ended, if it did.
func (v *verdict) stop(op string, ctx context.Context) {
	if ctx.Err() != nil {
		end := stopped(op, ctx)
		v.result, v.failure, v.itemsOnly = end.result, end.failure, false
	}
}

func failed(err error) verdict {
	return verdict{result: engine.Failed, failure: engine.FailureOf(err)}
}

// cancelled is the error of what a context ended.
func cancelled(op, on string, ctx context.Context) error {
	cause := cmp.Or(context.Cause(ctx), ctx.Err())
	if errors.Is(cause, errTimeout) {
		return engine.Fail(engine.Timeout, op, on, "%w", cause)
	}
	return engine.Fail(engine.Cancelled, op, on, "%w", cause)
}

func firstOf(a, b engine.Failure) engine.Failure {
	if a.Set {
		return a
	}
	return b
}

// sum adds the counts of two parts, later those of two runs of one part: what is
// still open after the second is open, what was done in both was done.
func sum(a, b engine.Counts) engine.Counts { a.Add(b); return a }

func later(a, b engine.Counts) engine.Counts {
	a.Failed, a.Held, a.Conflicts = 0, 0, 0
	a.Add(b)
	return a
}

// addReports brings together the reports of parts with one id.
func addReports(to, more []engine.PartReport, how func(a, b engine.Counts) engine.Counts) []engine.PartReport {
	to = slices.Clone(to)
	for _, m := range more {
		i := slices.IndexFunc(to, func(p engine.PartReport) bool { return p.ID == m.ID })
		if i < 0 {
			to = append(to, m)
			continue
		}
		to[i].Counts = how(to[i].Counts, m.Counts)
		to[i].Failure = m.Failure
	}
	slices.SortFunc(to, func(a, b engine.PartReport) int { return cmp.Compare(a.ID, b.ID) })
	return to
}

func jobName(id engine.JobID) string { return "job " + strconv.FormatUint(uint64(id), 10) }
