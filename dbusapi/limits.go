package dbusapi

import (
	"slices"
	"sync"
	"time"

	"davbus.org/davbus/engine"
)

// What one caller, and all of them, may have at a time.
const (
	maxJobs        = 64   // queued or running, in all
	maxCallerJobs  = 16   // started or joined by one caller
	maxSandboxJobs = 4    // by one sandboxed program
	sandboxPerMin  = 6    // started by one sandboxed program in a minute
	maxWatches     = 64   // Job.Watch of one caller
	maxReaders     = 16   // OpenEvents of one caller
	maxInhibitors  = 16   // Inhibit of one caller
	maxTracked     = 1000 // callers that hold anything
	maxFeeds       = 16   // subscriptions of one client of the socket
)

// A quota counts what callers hold.
type quota struct {
	mu   sync.Mutex
	held map[string]int // of caller and thing
}

// everyHolder counts all who hold anything, also those whose job or pause has ended
// meanwhile.
const everyHolder = "caller that holds something"

// take counts one more; give counts one less, once.
func (q *quota) take(caller, thing string, most int) (give func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := caller + "\x00" + thing
	if q.held[key] >= most {
		return nil, engine.Fail(engine.LimitExceeded, "allow another "+thing, "", "one caller may have %d at a time", most)
	}
	if q.held == nil {
		q.held = map[string]int{}
	}
	q.held[key]++
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.held[key]--; q.held[key] == 0 {
			delete(q.held, key)
		}
	}), nil
}

// any reports whether somebody holds something.
func (q *quota) any() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key := range q.held {
		if key != "\x00"+everyHolder {
			return true
		}
	}
	return false
}

// A ration limits how many jobs callers start. A caller is a connection; a
// sandboxed one the program, so that connecting again gives it nothing.
type ration struct {
	view *view

	mu   sync.Mutex
	jobs map[string][]engine.JobID // of each caller, those not known to have ended
	when map[string][]time.Time    // when a sandboxed caller started some
}

func newRation(v *view) *ration {
	return &ration{view: v, jobs: map[string][]engine.JobID{}, when: map[string][]time.Time{}}
}

func (w Caller) key() string {
	if w.Sandboxed && w.Initiator != "" {
		return "\x00" + w.Initiator
	}
	return w.Name
}

// admit decides whether a caller may start another job now, and books the start.
func (r *ration) admit(who Caller) error {
	active := r.view.active()
	full := func(format string, args ...any) error {
		return engine.Fail(engine.LimitExceeded, "start a job", "", format, args...)
	}
	if len(active) >= maxJobs {
		return full("%d jobs are queued or running already; wait for one to end", maxJobs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune(active)
	key := who.key()
	most := maxCallerJobs
	if who.Sandboxed {
		most = maxSandboxJobs
	}
	if len(r.jobs[key]) >= most {
		return full("this caller has %d jobs queued or running already; wait for one to end", most)
	}
	if !who.Sandboxed {
		return nil
	}
	now := time.Now()
	r.when[key] = slices.DeleteFunc(r.when[key], func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(r.when[key]) >= sandboxPerMin {
		return full("a sandboxed program may start %d jobs in a minute; try again later", sandboxPerMin)
	}
	r.when[key] = append(r.when[key], now)
	return nil
}

// prune forgets jobs that have ended and starts of more than a minute ago.
func (r *ration) prune(active []*engine.JobState) {
	for key, ids := range r.jobs {
		ids = slices.DeleteFunc(ids, func(id engine.JobID) bool {
			return !slices.ContainsFunc(active, func(s *engine.JobState) bool { return s.ID == id })
		})
		if r.jobs[key] = ids; len(ids) == 0 {
			delete(r.jobs, key)
		}
	}
	for key, when := range r.when {
		if time.Since(when[len(when)-1]) >= time.Minute {
			delete(r.when, key)
		}
	}
}

// note books a job to the caller that started or joined it.
func (r *ration) note(who Caller, id engine.JobID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := who.key(); !slices.Contains(r.jobs[key], id) {
		r.jobs[key] = append(r.jobs[key], id)
	}
}
