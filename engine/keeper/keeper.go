// Package keeper owns the live state: which accounts, collections, groups and
// jobs there are, how they stand, and when what runs.
//
// One goroutine owns it. Whoever wants a change sends it a message and waits for
// the answer; what must wait for a server or a disk runs beside it, as a job.
// After each message the events that it caused are on the feed and a new
// immutable snapshot is in place, so that reading never waits for a sync.
package keeper

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
	"davbus.org/davbus/engine/ledger"
)

// Limits and times. The first four are promised by the bus contract.
const (
	maxQueued   = 64 // jobs that wait
	maxRunning  = 4  // jobs at once
	lingerFor   = 30 * time.Second
	lingerMost  = 32 // finished jobs that are still shown
	maxShown    = 256
	maxInhibits = 256
	parallel    = 8 // accounts looked at, or sets run, at once within a job
	drainFor    = 10 * time.Second
)

// A Kind is one kind of account.
type Kind struct {
	Params []engine.ParamSpec

	// Open prepares an account for use. It may run a configured command, but it
	// need not reach the server: Look does.
	Open func(ctx context.Context, cfg engine.AccountConfig, secrets AccountSecrets) (engine.Source, error)

	// Syntax checks what the table of parameters cannot; nil checks nothing.
	Syntax func(engine.Params) error

	// Found prepares the place of an account that was never read, where a group
	// wants missing collections made: a folder that is not there yet. It is never
	// called again, so that a folder that is not mounted is not taken for an
	// empty one. nil where there is nothing to prepare.
	Found func(engine.Params) error

	// Place tells where the account is, for people; nil for local kinds.
	Place func(engine.Params) Place
}

// A Place is where an account is and how it is reached.
type Place struct {
	URL       string // without user and password
	Transport string // "tcp", "unix", "exec", "fd", "none"
	Address   string
}

// Kinds are the kinds of account by name.
type Kinds map[string]Kind

// AccountSecrets gives the secrets of one account.
type AccountSecrets interface {
	// Get gives a secret. Its error is of kind AuthRequired where there is none
	// and of kind SecretLocked where a person must unlock it first.
	Get(ctx context.Context, name string) ([]byte, error)
}

// Secrets keeps what must never be in a file, a log or on the bus.
type Secrets interface {
	Of(engine.AccountConfig) AccountSecrets

	// State is "not-needed", "stored", "session", "command", "missing",
	// "locked", "no-service" or "rejected". It never waits.
	State(engine.AccountConfig) string

	Set(id engine.AccountID, name string, value []byte, store string) error
	Forget(id engine.AccountID, name, store string) error // name "" forgets them all; store "session" leaves the keyring alone

	// Rejected is told when a server refused the secrets of an account, so that
	// they are fetched anew; Accepted when it took them.
	Rejected(engine.AccountID)
	Accepted(engine.AccountID)
}

// Store keeps the configuration. An error of kind Managed or InvalidConfig says
// why a file is not written; then nothing was changed.
type Store interface {
	SaveAccount(engine.AccountConfig) error
	RemoveAccount(engine.AccountID) error
	SaveGroup(engine.GroupConfig) error
	RemoveGroup(engine.GroupID) error
}

// Options are what a keeper is made of.
type Options struct {
	Ledger   *ledger.Ledger
	Opened   ledger.Opened
	Kinds    Kinds
	Store    Store
	Secrets  Secrets
	Accounts []engine.AccountConfig
	Groups   []engine.GroupConfig
	Jitter   func() float64 // in [0,1)

	// Mend gives what asks a person about a failure that keeps an account from
	// working, and then reports whether it is worth another try; nil if nobody can
	// be asked. since is when the job began to try: an answer that came later may
	// not have been used. Asking may take as long as the person does.
	Mend func(id engine.AccountID, f engine.Failure, since time.Time) func(context.Context) bool
}

// A Keeper keeps the live state. Its methods may be called from any goroutine
// once Run runs; after that they answer with an error of kind Cancelled.
type Keeper struct {
	opt   Options
	kinds atomic.Pointer[Kinds] // replaced as a whole
	feed  feed.Feed
	snap  atomic.Pointer[engine.Snapshot]
	calls chan call
	moved chan *job     // jobs whose progress is to be told
	ended chan struct{} // closed when Run returns
	work  sync.WaitGroup

	changing sync.Mutex // taken by jobs while they write down what changed

	live // touched by the goroutine of Run alone
}

type call struct {
	do    func() error
	reply chan error
}

// New makes a keeper of what is configured and remembered. Nothing runs yet. An
// error means that the ledger cannot be read.
func New(o Options) (*Keeper, error) {
	k := &Keeper{
		opt: o, calls: make(chan call), ended: make(chan struct{}),
		moved: make(chan *job, maxQueued+maxRunning),
	}
	k.kinds.Store(&o.Kinds)
	k.live.init()
	empty := *k.next
	k.snap.Store(&empty)
	for _, cfg := range o.Accounts {
		if err := k.putAccount(cfg); err != nil {
			return nil, err
		}
	}
	for _, cfg := range o.Groups {
		if err := k.putGroup(cfg); err != nil {
			return nil, err
		}
	}
	if err := k.recallManager(); err != nil {
		return nil, err
	}
	k.finishStep()
	return k, nil
}

// Run owns the state until the context ends; then it lets running jobs stop at
// the next item, breaks them off after a while, and closes every source.
func (k *Keeper) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	leave := ctx.Done()
	for !k.drained() {
		select {
		case c := <-k.calls:
			err := c.do()
			k.finishStep()
			c.reply <- err
		case j := <-k.moved:
			j.told.Store(false)
			k.tellProgress(j)
			k.tellSteps(j)
			k.finishStep()
		case <-timer.C:
			k.tick(time.Now())
			k.finishStep()
		case <-leave:
			leave = nil
			k.stop()
			k.finishStep()
		}
		timer.Reset(k.untilNext(time.Now()))
	}
	close(k.ended) // nobody waits for an answer any more
	k.closeSources()
}

// ask has the owning goroutine do something and waits for it.
func (k *Keeper) ask(do func() error) error {
	c := call{do, make(chan error, 1)}
	select {
	case k.calls <- c:
		return <-c.reply
	case <-k.ended:
		return engine.Fail(engine.Cancelled, "answer", "", "davbus is stopping")
	}
}

// post is ask for what cannot fail.
func (k *Keeper) post(do func()) {
	_ = k.ask(func() error { do(); return nil })
}

// Watch gives the state and what follows it, without a gap.
func (k *Keeper) Watch() (*engine.Snapshot, *feed.Sub) {
	var snap *engine.Snapshot
	var sub *feed.Sub
	k.post(func() {
		snap = k.snap.Load()
		sub, _ = k.feed.Subscribe()
	})
	if sub == nil { // Run has returned: nothing changes any more
		snap = k.snap.Load()
		sub, _ = k.feed.Subscribe()
	}
	return snap, sub
}

// Snapshot is the state now.
func (k *Keeper) Snapshot() *engine.Snapshot { return k.snap.Load() }

// Seq is the number of the newest event.
func (k *Keeper) Seq() uint64 { return k.feed.Last() }
