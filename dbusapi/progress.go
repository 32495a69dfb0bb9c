package dbusapi

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// How often progress is announced. A listener that has stopped reading makes the
// bus keep every signal for it, so this is a limit and no matter of taste.
const (
	jobPace = time.Second / 4  // of one job
	allPace = time.Second / 20 // of all jobs together
)

// A progress is the queue of jobs whose progress has not been announced, in the
// order in which it came.
type progress struct {
	waiting []*job
	next    time.Time // when one of any job may be announced
}

func (q *progress) add(j *job) {
	if !slices.Contains(q.waiting, j) {
		q.waiting = append(q.waiting, j)
	}
}

func (q *progress) remove(j *job) {
	q.waiting = slices.DeleteFunc(q.waiting, func(x *job) bool { return x == j })
}

// due is when the first of them has its turn; zero if none waits.
func (q *progress) due() (due time.Time) {
	for _, j := range q.waiting {
		t := j.next
		if t.Before(q.next) {
			t = q.next
		}
		if t.IsZero() {
			t = time.Unix(0, 0) // at once
		}
		due = earlier(due, t)
	}
	return due
}

func (p *publisher) jobProgress(id engine.JobID, to engine.Progress) {
	j := p.view.job(id)
	if j == nil || j.state.State == engine.StateDone {
		return
	}
	j.progress = later(j.progress, to)
	j.story.tell(progressLine(j.progress))
	if slices.Contains(p.progress.waiting, j) {
		p.coalesced.Add(1)
	}
	if p.differs(j.object, progressProps(j)) {
		p.progress.add(j)
	}
}

// flushProgress announces the progress of the one job whose turn it is.
func (p *publisher) flushProgress(now time.Time) {
	if now.Before(p.progress.next) {
		return
	}
	for _, j := range p.progress.waiting {
		if !now.Before(j.next) {
			p.announceProgress(j, progressProps(j), now)
			return
		}
	}
}

// announceProgress sends values with progress among them and books the budget.
func (p *publisher) announceProgress(j *job, values props, now time.Time) {
	p.progress.remove(j)
	if !p.change(j.object, values) {
		return
	}
	j.percent = (*j.object.props.Load())["Percent"].(int32)
	j.next = now.Add(jobPace)
	if p.progress.next.Before(now) {
		p.progress.next = now
	}
	p.progress.next = p.progress.next.Add(allPace)
}

// progressProps are the properties that change together.
func progressProps(j *job) props {
	return props{
		"Phase":      text(j.progress.Phase),
		"Percent":    max(j.percent, j.progress.Percent()),
		"ItemsDone":  j.progress.ItemsDone,
		"ItemsTotal": j.progress.ItemsTotal,
		"BytesDone":  j.progress.BytesDone,
	}
}

// later joins two observations of one job: counts never go back.
func later(old, new engine.Progress) engine.Progress {
	new.ItemsDone = max(old.ItemsDone, new.ItemsDone)
	new.BytesDone = max(old.BytesDone, new.BytesDone)
	if new.ItemsTotal == 0 {
		new.ItemsTotal = old.ItemsTotal
	}
	return new
}

// differs reports whether any of the values is not the announced one.
func (p *publisher) differs(o *object, values props) bool {
	shown := *o.props.Load()
	for key := range maps.Keys(values) {
		if !reflect.DeepEqual(shown[key], values[key]) {
			return true
		}
	}
	return false
}
