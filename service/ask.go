package service

import (
	"context"
	"sync"
	"time"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
)

// A secretary has people asked, through the agents on the bus, what only they can
// tell: secrets, whether a certificate is the right one, what becomes of held
// deletions and of conflicts. No job is held up by it, except one that somebody
// started and waits for. Without an agent everything waits as it is.
type secretary struct {
	program *program
	agents  *dbusapi.Agents
	ctx     context.Context // ends every question
	work    sync.WaitGroup

	turn chan struct{} // holds a token while nobody is asked about an account

	mu        sync.Mutex
	accounts  map[engine.AccountID]*question
	groups    map[engine.GroupID]*question
	conflicts map[string]*question
}

// A question is asked once; several may wait for the answer.
type question struct {
	about  any // what it was about: another is another question
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over; the rest is set before
	nobody bool          // nobody could answer
	ok     bool          // the answer helps
	at     time.Time
}

func (q *question) over() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

func newSecretary(ctx context.Context, p *program, agents *dbusapi.Agents) *secretary {
	a := &secretary{
		program: p, agents: agents, ctx: ctx, turn: make(chan struct{}, 1),
		accounts: map[engine.AccountID]*question{}, groups: map[engine.GroupID]*question{}, conflicts: map[string]*question{},
	}
	a.turn <- struct{}{}
	return a
}

// run asks whenever something new needs a person, until its context ends.
func (a *secretary) run(events *feed.Sub) {
	defer events.Close()
	a.work.Go(func() {
		for {
			select {
			case <-a.ctx.Done():
				return
			case <-a.agents.Changed():
				a.review()
			}
		}
	})
	for {
		n, err := events.Next(a.ctx)
		if err != nil {
			break
		}
		switch n.Event.(type) {
		case engine.AccountChanged, engine.AccountGone, engine.GroupChanged, engine.GroupGone, engine.ConflictChanged, engine.ConflictGone:
			a.review()
		}
	}
	a.work.Wait()
}

// review compares what needs a person now with what is being asked.
func (a *secretary) review() {
	s := a.program.keeper.Snapshot()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reviewAccounts(s)
	a.reviewGroups(s)
	a.reviewConflicts(s)
}

// begin asks a question beside everything else; mu is held.
func (a *secretary) begin(about any, ask func(context.Context) (ok bool, err error)) *question {
	ctx, cancel := context.WithCancel(a.ctx)
	q := &question{about: about, cancel: cancel, done: make(chan struct{})}
	a.work.Go(func() {
		defer cancel()
		ok, err := ask(ctx)
		a.mu.Lock()
		q.ok, q.nobody, q.at = ok, engine.IsKind(err, engine.NotFound), time.Now()
		a.mu.Unlock()
		close(q.done)
		if err != nil && !engine.IsKind(err, engine.Cancelled) && !q.nobody {
			a.program.log.fault("an answer could not be carried out", err)
		}
		a.review() // what waited for this one may be asked now
	})
	return q
}

// settled drops what is no longer asked about; mu is held.
func settled[K comparable](all map[K]*question, wanted func(K, *question) bool) {
	for key, q := range all {
		switch {
		case wanted(key, q):
		case q.over():
			delete(all, key)
		default:
			q.cancel() // and the next review drops it
		}
	}
}
