package dbusapi

import (
	"sync"
	"time"

	"davbus.org/davbus/engine"
)

const (
	maxItems   = 128   // names in one Items signal, and in one interval
	maxKept    = 4096  // steps kept of one job, for who comes late
	maxAllKept = 32768 // and of all jobs
)

// A story is what a job did to items, and who listens to it. Unlike the rest of
// a job it is written by methods too, so it has a lock of its own.
type story struct {
	mu       sync.Mutex
	steps    []engine.ItemStep // the first of them
	dropped  uint32            // how many were not kept
	watchers map[string]*watcher
	readers  []*eventReader
	ended    bool
}

// A watcher is one caller of Job.Watch.
type watcher struct {
	every   time.Duration
	due     time.Time // the earliest time of the next signal
	pending []engine.ItemStep
	omitted uint32
	release func() // stops following the caller
}

// A step as the bus has it: a(sss).
type itemStep struct{ Action, Member, Item string }

func busStep(s engine.ItemStep) itemStep {
	return itemStep{text(s.Action), name(string(s.Member)), name(s.Item)}
}

// jobItems keeps what a job did and hands it to who listens.
func (p *publisher) jobItems(id engine.JobID, steps []engine.ItemStep, now time.Time) {
	j := p.view.job(id)
	if j == nil {
		return
	}
	s := &j.story
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, step := range steps {
		if len(s.steps) < maxKept && p.kept.Load() < maxAllKept {
			s.steps = append(s.steps, step)
			p.kept.Add(1)
		} else {
			s.dropped++
		}
		for _, w := range s.watchers {
			w.add(step)
		}
		for _, r := range s.readers {
			r.push(itemLine(step))
		}
	}
}

func (w *watcher) add(step engine.ItemStep) {
	if len(w.pending) < maxItems {
		w.pending = append(w.pending, step)
	} else {
		w.omitted++
	}
}

// watchDue is when one of a job's watchers is to be told; zero for never.
func (j *job) watchDue() (due time.Time) {
	j.story.mu.Lock()
	defer j.story.mu.Unlock()
	for _, w := range j.story.watchers {
		if len(w.pending) > 0 {
			due = earlier(due, w.due)
		}
	}
	return due
}

// flushWatchers tells those whose interval is over.
func (p *publisher) flushWatchers(now time.Time) {
	for _, j := range p.watchedJobs() {
		j.story.mu.Lock()
		for name, w := range j.story.watchers {
			if len(w.pending) > 0 && !now.Before(w.due) {
				p.tellWatcher(j, name, w, now)
			}
		}
		j.story.mu.Unlock()
	}
}

// tellWatchers tells all of a job's watchers at once: the job is about to end.
func (p *publisher) tellWatchers(j *job, now time.Time) {
	j.story.mu.Lock()
	defer j.story.mu.Unlock()
	for name, w := range j.story.watchers {
		if len(w.pending) > 0 {
			p.tellWatcher(j, name, w, now)
		}
	}
}

func (p *publisher) tellWatcher(j *job, name string, w *watcher, now time.Time) {
	p.fail(p.tree.EmitTo(name, j.object.path, ifJob, "Items", each(w.pending, busStep), w.omitted))
	p.sent.Add(1)
	w.pending, w.omitted, w.due = nil, 0, now.Add(w.every)
}

// watchedJobs are the jobs that somebody watches: usually none.
func (p *publisher) watchedJobs() []*job {
	if p.watches.Load() == 0 {
		return nil
	}
	return sorted(p.view, p.view.jobs)
}

// watch sends what the job has done so far and then, while it runs, adds a
// watcher. A second call only changes the interval.
func (p *publisher) watch(j *job, caller string, every time.Duration, release func()) error {
	s := &j.story
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.watchers[caller]; w != nil {
		w.every = every
		release()
		return nil
	}
	steps, omitted := s.steps, s.dropped
	for len(steps) > 0 {
		part := steps[:min(len(steps), maxItems)]
		steps = steps[len(part):]
		rest := uint32(0)
		if len(steps) == 0 {
			rest = omitted
		}
		if err := p.tree.EmitTo(caller, j.object.path, ifJob, "Items", each(part, busStep), rest); err != nil {
			release()
			return err
		}
		p.sent.Add(1)
	}
	if s.ended {
		release()
		return nil
	}
	if s.watchers == nil {
		s.watchers = map[string]*watcher{}
	}
	s.watchers[caller] = &watcher{every: every, due: time.Now().Add(every), release: release}
	p.watches.Add(1)
	return nil
}

// unwatchOne forgets one watcher and reports whether it was there.
func (p *publisher) unwatchOne(j *job, caller string) bool {
	j.story.mu.Lock()
	defer j.story.mu.Unlock()
	w := j.story.watchers[caller]
	if w == nil {
		return false
	}
	delete(j.story.watchers, caller)
	p.watches.Add(-1)
	w.release()
	return true
}

// unwatch forgets all watchers of a job that has ended.
func (p *publisher) unwatch(j *job) {
	j.story.mu.Lock()
	defer j.story.mu.Unlock()
	j.story.ended = true
	for _, w := range j.story.watchers {
		p.watches.Add(-1)
		w.release()
	}
	j.story.watchers = nil
}

// forget drops the kept steps and tells how many they were.
func (s *story) forget() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.steps)
	s.steps = nil
	return n
}
