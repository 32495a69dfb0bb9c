package keeper

import (
	"sync"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// How often progress and items are told at most; phases are told at once.
const (
	tellEvery = 50 * time.Millisecond
	itemBatch = 128
)

// progress gathers what the sets of one job tell of themselves. It may be used
// from any goroutine.
type progress struct {
	keeper *Keeper
	job    *job

	mu      sync.Mutex
	phase   string
	rest    int // sets that have not told their total yet
	total   uint64
	done    uint64
	bytes   uint64
	percent uint64 // the highest that was shown
	tally   engine.Counts
	items   []engine.ItemStep
	toldAt  time.Time
	itemsAt time.Time
}

func newProgress(k *Keeper, j *job) *progress { return &progress{keeper: k, job: j} }

// expect says how many sets are going to tell a total.
func (p *progress) expect(sets int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest += sets
}

func (p *progress) setPhase(name string) {
	p.mu.Lock()
	p.phase = name
	p.mu.Unlock()
	p.tell()
}

// now is what is shown. There is no total until every set has told its own, and
// no percentage that is lower than an earlier one.
func (p *progress) now() engine.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := engine.Progress{Phase: p.phase, ItemsDone: p.done, BytesDone: p.bytes}
	if p.rest > 0 || p.total == 0 {
		return n
	}
	n.ItemsTotal = max(p.total, p.done)
	if n.ItemsDone*100/n.ItemsTotal < p.percent {
		n.ItemsTotal = max(n.ItemsDone*100/p.percent, 1)
	}
	p.percent = min(100, n.ItemsDone*100/n.ItemsTotal)
	return n
}

// counts are the numbers so far.
func (p *progress) counts() engine.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally
}

// tell has the keeper's goroutine look here soon. One message is enough for any
// number of calls.
func (p *progress) tell() {
	if p.job.told.CompareAndSwap(false, true) {
		select {
		case p.keeper.moved <- p.job:
		default: // cannot happen while every job sends one message; the next call tells
			p.job.told.Store(false)
		}
	}
}

func (p *progress) item(step engine.ItemStep) {
	p.mu.Lock()
	switch step.Action {
	case "add":
		p.tally.Added++
	case "modify":
		p.tally.Modified++
	case "remove":
		p.tally.Removed++
	case "conflict":
		p.tally.Conflicts++
	case "hold":
		p.tally.Held++
	case "fail":
		p.tally.Failed++
	}
	p.items = append(p.items, step)
	full := len(p.items) >= itemBatch || time.Since(p.itemsAt) >= 2*tellEvery
	p.mu.Unlock()
	if full {
		// It does not wait for the keeper: who tells an item may be inside a
		// transaction of the ledger, and the keeper may be waiting for that.
		p.tell()
	}
}

// untold takes the items that wait to be told.
func (p *progress) untold() []engine.ItemStep {
	p.mu.Lock()
	defer p.mu.Unlock()
	items := p.items
	p.items, p.itemsAt = nil, time.Now()
	return items
}

// flush tells the items that wait to be told, and returns when they are.
func (p *progress) flush() {
	p.keeper.post(func() { p.keeper.tellSteps(p.job) })
}

// A sink is the part of the progress that one set tells.
type sink struct {
	*progress
	told bool // its total
}

var _ group.Sink = (*sink)(nil)

func (s *sink) Phase(name string) { s.setPhase(name) }

func (s *sink) Total(items int) {
	s.mu.Lock()
	s.total += uint64(items)
	s.first()
	s.mu.Unlock()
	s.tell()
}

func (s *sink) Done(items int, bytes int64) {
	s.mu.Lock()
	s.done += uint64(items)
	s.bytes += uint64(bytes)
	due := time.Since(s.toldAt) >= tellEvery
	if due {
		s.toldAt = time.Now()
	}
	s.mu.Unlock()
	if due {
		s.tell()
	}
}

func (s *sink) Item(step engine.ItemStep) { s.item(step) }

// end says that this set tells nothing more.
func (s *sink) end() {
	s.mu.Lock()
	s.first()
	s.mu.Unlock()
	s.tell()
}

func (s *sink) first() {
	if !s.told {
		s.told = true
		s.rest--
	}
}
