// Package callers tells who calls, and when a caller has left the bus.
package callers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
)

const (
	bus = "org.freedesktop.DBus"

	// patience is how long the bus may take to answer a question.
	patience = 5 * time.Second

	// maxWatched bounds the callers that are watched: each costs a match rule,
	// which the bus counts.
	maxWatched = 1000

	// maxKnown bounds the callers that are remembered. Unique names are never
	// used twice, so what is remembered cannot become wrong; it only takes room.
	maxKnown = 1024
)

// errGone is why a caller cannot be watched: it has left the bus.
var errGone = errors.New("the caller has left the bus")

var _ dbusapi.Callers = (*Callers)(nil)

// Callers knows those who call over one connection; it is a [dbusapi.Callers]. It
// may be used by several goroutines.
type Callers struct {
	conn *conn.Conn
	proc string // where the kernel tells of processes
	stop func()
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	known   map[string]dbusapi.Caller
	order   []string // of known, oldest first
	watched map[string]*watch
}

// A watch is one caller who holds something of ours.
type watch struct {
	users int           // who watches or is about to
	ready chan struct{} // closed when the bus has been asked
	err   error         // why that failed; set before ready is closed
	asked bool          // it did not fail
	left  bool          // the caller left while the bus was being asked
	tell  map[*int]func()
}

// New starts to listen on a connection.
func New(c *conn.Conn) *Callers {
	s := &Callers{conn: c, proc: "/proc", known: map[string]dbusapi.Caller{}, watched: map[string]*watch{}}
	s.stop = c.Listen(s.heard)
	return s
}

// Close stops listening and waits for what runs. Nobody is told any more.
func (s *Callers) Close() {
	s.stop()
	s.mu.Lock()
	s.closed = true
	s.watched = map[string]*watch{}
	s.mu.Unlock()
	s.work.Wait()
}

// Identify tells who has a unique name. Who is another user's, or cannot be found
// out, is said to be in a sandbox.
func (s *Callers) Identify(name string) dbusapi.Caller {
	s.mu.Lock()
	c, ok := s.known[name]
	s.mu.Unlock()
	if ok {
		return c
	}
	c, err := s.identify(name)
	if err != nil {
		return dbusapi.Caller{Name: name, Sandboxed: true}
	}
	s.remember(c)
	return c
}

func (s *Callers) identify(name string) (dbusapi.Caller, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var credentials map[string]dbus.Variant
	if err := s.ask(ctx, "GetConnectionCredentials", name, &credentials); err != nil {
		return dbusapi.Caller{}, err
	}
	c := dbusapi.Caller{Name: name, Sandboxed: true}
	uid, ok := credentials["UnixUserID"].Value().(uint32)
	pid, known := credentials["ProcessID"].Value().(uint32)
	if !ok || int64(uid) != int64(os.Geteuid()) || !known {
		return c, nil
	}
	found := inspect(s.proc, int(pid))
	// The number of a process may have been given to another one since. As long
	// as the caller is on the bus and the number is still its own, it was its own
	// while we looked.
	var still uint32
	if err := s.ask(ctx, "GetConnectionUnixProcessID", name, &still); err != nil || still != pid {
		return c, err
	}
	c.Initiator, c.Sandboxed = cmp.Or(found.app, found.program), found.sandboxed
	c.App, c.PID, c.UID = found.app, pid, uid
	return c, nil
}

func (s *Callers) ask(ctx context.Context, method, name string, into any) error {
	r, err := s.conn.Call(ctx, bus, "/org/freedesktop/DBus", bus+"."+method, name)
	if err != nil {
		return err
	}
	return r.Store(into)
}

func (s *Callers) remember(c dbusapi.Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[c.Name]; ok {
		return
	}
	if len(s.order) == maxKnown {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[c.Name] = c
	s.order = append(s.order, c.Name)
}

// Gone has left called, once and on a goroutine of its own, when the owner of a
// name leaves the bus; at once if it has left already. stop undoes it and may be
// called at any time.
func (s *Callers) Gone(name string, left func()) (stop func(), err error) {
	s.mu.Lock()
	w, ok := s.watched[name]
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, conn.ErrClosed
	case !ok && len(s.watched) >= maxWatched:
		s.mu.Unlock()
		return nil, dbus.NewError(bus+".Error.LimitsExceeded", []any{fmt.Sprintf("more than %d programs hold something here already", maxWatched)})
	case !ok:
		w = &watch{ready: make(chan struct{}), tell: map[*int]func(){}}
		s.watched[name] = w
	}
	w.users++
	id := new(int)
	w.tell[id] = left
	s.mu.Unlock()
	var once sync.Once
	stop = func() { once.Do(func() { s.leave(name, w, id) }) }
	if !ok {
		w.err = s.begin(name)
		s.settle(name, w)
		close(w.ready)
	}
	<-w.ready
	if w.err == nil {
		return stop, nil
	}
	stop()
	if !errors.Is(w.err, errGone) {
		return nil, w.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Go(left)
	}
	return stop, nil
}

func rule(name string) string {
	return "type='signal',sender='" + bus + "',interface='" + bus + "',member='NameOwnerChanged',arg0='" + name + "'"
}

// begin asks the bus to tell of one name. The rule comes first: who leaves after
// it is told of, and who left before it is found missing.
func (s *Callers) begin(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.conn.AddMatch(ctx, rule(name)); err != nil {
		return fmt.Errorf("cannot watch %s: %w", name, err)
	}
	var here bool
	err := s.ask(ctx, "NameHasOwner", name, &here)
	if err == nil && here {
		return nil
	}
	s.mu.Lock()
	s.forget(name)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cannot watch %s: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, errGone)
}

// settle notes what the bus said.
func (s *Callers) settle(name string, w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.err == nil && w.left {
		w.err = fmt.Errorf("%s: %w", name, errGone)
		s.forget(name)
	}
	w.asked = w.err == nil
	if !w.asked && s.watched[name] == w {
		delete(s.watched, name) // who comes next asks anew
	}
}

// leave takes one watcher out.
func (s *Callers) leave(name string, w *watch, id *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(w.tell, id)
	if w.users--; w.users == 0 && s.watched[name] == w {
		delete(s.watched, name)
		s.forget(name)
	}
}

// forget takes the rule back, without waiting for the bus; mu is held.
func (s *Callers) forget(name string) {
	if s.closed {
		return
	}
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// Fails only if the connection is gone, and the rule with it.
		_ = s.conn.RemoveMatch(ctx, rule(name))
	})
}

// heard is told of every signal, on the goroutine that reads from the bus.
func (s *Callers) heard(m *dbus.Signal) {
	if m.Sender != bus || m.Name != bus+".NameOwnerChanged" || len(m.Body) != 3 {
		return
	}
	name, _ := m.Body[0].(string)
	if before, _ := m.Body[1].(string); before == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watched[name]
	switch {
	case w == nil || s.closed:
		return
	case !w.asked:
		w.left = true
		return
	}
	delete(s.watched, name)
	s.forget(name)
	for _, f := range w.tell {
		s.work.Go(f)
	}
	clear(w.tell)
}

// Watched is how many callers are watched.
func (s *Callers) Watched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watched)
}
