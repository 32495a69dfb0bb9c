package group

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// rounds bounds how often a run looks again at members that moved under its
// hands. What moves even then is the next run's.
const rounds = 2

// A run is one Sync under way. Its goroutines, one for each member, share the
// book and the result under mu; each has its member to itself.
type run struct {
	set     *ledger.Set
	rules   Rules
	opt     Options
	sink    Sink
	members []*member
	now     time.Time

	mu       sync.Mutex
	entries  map[plan.Key]*entry
	byID     map[int64]*entry
	texts    map[ledger.TextID][]byte // of a dry run, which stores none; negative ids
	problems map[place]ledger.Problem // of this run
	old      map[place]ledger.Problem // of earlier ones
	total    engine.Counts
	changed  map[engine.MemberID]*changes
	failure  error
	slow     string
	again    bool

	// elsewhere are new items that a server refused since it has their UID: they
	// wait for the end of the job.
	elsewhere map[place]bool
	quiet     bool // the last round found nothing to do, and nothing open
	moved     bool // somebody changed an item while it was being written
}

// A place is one item at one member.
type place struct {
	member engine.MemberID
	key    plan.Key
}

// A member is one collection of the set and what the run knows of it.
type member struct {
	Member
	n      int
	id     int64 // in the ledger; 0 in a dry run that meets it first
	known  ledger.Member
	stored bool // the ledger knows it
	look   bool // in this round it is asked, whatever its state
	read   bool // the run knows all its items
	err    error

	obs     map[engine.Ref]*seen
	gone    []engine.Ref // stored as seen, and not there any more
	intents []ledger.Intent
	adopted []*ledger.Mark // recognised as ours, to be stored
	token   engine.Token
	tracker engine.Tracker  // nil once it said that it is none
	inline  bool            // its changes bring texts along
	asked   bool            // it was surveyed, not only remembered
	resting int             // items it has, where it need not be looked at
	puzzle  bool            // an item was met that cannot be read and may be any
	riddles map[string]bool // names of items that could not be read, yet
	counts  engine.Counts
	keep    item.Keep   // what it can keep; nil for everything
	meta    engine.Meta // its collection's properties, if we wrote one of them

	requests atomic.Uint32 // that its storage made in this run
}

// counting lets a member's storage count its requests.
func (m *member) counting(ctx context.Context) context.Context {
	return engine.CountRequests(ctx, &m.requests)
}

// seen is one item of a member as last observed.
type seen struct {
	ledger.Seen
	stored bool // it has a row of its own in the ledger
	dirty  bool // it must be stored
	fresh  bool // its text was read in this run
	blind  bool // it was to be read in this run, and could not be

	// written is what we wrote there, where this is the first look at it since.
	written *ledger.Seen
}

// An entry is one item of the set.
type entry struct {
	ledger.Item
	marks []*ledger.Mark // by member

	// unsure says that some member may have been given the item and was not read
	// since: until it is, the item is not forgotten.
	unsure bool
}

func newRun(set *ledger.Set, members []Member, rules Rules, opt Options, sink Sink) *run {
	r := &run{set: set, rules: rules, opt: opt, sink: &quiet{sink: sink}, now: set.Now().Round(0).Truncate(time.Microsecond), changed: map[engine.MemberID]*changes{}, elsewhere: map[place]bool{}}
	for n, m := range members {
		r.members = append(r.members, &member{Member: m, n: n, err: m.Err, look: true, keep: item.Keeps(m.Properties)})
	}
	return r
}

// quiet lets several goroutines tell one sink.
type quiet struct {
	mu   sync.Mutex
	sink Sink
}

func (q *quiet) Phase(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sink.Phase(name)
}

func (q *quiet) Total(items int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sink.Total(items)
}

func (q *quiet) Done(items int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sink.Done(items, bytes)
}

func (q *quiet) Item(step engine.ItemStep) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sink.Item(step)
}

// sync makes rounds until nothing moved under its hands.
func (r *run) sync(ctx context.Context) (fault error) {
	if !slices.ContainsFunc(r.members, func(m *member) bool { return !m.ReadOnly }) {
		r.failure = engine.Fail(engine.ReadOnly, "sync", string(r.set.Key().Group), "every member is read-only, so that nothing can be brought into step: let davbus write to one of them")
		return nil
	}
	ended := r.begin(ctx)
	defer func() { ended(fault) }()
	if still, err := r.resting(); err != nil || still {
		return err
	}
	for n := range rounds {
		if err := r.round(ctx); err != nil {
			return err
		}
		if n > 0 {
			r.failure = nil // the set was compared; its members tell what failed
		}
		r.opt.Decide, r.opt.Restore = nil, false // done
		if !r.moved || n+1 == rounds || r.opt.DryRun {
			break
		}
		r.moved = false
	}
	if ctx.Err() == nil && !r.stuck() {
		if err := r.syncMeta(ctx); err != nil {
			return err
		}
		if err := r.rest(); err != nil {
			return err
		}
	}
	return cancelled(ctx)
}

func cancelled(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return engine.Fail(engine.Cancelled, "sync", "", "%w", context.Cause(ctx))
}

// round surveys, decides and carries out.
func (r *run) round(ctx context.Context) error {
	if err := r.load(); err != nil {
		return err
	}
	r.sink.Phase("list")
	if err := r.survey(ctx); err != nil {
		return err
	}
	if err := cancelled(ctx); err != nil {
		return err
	}
	r.sink.Phase("compare")
	rows, err := r.match()
	if err != nil {
		return err
	}
	if r.stuck() {
		return r.finish(nil, nil)
	}
	d, err := r.decide(ctx, rows)
	if err != nil {
		return err
	}
	if r.opt.DryRun {
		r.tell(d, rows)
		return nil
	}
	if err := r.agree(d, rows); err != nil {
		return err
	}
	r.sink.Phase("write")
	if err := r.execute(ctx, d, rows); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return r.finish(nil, nil) // what was not begun is the next run's
	}
	r.sink.Phase("finish")
	r.settled(d)
	if err := r.finish(d, rows); err != nil {
		return err
	}
	return d.stale
}

// stuck tells that too few members answered for anything to be decided.
func (r *run) stuck() bool {
	read, first := 0, error(nil)
	for _, m := range r.members {
		switch {
		case m.read:
			read++
		case m.ID == r.rules.From:
			r.failure = m.failed()
			return true
		case first == nil:
			first = m.failed()
		}
	}
	if read < 2 {
		r.failure = first
		if r.failure == nil {
			r.failure = engine.Fail(engine.Invalid, "sync", string(r.set.Key().Group), "a set needs two members; add another")
		}
		return true
	}
	return false
}

func (m *member) failed() error {
	if m.err != nil {
		return m.err
	}
	return engine.Fail(engine.Offline, "read", string(m.ID), "it is not available now")
}

// end leaves a member out of the rest of the run.
func (m *member) end(err error) {
	if m.err == nil {
		m.err = err
	}
}
