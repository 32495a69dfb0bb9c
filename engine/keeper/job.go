package keeper

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"davbus.org/davbus/engine"
)

var (
	errAsked     = errors.New("somebody asked for it")
	errTimeout   = errors.New("the time given is over")
	errBrokenOff = errors.New("davbus is stopping and could not wait longer")
)

// A job is one operation. Its fields belong to the keeper's goroutine, except
// where a comment says otherwise.
type job struct {
	st       engine.JobState
	groups   []engine.GroupID
	accounts map[engine.AccountID]bool
	keys     []string // what no two jobs may work on at once; never changed
	run      func(context.Context, *job) verdict
	auto     bool // started by the schedule or a change, and nobody has joined

	mode       string // these three never change
	slow, dry  bool
	joinable   bool
	again      bool          // somebody joined: survey once more
	mends      int           // questions it had asked so far; touched by the job alone
	timeout    time.Duration // never changed
	regain     chan struct{} // closed when the keys that were let go are held again
	stopping   bool
	stop       context.CancelCauseFunc // ends it once a write under way is done
	cancel     func(cause error)       // ends it at once
	force      context.Context         // ends with cancel
	progress   *progress
	told       atomic.Bool // a message about its progress is on the way
	watchCause engine.AccountID
}

// A verdict is what came of a job.
type verdict struct {
	result    string
	failure   engine.Failure
	itemsOnly bool // partial, because of single items alone
	report    engine.Report
}

// newJob queues a job. Its number comes from the ledger.
func (k *Keeper) newJob(j *job) (engine.JobID, error) {
	if k.stopping {
		return 0, engine.Fail(engine.Cancelled, "queue a job", "", "davbus is stopping")
	}
	if len(k.queue) >= maxQueued {
		return 0, engine.Fail(engine.LimitExceeded, "queue a job", "", "%d jobs wait already", maxQueued)
	}
	id, err := k.opt.Ledger.NextJob()
	if err != nil {
		return 0, err
	}
	j.st.ID, j.st.State, j.st.Cancellable, j.st.Queued = id, "queued", true, k.now()
	j.st.Report = engine.Report{Job: id, Kind: j.st.Kind, Target: j.st.Target}
	j.progress = newProgress(k, j)
	k.queue = append(k.queue, j)
	k.touchJob(j)
	k.settle() // what the job does to others is told before the job
	k.emitJob(j)
	return id, nil
}

func (k *Keeper) emitJob(j *job) {
	st := j.st
	k.emit(engine.JobChanged{State: &st})
}

// touchJob has everything worked out again that shows this job.
func (k *Keeper) touchJob(j *job) {
	for id := range j.accounts {
		k.touchAccount(id)
	}
	for _, id := range j.groups {
		k.touchGroup(id)
	}
}

// startJobs starts what can start: in order, as many as there are places for,
// and nothing that works on what an earlier job works on or waits for.
func (k *Keeper) startJobs() {
	wanted := map[string]bool{}
	free := func(j *job) bool {
		ok := true
		for _, key := range j.keys {
			ok = ok && (k.held[key] == nil || k.held[key] == j) && !wanted[key]
		}
		for _, key := range j.keys {
			if ok {
				k.held[key] = j
			}
			wanted[key] = true
		}
		return ok
	}
	if k.tidying {
		return
	}
	for _, j := range k.running {
		if j.regain != nil && free(j) {
			close(j.regain)
			j.regain = nil
		}
	}
	for _, j := range slices.Clone(k.queue) {
		if k.working() >= maxRunning || k.stopping {
			return
		}
		if free(j) {
			k.queue = slices.DeleteFunc(k.queue, func(q *job) bool { return q == j })
			k.startJob(j)
		}
	}
}

// working is how many jobs run; those that wait for a person take no place.
func (k *Keeper) working() (n int) {
	for _, j := range k.running {
		if j.st.State != waiting {
			n++
		}
	}
	return n
}

func (k *Keeper) startJob(j *job) {
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), unattended{}, j.auto))
	force, cut := context.WithCancelCause(context.Background())
	j.stop, j.force = cancel, force
	j.cancel = func(cause error) {
		cancel(cause)
		cut(cause)
	}
	k.running = append(k.running, j)
	j.st.State, j.st.Started = "running", k.now()
	j.st.Report.Started = j.st.Started
	report := j.st.Report
	k.touchJob(j)
	k.settle()
	k.emitJob(j)
	k.work.Go(func() {
		defer cancel(nil)
		defer cut(nil)
		if j.timeout > 0 {
			timer := time.AfterFunc(j.timeout, func() { j.cancel(errTimeout) })
			defer timer.Stop()
		}
		var looking atomic.Uint32 // requests, beside those that sets count
		v := j.run(engine.CountRequests(ctx, &looking), j)
		v.report.Requests += looking.Load()
		j.progress.flush()
		v.report.Job, v.report.Kind, v.report.Target = report.Job, report.Kind, report.Target
		v.report.Started, v.report.Finished = report.Started, time.Now()
		v.report.Result, v.report.Failure = v.result, v.failure
		if err := k.opt.Ledger.FinishJob(v.report); err != nil && !v.failure.Set {
			v.failure = engine.FailureOf(err)
		}
		k.post(func() { k.finishJob(j, v) })
	})
}

type unattended struct{}

// Unattended reports whether nobody asked for what a context belongs to: the
// schedule or a change did. Then nobody is to be asked for anything either.
func Unattended(ctx context.Context) bool {
	auto, _ := ctx.Value(unattended{}).(bool)
	return auto
}

// letGo gives up one key early, so that what waits for it may begin; a job that
// somebody joined needs it again.
func (k *Keeper) letGo(j *job, key string) {
	k.post(func() {
		if !j.again && k.held[key] == j {
			delete(k.held, key)
		}
	})
}

// once says that a round of a job is over. It reports whether the job is to do
// one more, and then waits until everything that it works on is its own again.
func (k *Keeper) oneMore(ctx context.Context, j *job) bool {
	var regain chan struct{}
	k.post(func() {
		if j.again && ctx.Err() == nil {
			j.again = false
			regain = make(chan struct{})
			j.regain = regain
		} else {
			j.joinable = false
		}
	})
	if regain == nil {
		return false
	}
	select {
	case <-regain:
	case <-ctx.Done():
		k.post(func() { j.regain = nil })
	}
	return ctx.Err() == nil
}
