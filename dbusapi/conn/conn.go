// Package conn is the daemon's connection to the message bus.
//
// It is our own because any program on the bus may send it anything. The
// library we use for the encoding of values dies of some messages that hold
// descriptors, keeps descriptors open that nobody asked for, buffers messages
// of any length, answers calls in any order and leaves the bus when it cannot
// read a value. Here a message is framed, measured and checked before anything
// decodes it; descriptors belong to one message and are closed unless somebody
// takes them; calls are handed over in the order of the wire; and everything
// that is sent goes out through one queue, in the order in which it was queued.
package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

// Options of a connection. Zero values mean the defaults that are named here.
type Options struct {
	// Handler gets the calls of others. Without one they are all refused.
	Handler Handler

	MaxMessage int // a longer message is refused without being buffered; 1 MiB
	MaxSend    int // nothing longer is sent; 32 MiB
	MaxBacklog int // a bus that leaves more than this unread is given up; 64 MiB
}

// A Handler answers method calls.
type Handler interface {
	// HandleCall gets one call. It runs on the goroutine that reads from the bus
	// and must not wait. The message's files are its to close.
	HandleCall(c *Conn, m *Incoming)
}

// A Conn is one connection. It may be used by several goroutines.
type Conn struct {
	opts   Options
	socket *net.UnixConn
	files  bool
	name   string

	serial  atomic.Uint32
	queued  atomic.Uint64
	out     queue
	pending pending

	listenMu  sync.Mutex
	listeners []*listener

	work sync.WaitGroup
	done chan struct{}
	fail sync.Once
	err  error // set before done is closed
}

// ErrClosed is why a connection ended that was closed at this end.
var ErrClosed = errors.New("the connection to the bus is closed")

// Dial joins the bus at an address, as the specification of D-Bus writes
// addresses; several, parted by ";", are tried in turn. The context bounds the
// joining only.
func Dial(ctx context.Context, address string, o Options) (*Conn, error) {
	socket, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	files, err := login(ctx, socket)
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("cannot log in to the bus: %w", err)
	}
	c := New(socket, files, o)
	reply, err := c.Call(ctx, busName, busPath, busName+".Hello")
	if err == nil {
		err = reply.Store(&c.name)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot join the bus: %w", err)
	}
	return c, nil
}

// New serves a socket that has been logged in to. Whether descriptors may be
// passed was settled then.
func New(socket *net.UnixConn, files bool, o Options) *Conn {
	o.MaxMessage = orDefault(o.MaxMessage, 1<<20)
	o.MaxSend = orDefault(o.MaxSend, 32<<20)
	o.MaxBacklog = orDefault(o.MaxBacklog, 64<<20)
	c := &Conn{opts: o, socket: socket, files: files, done: make(chan struct{})}
	c.out.wake = make(chan struct{}, 1)
	c.pending.waiting = map[uint32]chan<- *Incoming{}
	c.work.Go(c.read)
	c.work.Go(c.write)
	return c
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Name is the unique name that the bus gave us.
func (c *Conn) Name() string { return c.name }

// PassesFiles reports whether this bus carries descriptors.
func (c *Conn) PassesFiles() bool { return c.files }

// Done is closed when the connection has ended, for whatever reason.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells why the connection ended; nil while it has not.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close leaves the bus at once and waits until nothing of the connection runs
// any more. Flush first if what was queued matters.
func (c *Conn) Close() {
	c.end(ErrClosed)
	c.work.Wait()
}

// end gives the connection up.
func (c *Conn) end(why error) {
	c.fail.Do(func() {
		c.err = why
		close(c.done)
		c.socket.Close()
	})
}

// A listener is one function that wants signals.
type listener struct{ tell func(*dbus.Signal) }

// Listen has tell called for every signal that the bus sends us, in order, on
// the goroutine that reads: it must not wait. The bus sends what AddMatch asked
// for, and what is addressed to us.
func (c *Conn) Listen(tell func(*dbus.Signal)) (stop func()) {
	l := &listener{tell}
	c.listenMu.Lock()
	defer c.listenMu.Unlock()
	c.listeners = append(c.listeners, l)
	return func() {
		c.listenMu.Lock()
		defer c.listenMu.Unlock()
		var kept []*listener
		for _, x := range c.listeners {
			if x != l {
				kept = append(kept, x)
			}
		}
		c.listeners = kept
	}
}

func (c *Conn) deliver(s *dbus.Signal) {
	c.listenMu.Lock()
	all := c.listeners
	c.listenMu.Unlock()
	for _, l := range all {
		l.tell(s)
	}
}
