// Package stream carries bytes to and from programs of this user over sockets
// that are made for one purpose: a passed end of a pair, or a private path. It
// knows nothing of what the bytes are.
package stream

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	// Once allows one connection ever; else Max at once.
	Once bool
	Max  int
	// Handle serves one connection; its error is told.
	Handle func(ctx context.Context, c *Conn) error
	// Told is called for each connection that begins and that ends, one after the
	// other, and for the end of the stream. It must not call back.
	Told func(Event)
	// Unused is how long nobody may connect before the stream closes; 0 is 60 s.
	Unused time.Duration
}

// An Event is one change of a stream.
type Event struct {
	Connected    uint32 // the number of a connection that began
	Disconnected uint32 // or of one that ended
	Closed       bool   // or the stream has ended
	Cred         peer.Cred
	Err          error
}

// ErrBusy is why a stream is not opened a second time.
var ErrBusy = errors.New("the stream is open already; make another one")

// ErrUnknown is why a kind of address or of access control is refused.
var ErrUnknown = errors.New("not supported")

// A Stream is open until Close, until its one connection has ended, or until
// nobody came.
type Stream struct {
	opt     Options
	ctx     context.Context
	cancel  context.CancelFunc
	in, out atomic.Uint64
	work    sync.WaitGroup
	timer   *time.Timer

	mu     sync.Mutex
	opened bool
	number uint32
	conns  map[*Conn]struct{}
	end    sync.Once
	told   sync.Mutex
}

// A Conn counts what goes through it.
type Conn struct {
	*net.UnixConn
	from   io.Reader
	stream *Stream
}

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.stream.in.Add(uint64(n))
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.UnixConn.Write(p)
	c.stream.out.Add(uint64(n))
	return n, err
}

// ReadFrom hides the socket's own, which would not count.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// WriteTo likewise.
func (c *Conn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

// New makes a stream that nobody can connect to yet.
func New(o Options) *Stream {
	if o.Unused == 0 {
		o.Unused = time.Minute
	}
	if o.Once || o.Max == 0 {
		o.Max = 1
	}
	s := &Stream{opt: o, conns: map[*Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.timer = time.AfterFunc(o.Unused, s.unused)
	return s
}

func (s *Stream) unused() {
	s.mu.Lock()
	none := s.number == 0
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
		s.timer.Stop()
		s.mu.Lock()
		s.opened = true
		s.cancel()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.tell(Event{Closed: true})
	})
}

func (s *Stream) tell(e Event) {
	s.told.Lock()
	defer s.told.Unlock()
	s.opt.Told(e)
}

func (s *Stream) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return ErrBusy
	}
	s.opened = true
	return nil
}

// OpenFD gives one end of a pair of sockets whose other end is served.
func (s *Stream) OpenFD() (*os.File, error) {
	if err := s.take(); err != nil {
		return nil, err
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "stream"), os.NewFile(uintptr(fds[1]), "stream")
	defer ours.Close()
	sock, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	u := sock.(*net.UnixConn) // of AF_UNIX
	s.work.Go(func() { s.serve(&Conn{u, u, s}, peer.Cred{PID: os.Getpid(), UID: uint32(os.Geteuid())}) })
	return theirs, nil
}

// Listen makes a socket at a path that cannot be guessed. The access control is
// "peer", "credentials" or "cookie"; a cookie is given for the last alone.
func (s *Stream) Listen(address, access string) (path, cookie string, err error) {
	if address != "unix" || access != "peer" && access != "credentials" && access != "cookie" {
		return "", "", fmt.Errorf("%s:%s: %w; there are unix:peer, unix:credentials and unix:cookie", address, access, ErrUnknown)
	}
	if err := s.take(); err != nil {
		return "", "", err
	}
	var random [16]byte
	rand.Read(random[:])
	o := private.Options{MaxClients: s.opt.Max, RequireByte: access == "credentials"}
	l, err := s.opt.Dir.Listen("s-"+hex.EncodeToString(random[:8]), o)
	if err != nil {
		return "", "", err
	}
	if access == "cookie" {
		rand.Read(random[:])
		cookie = hex.EncodeToString(random[:])
	}
	ctx, stop := context.WithCancel(s.ctx)
	s.work.Go(func() {
		defer stop()
		l.Serve(ctx, func(_ context.Context, c *private.Conn) {
			if cookie != "" && !s.hasCookie(c, cookie) {
				return
			}
			s.serve(&Conn{c.UnixConn, c, s}, c.Cred)
		})
		l.Close()                     // Serve has it closed on a goroutine of its own
		os.Remove(l.Path() + ".lock") // of a name that is never used again
	})
	return l.Path(), cookie, nil
}

// hasCookie reads the cookie and a newline, byte by byte: what follows is the
// stream's.
func (s *Stream) hasCookie(c *private.Conn, cookie string) bool {
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(cookie)+1)
	if _, err := io.ReadFull(c, got); err != nil {
		return false
	}
	c.SetReadDeadline(time.Time{})
	return subtle.ConstantTimeCompare(got, []byte(cookie+"\n")) == 1
}

// serve serves one connection to its end.
func (s *Stream) serve(c *Conn, cred peer.Cred) {
	defer c.Close()
	s.mu.Lock()
	if s.ctx.Err() != nil || s.opt.Once && s.number > 0 {
		s.mu.Unlock()
		return
	}
	s.number++
	n := s.number
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.timer.Stop()
	s.tell(Event{Connected: n, Cred: cred})
	err := s.opt.Handle(s.ctx, c)
	if s.ctx.Err() != nil {
		err = context.Canceled
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Close()
	s.tell(Event{Disconnected: n, Cred: cred, Err: err})
	if s.opt.Once {
		s.finish()
	}
}
