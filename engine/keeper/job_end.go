package keeper

import (
	"reflect"
	"slices"

	"davbus.org/davbus/engine"
)

// finishJob puts away a job that has ended.
func (k *Keeper) finishJob(j *job, v verdict) {
	k.running = slices.DeleteFunc(k.running, func(r *job) bool { return r == j })
	k.endJob(j, v)
	k.retryWatches()
}

func (k *Keeper) endJob(j *job, v verdict) {
	for _, key := range j.keys {
		if k.held[key] == j {
			delete(k.held, key)
		}
	}
	j.joinable = false
	j.st.State, j.st.Cancellable = engine.StateDone, false
	j.st.Result, j.st.Failure = v.result, v.failure
	j.st.Progress = j.progress.now()
	j.st.Finished, j.st.Report = v.report.Finished, v.report
	k.counted.add(v)
	k.afterJob(j, v)
	k.touchJob(j)
	k.settle() // the last word on everything else comes before the job's own
	k.emitJob(j)
	k.finished = append(k.finished, j)
	for len(k.finished) > lingerMost {
		k.forgetJob()
	}
	k.dropIdle()
}

func (k *Keeper) forgetJob() {
	k.emit(engine.JobGone{ID: k.finished[0].st.ID})
	k.finished = k.finished[1:]
}

// Cancel asks a job to stop at the next item, and with force at once: a write
// that is under way is broken off then. One that has ended stays as it is.
func (k *Keeper) Cancel(id engine.JobID, force bool) error {
	return k.ask(func() error {
		for _, j := range slices.Concat(k.running, k.queue) {
			if j.st.ID == id {
				k.stopJob(j, force)
				return nil
			}
		}
		if k.next.Jobs[id] != nil {
			return nil
		}
		_, err := k.pastReport(id)
		return err
	})
}

// cancelJob stops a job at once.
func (k *Keeper) cancelJob(j *job) { k.stopJob(j, true) }

// stopJob stops a job: one that waits ends at once.
func (k *Keeper) stopJob(j *job, force bool) {
	if i := slices.Index(k.queue, j); i >= 0 {
		k.queue = slices.Delete(k.queue, i, i+1)
		v := verdict{result: engine.Cancel, failure: engine.FailureOf(engine.Fail(engine.Cancelled, j.st.Kind, "", "%w", errAsked)), report: j.st.Report}
		v.report.Result, v.report.Finished, v.report.Failure = engine.Cancel, k.now(), v.failure
		if err := k.opt.Ledger.FinishJob(v.report); err != nil {
			v.failure = engine.FailureOf(err)
		}
		k.endJob(j, v)
		return
	}
	if !j.stopping {
		j.stopping = true
		j.st.State, j.st.Cancellable, j.joinable = "cancelling", false, false
		k.emitJob(j)
	}
	if j.stop(errAsked); force {
		j.cancel(errAsked)
	}
}

// Report gives the numbers of a job, so far or at its end.
func (k *Keeper) Report(id engine.JobID) (r engine.Report, err error) {
	err = k.ask(func() error {
		for _, j := range slices.Concat(k.running, k.queue) {
			if j.st.ID == id {
				r = j.st.Report
				r.Counts = j.progress.counts()
				return nil
			}
		}
		if st := k.next.Jobs[id]; st != nil {
			r = st.Report
			return nil
		}
		r, err = k.pastReport(id)
		return err
	})
	return r, err
}

func (k *Keeper) pastReport(id engine.JobID) (engine.Report, error) {
	r, ok, err := k.opt.Ledger.Report(id)
	if err == nil && !ok {
		err = engine.Fail(engine.NotFound, "find", jobName(id), "no job has this number, or it was too long ago")
	}
	return r, err
}

// tellProgress publishes how far a job has come.
func (k *Keeper) tellProgress(j *job) {
	if p := j.progress.now(); slices.Contains(k.running, j) && !reflect.DeepEqual(p, j.st.Progress) {
		j.st.Progress = p
		k.emit(engine.JobProgress{Job: j.st.ID, Progress: p})
	}
}

func (k *Keeper) tellSteps(j *job) {
	for batch := range slices.Chunk(j.progress.untold(), itemBatch) {
		k.emit(engine.JobItems{Job: j.st.ID, Items: batch})
	}
}
