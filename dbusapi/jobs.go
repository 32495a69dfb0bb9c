package dbusapi

import (
	"time"

	"davbus.org/davbus/engine"
)

// A job is a job that has an object. The publisher alone writes it, under the
// view's lock where others read.
type job struct {
	state    *engine.JobState
	object   *object
	progress engine.Progress // the newest, announced or not
	percent  int32           // announced; never goes back
	next     time.Time       // when progress may be announced again
	done     chan struct{}   // closed once the end has been announced
	story    story           // what it did to items
}

// job tells the life of a job, in the order that callers are promised:
// InterfacesAdded, JobNew; at the end the last PropertiesChanged, Completed,
// JobRemoved. InterfacesRemoved follows when it lingers no more.
func (p *publisher) job(s *engine.JobState, now time.Time) {
	j := p.view.job(s.ID)
	switch {
	case j == nil:
		j = p.newJob(s)
		p.emit(Root, ifManager, "JobNew", uint32(s.ID), j.object.path, text(s.Kind), targetPath(s.Target))
	case j.state.State == engine.StateDone:
		return // nothing follows the end
	default:
		p.jobMoved(j, s, now)
	}
	j.story.tell(stateLine(s, j.progress))
	if s.State == engine.StateDone {
		p.jobEnded(j)
	}
}

func (p *publisher) newJob(s *engine.JobState) *job {
	j := &job{state: s, progress: s.Progress, percent: s.Progress.Percent(), done: make(chan struct{})}
	j.object = p.put(jobPath(s.ID), p.parts.job(s.ID), jobProps(s))
	p.view.write(func() {
		p.view.jobs[s.ID] = j
		p.view.newest = max(p.view.newest, s.ID)
	})
	return j
}

// jobMoved announces a new state at once, with the newest progress in the same
// signal; progress alone has to wait for its turn.
func (p *publisher) jobMoved(j *job, s *engine.JobState, now time.Time) {
	if s.State == engine.StateDone {
		p.tellWatchers(j, now)
	}
	j.progress = later(j.progress, s.Progress)
	p.view.write(func() { j.state = s })
	values, moving := jobProps(s), progressProps(j)
	for key := range moving {
		delete(values, key)
	}
	switch {
	case p.differs(j.object, values):
		for key, v := range moving {
			values[key] = v
		}
		p.announceProgress(j, values, now)
	case p.differs(j.object, moving):
		p.progress.add(j)
	}
}

// jobEnded tells the end, once.
func (p *publisher) jobEnded(j *job) {
	s := j.state
	p.progress.remove(j)
	p.emit(j.object.path, ifJob, "Completed", text(s.Result), failureName(s.Failure), message(s.Failure.Message), reportDict(s.Report))
	p.emit(Root, ifManager, "JobRemoved", uint32(s.ID), j.object.path, text(s.Kind), targetPath(s.Target), text(s.Result))
	p.unwatch(j)
	j.story.end(doneLine(s))
	close(j.done)
}

func (p *publisher) jobGone(id engine.JobID) {
	j := p.view.job(id)
	if j == nil {
		return
	}
	if j.state.State != engine.StateDone { // never, but nobody shall wait for ever
		close(j.done)
	}
	p.progress.remove(j)
	p.unwatch(j)
	p.kept.Add(-int64(j.story.forget()))
	p.view.write(func() { delete(p.view.jobs, id) })
	p.drop(j.object.path)
}
