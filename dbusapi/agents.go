package dbusapi

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// What an agent may be asked about: the values of "handles".
const (
	AboutSecrets      = "secrets"
	AboutCertificates = "certificates"
	AboutDeletions    = "deletions"
	AboutConflicts    = "conflicts"
)

const (
	maxAgents = 8

	// signOfLife is how long an agent may take to answer that it is there, before
	// each question. For the answer itself there is no limit: people take the time
	// that they take.
	signOfLife = 5 * time.Second
)

// An agent is one program that answers questions for the user.
type agent struct {
	caller  string
	path    dbus.ObjectPath
	handles []string
	store   string // where the secrets that it gives are kept

	here context.Context // done when it is unregistered or has left the bus
	end  context.CancelFunc
	stop func() // stops following the caller
}

// Agents are the programs that answer questions for the user. The newest is
// asked first; one that cannot answer is passed over.
type Agents struct {
	face   *Face
	settle func() // waits until what is asked about is on the bus

	mu   sync.Mutex
	out  outgoing
	all  []*agent // newest last
	last uint64   // number of the last question

	changed chan struct{} // holds a token after a registration
}

// An outgoing is the connection, as it calls methods of other programs.
type outgoing interface {
	CallForFiles(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) (*conn.Reply, error)
	Tell(dest string, path dbus.ObjectPath, method string, args ...any) error
}

func newAgents(f *Face) *Agents {
	return &Agents{face: f, settle: f.settle, changed: make(chan struct{}, 1)}
}

// Agents are those who can be asked.
func (f *Face) Agents() *Agents { return f.agents }

// Changed has a token after an agent was registered.
func (a *Agents) Changed() <-chan struct{} { return a.changed }

// bind says how agents are called.
func (a *Agents) bind(out outgoing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out = out
}

func (f *Face) registerAgent(c tree.Call, path dbus.ObjectPath, in dict) error {
	const op = "register an agent"
	o := readOptions(op, in)
	every := []string{AboutSecrets, AboutCertificates, AboutDeletions, AboutConflicts}
	handles := o.strings("handles")
	store := o.choice("store", "session", "keyring")
	if err := o.end(); err != nil {
		return err
	}
	if !o.has("handles") {
		handles = every
	}
	for _, h := range handles {
		if !slices.Contains(every, h) {
			return invalid(op, "%q is nothing that agents are asked about; there are %s", h, quoted(every))
		}
	}
	if strings.HasPrefix(c.Sender(), localPrefix) {
		return engine.Fail(engine.NotSupported, op, "", "an agent is called over the bus, which the caller is not on")
	}
	return f.agents.add(&agent{caller: f.caller(c).Name, path: path, handles: handles, store: store})
}

func (f *Face) unregisterAgent(c tree.Call, path dbus.ObjectPath) error {
	who := f.caller(c).Name
	if f.agents.drop(func(x *agent) bool { return x.caller == who && x.path == path }) == 0 {
		return engine.Fail(engine.NotFound, "unregister the agent", string(path), "the caller has registered no agent of this path")
	}
	return nil
}

func (a *Agents) add(x *agent) error {
	const op = "register an agent"
	x.here, x.end = context.WithCancel(context.Background())
	a.mu.Lock()
	var err error
	switch same := func(y *agent) bool { return y.caller == x.caller && y.path == x.path }; {
	case slices.ContainsFunc(a.all, same):
		err = engine.Fail(engine.AlreadyExists, op, string(x.path), "the caller has registered it already")
	case len(a.all) >= maxAgents:
		err = engine.Fail(engine.LimitExceeded, op, "", "%d are registered already, which is the most there may be", maxAgents)
	default:
		a.all = append(a.all, x)
	}
	a.mu.Unlock()
	if err != nil {
		x.end()
		return err
	}
	stop, err := a.face.follow(x.caller, func() { a.drop(func(y *agent) bool { return y == x }) })
	if err != nil {
		a.drop(func(y *agent) bool { return y == x })
		return err
	}
	a.mu.Lock()
	x.stop = stop
	a.mu.Unlock()
	if x.here.Err() != nil { // it left meanwhile
		stop()
	}
	select {
	case a.changed <- struct{}{}:
	default: // one that is not yet seen says it too
	}
	return nil
}

// drop lets agents go, and what they are asked.
func (a *Agents) drop(which func(*agent) bool) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.all {
		if !which(x) {
			continue
		}
		n++
		x.end()
		if x.stop != nil {
			x.stop()
		}
	}
	a.all = slices.DeleteFunc(a.all, which)
	return n
}

// release tells all agents that nobody will be asked again.
func (a *Agents) release() {
	a.mu.Lock()
	out, all := a.out, slices.Clone(a.all)
	a.mu.Unlock()
	for _, x := range all {
		if out != nil {
			_ = out.Tell(x.caller, x.path, ifAgent+".Release") // who cannot be told is gone
		}
	}
	a.drop(func(*agent) bool { return true })
}

// Any reports whether there is somebody to ask.
func (a *Agents) Any(about string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.all, func(x *agent) bool { return slices.Contains(x.handles, about) })
}

func (a *Agents) count() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uint64(len(a.all))
}

// next is the newest agent for a question that was not asked yet.
func (a *Agents) next(about string, tried []*agent) (x *agent, request string, out outgoing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, y := range slices.Backward(a.all) {
		if slices.Contains(y.handles, about) && !slices.Contains(tried, y) && a.out != nil {
			a.last++
			return y, strconv.FormatUint(a.last, 10), a.out
		}
	}
	return nil, "", nil
}

// ask asks one agent after the other until one answers. The error is of kind
// Cancelled if the user said no or the question is moot, and NotFound if nobody
// could answer.
func (a *Agents) ask(ctx context.Context, about, method string, args []any, take func(*agent, *conn.Reply) error) error {
	op := "ask about " + about
	a.settle()
	var tried []*agent
	why := errors.New("no agent is registered for it")
	for {
		x, request, out := a.next(about, tried)
		if x == nil {
			return engine.Fail(engine.NotFound, op, "", "nobody answered: %w", why)
		}
		tried = append(tried, x)
		err := a.askOne(ctx, x, out, request, method, args, take)
		refusal, _ := errors.AsType[dbus.Error](err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return engine.Fail(engine.Cancelled, op, "", "%w", context.Cause(ctx))
		case refusal.Name == ours+"Cancelled":
			return engine.Fail(engine.Cancelled, op, "", "the user said no")
		}
		why = err
	}
}

// askOne asks one agent. Whatever ends the question but its answer is told to
// the agent, so that no dialog stays.
func (a *Agents) askOne(ctx context.Context, x *agent, out outgoing, request, method string, args []any, take func(*agent, *conn.Reply) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.here, cancel)()
	alive, late := context.WithTimeout(ctx, signOfLife)
	defer late()
	_, err := out.CallForFiles(alive, x.caller, x.path, "org.freedesktop.DBus.Peer.Ping")
	if err != nil && alive.Err() != nil {
		return err // any other failure shows again below
	}
	r, err := out.CallForFiles(ctx, x.caller, x.path, ifAgent+"."+method, append([]any{request}, args...)...)
	if err == nil {
		defer r.Close()
		err = take(x, r)
	}
	if _, answered := errors.AsType[dbus.Error](err); err != nil && !answered {
		_ = out.Tell(x.caller, x.path, ifAgent+".Cancel", request) // who cannot be told is gone
	}
	return err
}
