package dbusapi

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
)

// A view is the state as the bus has been told of it. The publisher alone
// writes it; methods read it.
type view struct {
	mu          sync.RWMutex
	manager     engine.ManagerState
	accounts    map[engine.AccountID]*engine.AccountState
	collections map[engine.MemberID]*engine.CollectionState
	groups      map[engine.GroupID]*engine.GroupState
	jobs        map[engine.JobID]*job
	conflicts   map[string]*engine.ConflictState
	shown       map[string]bool // conflicts that have an object
	newest      engine.JobID    // the highest number seen
}

func newView() *view {
	return &view{
		accounts:    map[engine.AccountID]*engine.AccountState{},
		collections: map[engine.MemberID]*engine.CollectionState{},
		groups:      map[engine.GroupID]*engine.GroupState{},
		jobs:        map[engine.JobID]*job{},
		conflicts:   map[string]*engine.ConflictState{},
		shown:       map[string]bool{},
	}
}

// read gives f a view that does not change meanwhile.
func (v *view) read(f func()) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f()
}

// write is for the publisher.
func (v *view) write(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// sorted copies the values of a map of the view in the order of their keys.
func sorted[K cmp.Ordered, T any](v *view, m map[K]T) (out []T) {
	v.read(func() {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			out = append(out, m[key])
		}
	})
	return out
}

// job finds a job that has an object; nil if it has none.
func (v *view) job(id engine.JobID) (j *job) {
	v.read(func() { j = v.jobs[id] })
	return j
}

// lastJob is the highest number of a job that was ever announced.
func (v *view) lastJob() (id engine.JobID) {
	v.read(func() { id = v.newest })
	return id
}

// active are the jobs that are queued or running, oldest first.
func (v *view) active() (out []*engine.JobState) {
	v.read(func() {
		for _, id := range slices.Sorted(maps.Keys(v.jobs)) {
			if s := v.jobs[id].state; s.State != engine.StateDone {
				out = append(out, s)
			}
		}
	})
	return out
}

// collectionsOf are the ids of an account's collections.
func (v *view) collectionsOf(id engine.AccountID) (out []engine.MemberID) {
	v.read(func() {
		for _, member := range slices.Sorted(maps.Keys(v.collections)) {
			if strings.HasPrefix(string(member), string(id)+"/") {
				out = append(out, member)
			}
		}
	})
	return out
}

// state is what a job was last said to be.
func (v *view) state(j *job) (s *engine.JobState) {
	v.read(func() { s = j.state })
	return s
}

// hasConflict tells whether a conflict has an object.
func (v *view) hasConflict(id string) (ok bool) {
	v.read(func() { ok = v.shown[id] })
	return ok
}
