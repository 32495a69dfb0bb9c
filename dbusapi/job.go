package dbusapi

import (
	"os"
	"time"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) job(id engine.JobID) tree.Interface {
	return tree.Interface{Name: ifJob, Methods: map[string]any{
		"Cancel":     func(c tree.Call, in dict) error { return f.jobCancel(c, id, in) },
		"Wait":       func(c tree.Call, in dict) (string, dict, error) { return f.jobWait(c, id, in) },
		"GetReport":  func() (dict, error) { return f.getReport(id) },
		"Watch":      func(c tree.Call, in dict) error { return f.jobWatch(c, id, in) },
		"Unwatch":    func(c tree.Call) error { return f.jobUnwatch(c, id) },
		"OpenEvents": func(c tree.Call, in dict) (*os.File, error) { return f.jobEvents(c, id, in) },
	}}
}

func (f *Face) jobCancel(c tree.Call, id engine.JobID, in dict) error {
	o := readOptions("cancel a job", in)
	force := o.bool("force", false)
	if err := o.end(); err != nil {
		return err
	}
	return f.done(f.cancel(f.caller(c), id, force))
}

// cancel asks a job to stop; one that is done is no error.
func (f *Face) cancel(who Caller, id engine.JobID, force bool) error {
	if j := f.view.job(id); j != nil {
		s := f.view.state(j)
		if err := mayCancel(who, s); err != nil {
			return err
		}
		if s.State == engine.StateDone {
			return nil
		}
	}
	return f.host.Cancel(id, force)
}

func (f *Face) jobWait(c tree.Call, id engine.JobID, in dict) (string, dict, error) {
	o := readOptions("wait for a job", in)
	limit, limited := duration(o.uint64("timeout-usec", 0)), o.has("timeout-usec")
	raised := o.bool("raise", false)
	if err := o.end(); err != nil {
		return "", nil, err
	}
	r, err := f.ending(c, id, limit, limited)
	if err == nil && raised {
		err = raise(r)
	}
	return text(r.Result), reportDict(r), err
}

// ending waits for a job's end and gives its report; of a job that ended long
// ago from the history.
func (f *Face) ending(c tree.Call, id engine.JobID, limit time.Duration, limited bool) (engine.Report, error) {
	j := f.view.job(id)
	if j == nil {
		return f.host.Report(id)
	}
	if err := f.wait(c, j, limit, limited); err != nil {
		return engine.Report{}, err
	}
	s := f.view.state(j)
	r := s.Report
	r.Job, r.Kind, r.Target, r.Result, r.Failure = s.ID, s.Kind, s.Target, s.Result, s.Failure
	return r, nil
}

// raise gives the error of a job that did not do its work.
func raise(r engine.Report) error {
	switch r.Result {
	case engine.Failed:
		return failureError(r.Failure, engine.Internal, "the job failed without saying why")
	case engine.Cancel:
		return failureError(r.Failure, engine.Cancelled, "the job was cancelled")
	}
	return nil
}

func (f *Face) getReport(id engine.JobID) (dict, error) {
	r, err := f.host.Report(id)
	return reportDict(r), err
}

func (f *Face) jobWatch(c tree.Call, id engine.JobID, in dict) error {
	o := readOptions("watch a job", in)
	every := o.uint("interval-ms", 500)
	if err := o.end(); err != nil {
		return err
	}
	if every < 100 {
		return invalid("watch a job", "option %q must be at least 100, not %d", "interval-ms", every)
	}
	j := f.view.job(id)
	if j == nil {
		return jobIsGone("watch", id)
	}
	caller := f.caller(c).Name
	give, err := f.quota.take(caller, "watch", maxWatches)
	if err != nil {
		return err
	}
	stop, err := f.follow(caller, func() { f.pub.unwatchOne(j, caller) })
	if err != nil {
		give()
		return err
	}
	return f.pub.watch(j, caller, time.Duration(every)*time.Millisecond, func() { stop(); give() })
}

func (f *Face) jobUnwatch(c tree.Call, id engine.JobID) error {
	j := f.view.job(id)
	if j == nil {
		return jobIsGone("unwatch", id)
	}
	if !f.pub.unwatchOne(j, f.caller(c).Name) && f.view.state(j).State != engine.StateDone {
		return engine.Fail(engine.NotFound, "unwatch", string(jobPath(id)), "this caller does not watch it")
	}
	return nil
}

func (f *Face) jobEvents(c tree.Call, id engine.JobID, in dict) (*os.File, error) {
	o := readOptions("open the events of a job", in)
	replay := o.bool("replay", true)
	if err := o.end(); err != nil {
		return nil, err
	}
	j := f.view.job(id)
	if j == nil {
		return nil, jobIsGone("open the events of", id)
	}
	give, err := f.quota.take(f.caller(c).Name, "event reader", maxReaders)
	if err != nil {
		return nil, err
	}
	file, err := f.openEvents(j, replay, give)
	if err != nil {
		give()
	}
	return file, err
}

// jobIsGone is for the moment in which an object goes away under a call.
func jobIsGone(op string, id engine.JobID) error {
	return engine.Fail(engine.NotFound, op, string(jobPath(id)), "the job has ended long ago; Manager.GetHistory has its report")
}
