// Package stream carries bytes to and from programs of this user over sockets
// that are made for one purpose: a passed end of a pair, a private path, or a
// loopback port. It knows nothing of what the bytes are, but for HTTP, which a
// port must be guarded by: see Conn.ServeHTTP.
package stream

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

// Options are what a stream does.
type Options struct {
	// Dir is where its socket lies.
	Dir *private.Dir
	// Once closes the stream when its last connection has ended: as many are
	// served as are allowed, and never one more.
	Once bool
	// Max is how many connections are allowed where Listen does not say; 0 is 1.
	Max int
	// HTTP says that HTTP is spoken, so that a password can be asked for.
	HTTP bool
	// Handle serves one connection; its error is told.
	Handle func(ctx context.Context, c *Conn) error
	// Told is called for each connection that begins and that ends, for bytes
	// that moved, and for the end of the stream, one after the other. It must not
	// call back.
	Told func(Event)
	// Unused is how long nobody may connect before the stream closes; 0 is 60 s.
	Unused time.Duration
	// Unread is how long a client may leave unread what it asked for; 0 is 60 s.
	Unread time.Duration
	// Every is how far apart moved bytes are told at least; 0 is 1 s.
	Every time.Duration
}

// An Event is one change of a stream.
type Event struct {
	Connected    uint32 // the number of a connection that began
	Disconnected uint32 // or of one that ended
	Moved        bool   // or bytes have moved: see Bytes
	Closed       bool   // or the stream has ended
	Cred         peer.Cred
	Err          error
}

// ErrBusy is why a stream is not opened a second time: a passed end may be
// replaced once its holder has left before the end.
var ErrBusy = errors.New("the stream is open already; make another one")

// ErrInvalid is why options make no sense together.
var ErrInvalid = errors.New("invalid")

// ErrMore is what Handle returns, maybe wrapped, if the client left before its
// work was done: another connection may go on with it.
var ErrMore = errors.New("the other side left before the end")

// ErrUnknown is why a kind of address or of access control is refused.
var ErrUnknown = errors.New("not supported")

// A Stream is open until Close, until its last connection has ended, or until
// nobody came.
type Stream struct {
	opt     Options
	ctx     context.Context
	cancel  context.CancelFunc
	in, out atomic.Uint64
	work    sync.WaitGroup
	unused  *time.Timer

	moving atomic.Bool // bytes have moved that nobody was told of yet
	teller *time.Timer

	mu     sync.Mutex
	opened bool
	passed bool // as a descriptor
	max    int
	number uint32 // of the last connection
	ended  int    // connections that had their work done
	conns  map[*Conn]struct{}
	// waiting are those of a port from their first moment on; of a path the
	// listener keeps them.
	waiting map[*Conn]struct{}
	end     sync.Once

	told   sync.Mutex
	closed bool // has been told
}

// New makes a stream that nobody can connect to yet.
func New(o Options) *Stream {
	if o.Unused == 0 {
		o.Unused = time.Minute
	}
	if o.Unread == 0 {
		o.Unread = time.Minute
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	s := &Stream{opt: o, max: max(o.Max, 1), conns: map[*Conn]struct{}{}, waiting: map[*Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.teller = time.AfterFunc(time.Hour, s.tellMoved)
	s.teller.Stop()
	s.unused = time.AfterFunc(o.Unused, s.nobodyCame)
	return s
}

func (s *Stream) nobodyCame() {
	s.mu.Lock()
	none := len(s.conns) == 0
	s.mu.Unlock()
	if none {
		s.finish()
	}
}

// Bytes is how many came in and went out so far.
func (s *Stream) Bytes() (in, out uint64) { return s.in.Load(), s.out.Load() }

// Close ends all connections and waits for them.
func (s *Stream) Close() {
	s.finish()
	s.work.Wait()
}

// finish ends everything and tells so, once. It does not wait.
func (s *Stream) finish() {
	s.end.Do(func() {
		s.mu.Lock()
		s.unused.Stop()
		s.teller.Stop()
		s.opened = true
		s.cancel()
		for c := range s.conns {
			c.Close()
		}
		for c := range s.waiting {
			c.Close()
		}
		s.mu.Unlock()
		s.tell(Event{Closed: true})
	})
}

// tell tells one thing; nothing after the end but that connections ended.
func (s *Stream) tell(e Event) {
	s.told.Lock()
	defer s.told.Unlock()
	if s.closed && e.Moved {
		return
	}
	s.closed = s.closed || e.Closed
	s.opt.Told(e)
}

// moved counts bytes and has it told, not too often. The end of the connection
// tells the last of them.
func (s *Stream) moved(in, out int) {
	if in+out <= 0 {
		return
	}
	s.in.Add(uint64(in))
	s.out.Add(uint64(out))
	if s.moving.CompareAndSwap(false, true) {
		s.teller.Reset(s.opt.Every)
	}
}

func (s *Stream) tellMoved() {
	s.moving.Store(false)
	s.tell(Event{Moved: true})
}

// take opens the stream for as many connections as are asked for; 0 for as many
// as usual.
func (s *Stream) take(most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return ErrBusy
	}
	s.opened = true
	if most > 0 {
		s.max = most
	}
	return nil
}

// reopen is for a socket that could not be made.
func (s *Stream) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = s.ctx.Err() != nil
}

// OpenFD gives one end of a pair of sockets whose other end is served.
func (s *Stream) OpenFD() (*os.File, error) {
	if err := s.take(1); err != nil {
		return nil, err
	}
	theirs, ours, err := pair()
	if err != nil {
		s.reopen()
		return nil, err
	}
	s.mu.Lock()
	s.passed = true
	s.mu.Unlock()
	s.work.Go(func() {
		s.serve(&Conn{wire: ours, from: ours, stream: s}, peer.Cred{PID: os.Getpid(), UID: uint32(os.Geteuid())})
	})
	return theirs, nil
}

func pair() (theirs *os.File, ours *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs, end := os.NewFile(uintptr(fds[0]), "stream"), os.NewFile(uintptr(fds[1]), "stream")
	defer end.Close()
	sock, err := net.FileConn(end)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return theirs, sock.(*net.UnixConn), nil // of AF_UNIX
}

// serve serves one connection to its end.
func (s *Stream) serve(c *Conn, cred peer.Cred) {
	defer c.Close()
	n := s.begin(c)
	if n == 0 {
		return
	}
	s.tell(Event{Connected: n, Cred: cred})
	err := s.opt.Handle(s.ctx, c)
	if s.ctx.Err() != nil {
		err = context.Canceled
	}
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	if errors.Is(err, ErrMore) && s.ctx.Err() == nil {
		s.unused.Reset(s.opt.Unused)
		s.opened = s.opened && !s.passed
	} else {
		s.ended++
	}
	last := s.opt.Once && s.ended == s.max
	s.mu.Unlock()
	s.tell(Event{Disconnected: n, Cred: cred, Err: err})
	if last {
		s.finish()
	}
}

// begin gives a connection its number; 0 if it is not to be served.
func (s *Stream) begin(c *Conn) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.conns) >= s.max || s.opt.Once && s.ended+len(s.conns) >= s.max {
		return 0
	}
	s.number++
	s.conns[c] = struct{}{}
	s.unused.Stop()
	return s.number
}
