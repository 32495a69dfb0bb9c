package tree

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Limits for one caller and for all.
const (
	maxQueuedCalls = 1 << 16  // of one caller
	maxQueuedBytes = 32 << 20 // of one caller
	maxHeldFiles   = 16       // of one caller, in calls that wait for their turn
	maxAllBytes    = 128 << 20
	maxAllFiles    = 256
	maxDetached    = 64 // waiting calls of one caller
	maxAllDetached = 4096
	workers        = 32 // callers served at the same time
)

// lanes keep the calls of one caller in order.
type lanes struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	work   sync.WaitGroup
	slots  chan struct{}
	open   chan struct{} // closed when calls may be carried out

	mu       sync.Mutex
	closed   bool
	bySender map[string]*lane
	bytes    int // in all queues
	files    int
	detached int
	inFlight int
	idle     []chan struct{} // closed when inFlight is zero
}

// A lane is the queue of one caller.
type lane struct {
	sender   string
	queue    []*call
	bytes    int
	files    int
	detached int
	running  bool
}

// ErrStopped is why a call was not carried out, or not to its end: the tree has
// been closed.
var ErrStopped = errors.New("the service is stopping")

// ErrCallerGone is why the context of a detached call ended.
var ErrCallerGone = errors.New("the caller has left the bus")

func (l *lanes) start() {
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.slots = make(chan struct{}, workers)
	l.open = make(chan struct{})
	l.bySender = map[string]*lane{}
}

// add queues a call, or tells why it cannot.
func (l *lanes) add(c *call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrStopped
	}
	q := l.bySender[c.msg.Sender]
	if q == nil {
		q = &lane{sender: c.msg.Sender}
	}
	size, files := c.msg.Size(), len(c.msg.Files)
	switch {
	case len(q.queue) >= maxQueuedCalls, q.bytes+size > maxQueuedBytes:
		return limit("you have too many calls waiting; wait for some replies first")
	case l.bytes+size > maxAllBytes:
		return limit("too many calls are waiting; try again later")
	case q.files+files > maxHeldFiles, l.files+files > maxAllFiles:
		return limit("too many descriptors are waiting to be taken; wait for some replies first")
	}
	l.bySender[q.sender] = q
	c.lane = q
	q.queue = append(q.queue, c)
	q.bytes, q.files = q.bytes+size, q.files+files
	l.bytes, l.files = l.bytes+size, l.files+files
	l.inFlight++
	if !q.running {
		q.running = true
		l.work.Go(func() { l.run(q) })
	}
	return nil
}

// run carries out the calls of one lane, one after the other, until there are
// none or one of them detaches, whose goroutine this then is.
//
// What comes before the tree is complete waits for that.
func (l *lanes) run(q *lane) {
	l.slots <- struct{}{}
	select {
	case <-l.open:
	case <-l.ctx.Done():
	}
	for {
		c := l.next(q)
		if c == nil {
			<-l.slots
			return
		}
		c.serve()
		if l.finish(c) {
			return
		}
	}
}

func (l *lanes) next(q *lane) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(q.queue) == 0 {
		q.running = false
		l.sweep(q)
		return nil
	}
	c := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	size, files := c.msg.Size(), len(c.msg.Files)
	q.bytes, q.files = q.bytes-size, q.files-files
	l.bytes, l.files = l.bytes-size, l.files-files
	return c
}

// finish counts a call as done and tells whether it had detached.
func (l *lanes) finish(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight--; l.inFlight == 0 {
		for _, ch := range l.idle {
			close(ch)
		}
		l.idle = nil
	}
	if c.detached {
		l.detached--
		c.lane.detached--
		l.sweep(c.lane)
	}
	return c.detached
}

// sweep forgets a lane that nobody uses.
func (l *lanes) sweep(q *lane) {
	if !q.running && q.detached == 0 && len(q.queue) == 0 {
		delete(l.bySender, q.sender)
	}
}

func (t *Tree) detach(c *call) error {
	if err := t.lanes.detach(c); err != nil {
		return err
	}
	if t.Gone == nil || c.msg.Sender == "" || c.forget != nil {
		return nil
	}
	stop, err := t.Gone(c.msg.Sender, func() { c.cancel(ErrCallerGone) })
	if err != nil {
		return err
	}
	c.forget = stop
	return nil
}

func (l *lanes) detach(c *call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.detached {
		return nil
	}
	if c.lane.detached >= maxDetached || l.detached >= maxAllDetached {
		return limit("you have too many calls waiting for something; cancel some first")
	}
	c.detached = true
	c.lane.detached++
	l.detached++
	<-l.slots
	l.work.Go(func() { l.run(c.lane) })
	return nil
}

// InFlight is how many calls have come and are not answered yet.
func (t *Tree) InFlight() int {
	t.lanes.mu.Lock()
	defer t.lanes.mu.Unlock()
	return t.lanes.inFlight
}

// Drain waits until every call that has come is answered.
func (t *Tree) Drain(ctx context.Context) error {
	l := &t.lanes
	l.mu.Lock()
	if l.inFlight == 0 {
		l.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	l.idle = append(l.idle, ch)
	l.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.idle = slices.DeleteFunc(l.idle, func(x chan struct{}) bool { return x == ch })
		return context.Cause(ctx)
	}
}

// Close ends the contexts of all calls, refuses new ones and waits until each
// has been answered. The connection stays.
func (t *Tree) Close() {
	t.lanes.mu.Lock()
	t.lanes.closed = true
	t.lanes.mu.Unlock()
	t.lanes.cancel(ErrStopped)
	t.lanes.work.Wait()
}

func limit(text string) *dbus.Error {
	return dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{text})
}
