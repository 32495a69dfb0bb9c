package service

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
)

// callers tells who is behind a name on the bus, and when it leaves. What it
// learns of a name holds as long as the name: the bus never uses one again.
type callers struct {
	bus      *conn.Conn
	unlisten func()
	work     sync.WaitGroup

	mu    sync.Mutex
	known map[string]dbusapi.Caller
	gone  map[string]map[int]func()
	next  int
}

const (
	maxKnown = 1024
	busTime  = 5 * time.Second
)

func newCallers(bus *conn.Conn) *callers {
	c := &callers{bus: bus, known: map[string]dbusapi.Caller{}, gone: map[string]map[int]func(){}}
	c.unlisten = bus.Listen(c.signal)
	return c
}

func (c *callers) close() {
	c.unlisten()
	c.work.Wait()
}

// Identify tells who a caller is. What cannot be told for certain counts as
// sandboxed.
func (c *callers) Identify(name string) dbusapi.Caller {
	c.mu.Lock()
	who, ok := c.known[name]
	c.mu.Unlock()
	if ok {
		return who
	}
	who = dbusapi.Caller{Name: name, Sandboxed: true}
	uid, pid, err := c.credentials(name)
	if err == nil && uid == uint32(os.Getuid()) {
		who.Initiator, who.Sandboxed = programOf(pid)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[name] = who
	return who
}

func (c *callers) credentials(name string) (uid, pid uint32, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	r, err := c.bus.Call(ctx, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetConnectionCredentials", name)
	var all map[string]dbus.Variant
	if err == nil {
		err = r.Store(&all)
	}
	if err != nil {
		return 0, 0, err
	}
	uid, isUID := all["UnixUserID"].Value().(uint32)
	pid, _ = all["ProcessID"].Value().(uint32)
	if !isUID {
		return 0, 0, errors.New("the bus does not tell the user of a caller")
	}
	return uid, pid, nil
}

// Gone calls left once when the owner of a name has left the bus.
func (c *callers) Gone(name string, left func()) (stop func(), err error) {
	c.mu.Lock()
	c.next++
	n := c.next
	if c.gone[name] == nil {
		c.gone[name] = map[int]func(){}
	}
	c.gone[name][n] = left
	c.mu.Unlock()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			c.mu.Lock()
			delete(c.gone[name], n)
			c.mu.Unlock()
			c.work.Go(func() { c.match("RemoveMatch", name) })
		})
	}
	// First ask to be told, then look: it may have left already.
	if err := c.match("AddMatch", name); err != nil {
		stop()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	_, err = c.bus.Call(ctx, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetNameOwner", name)
	if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		c.left(name)
	} else if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (c *callers) match(do, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	rule := "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + name + "'"
	if do == "AddMatch" {
		return c.bus.AddMatch(ctx, rule)
	}
	return c.bus.RemoveMatch(ctx, rule)
}

func (c *callers) signal(s *dbus.Signal) {
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 {
		return
	}
	if name, ok := s.Body[0].(string); ok && s.Body[2] == "" {
		c.left(name)
	}
}

func (c *callers) left(name string) {
	c.mu.Lock()
	calls := c.gone[name]
	delete(c.gone, name)
	delete(c.known, name)
	c.mu.Unlock()
	for _, left := range calls {
		c.work.Go(left)
	}
}
