// Package feed carries events to whoever listens, in one order for all.
//
// Publishing never waits. Facts are queued for each listener without end, since
// their causes are bounded; of progress only the newest of each job is kept, so
// a slow listener costs little and loses nothing that matters.
package feed

import (
	"context"
	"slices"
	"sync"

	"davbus.org/davbus/engine"
)

// A Numbered event carries its place in the one order. Numbers start at one and
// have no gaps, except where progress was replaced by later progress.
type Numbered struct {
	Seq   uint64
	Event engine.Event
}

// A Feed is ready to use when zero.
type Feed struct {
	mu   sync.Mutex
	seq  uint64
	subs []*Sub
}

// Publish hands an event to every listener and tells its number.
func (f *Feed) Publish(e engine.Event) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	for _, s := range f.subs {
		s.put(Numbered{f.seq, e})
	}
	return f.seq
}

// Last is the number of the newest event.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// Subscribe listens from now on. The second result is the number of the last
// event that the listener will not get.
func (f *Feed) Subscribe() (*Sub, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Sub{feed: f, wake: make(chan struct{}, 1)}
	f.subs = append(f.subs, s)
	return s, f.seq
}

// A Sub is one listener.
type Sub struct {
	feed *Feed
	wake chan struct{} // holds a token while queue is not empty

	mu    sync.Mutex
	queue []Numbered
}

func (s *Sub) put(n Numbered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := n.Event.(engine.JobProgress); ok {
		s.queue = slices.DeleteFunc(s.queue, func(q Numbered) bool {
			old, ok := q.Event.(engine.JobProgress)
			return ok && old.Job == p.Job
		})
	}
	s.queue = append(s.queue, n)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next gives the next event, waiting for it.
func (s *Sub) Next(ctx context.Context) (Numbered, error) {
	for {
		if n, ok := s.take(); ok {
			return n, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Numbered{}, ctx.Err()
		}
	}
}

func (s *Sub) take() (Numbered, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return Numbered{}, false
	}
	n := s.queue[0]
	s.queue[0] = Numbered{}
	s.queue = s.queue[1:]
	return n, true
}

// Close stops listening.
func (s *Sub) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.subs = slices.DeleteFunc(s.feed.subs, func(x *Sub) bool { return x == s })
}
