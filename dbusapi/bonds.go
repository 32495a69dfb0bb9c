package dbusapi

import (
	"slices"
	"sync"
	"sync/atomic"

	"davbus.org/davbus/engine"
)

// A bonds holds the jobs that end with their callers: "bind-to-caller". A job
// that also serves somebody else is nobody's to end by leaving.
type bonds struct {
	face *Face

	mu sync.Mutex
	of map[engine.JobID]map[string]func() // caller: stops following it
}

func newBonds(f *Face) *bonds { return &bonds{face: f, of: map[engine.JobID]map[string]func(){}} }

// start runs a call that starts or joins a job, and binds the job to the caller
// if it asks for that and the job is its own.
func (b *bonds) start(who Caller, bind bool, start func() (engine.JobID, error)) (engine.JobID, error) {
	f := b.face
	if err := f.ration.admit(who); err != nil {
		return 0, err
	}
	before := engine.JobID(0)
	if bind {
		f.settle()
		before = f.view.lastJob()
	}
	id, err := start()
	if err != nil {
		return 0, err
	}
	f.settle()
	f.ration.note(who, id)
	if err := b.book(who, id, bind, before); err != nil {
		// Nobody is there to hold it: it ends as if its caller had left later.
		f.host.Cancel(id, false)
		return 0, err
	}
	return id, nil
}

// book notes who a job belongs to. It fails if a job of the caller's own cannot
// be bound to it.
func (b *bonds) book(who Caller, id engine.JobID, bind bool, before engine.JobID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	switch {
	case !bind:
		b.free(id)
	case id > before:
		return b.tie(id, who.Name)
	case b.of[id] != nil:
		// Whoever held it before still does, if this caller cannot.
		_ = b.tie(id, who.Name)
	}
	return nil
}

// tie follows one more caller of a job; mu is held. It fails if the caller is
// gone already.
func (b *bonds) tie(id engine.JobID, caller string) error {
	if b.of[id][caller] != nil {
		return nil
	}
	stop, err := b.face.follow(caller, func() { b.left(id, caller) })
	if err != nil {
		return err
	}
	if b.of[id] == nil {
		b.of[id] = map[string]func(){}
	}
	b.of[id][caller] = stop
	return nil
}

// left cancels a job when the last of its callers has left the bus.
func (b *bonds) left(id engine.JobID, caller string) {
	b.mu.Lock()
	callers, bound := b.of[id]
	if stop := callers[caller]; stop != nil {
		stop()
	}
	delete(callers, caller)
	alone := bound && len(callers) == 0
	if alone {
		delete(b.of, id)
	}
	b.mu.Unlock()
	if alone {
		// It may have ended meanwhile, which is as good.
		b.face.host.Cancel(id, false)
	}
}

// free makes a job everybody's; mu is held.
func (b *bonds) free(id engine.JobID) {
	for _, stop := range b.of[id] {
		stop()
	}
	delete(b.of, id)
}

// prune forgets jobs that have ended; mu is held.
func (b *bonds) prune() {
	active := b.face.view.active()
	for id := range b.of {
		if !slices.ContainsFunc(active, func(s *engine.JobState) bool { return s.ID == id }) {
			b.free(id)
		}
	}
}

// A pauseBond ends a pause with the caller that asked for it.
type pauseBond struct {
	mu   sync.Mutex
	stop func() // of the present pause; nil if it is bound to nobody
}

// set replaces the bond by one to a caller, or by none.
func (b *pauseBond) set(f *Face, caller string, bind bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
	if !bind {
		return nil
	}
	var ended atomic.Bool // by another pause, before the caller left
	stop, err := f.follow(caller, func() {
		if !ended.Swap(true) {
			f.host.Resume() // an error says that there is no pause any more
		}
	})
	if err == nil {
		b.stop = func() { ended.Store(true); stop() }
	}
	return err
}
