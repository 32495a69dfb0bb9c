package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"davbus.org/davbus/transports/peer"
)

// Handed are the connected sockets that were handed to this process under names,
// as systemd does. There is no other way to get one more of them, so one that is
// closed while nothing is under way on it is kept for who asks next. It may be
// used by several goroutines; the zero Handed has none.
type Handed struct {
	mu    sync.Mutex
	named map[string]*shelf
}

// A shelf has the sockets of one name.
type shelf struct {
	free  []*os.File
	lent  int
	moved chan struct{} // closed when one came back or is gone
}

// Add takes a socket over.
func (h *Handed) Add(name string, f *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.named == nil {
		h.named = map[string]*shelf{}
	}
	s := h.named[name]
	if s == nil {
		s = &shelf{moved: make(chan struct{})}
		h.named[name] = s
	}
	s.free = append(s.free, f)
}

// Close closes those that are not lent.
func (h *Handed) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.named {
		for _, f := range s.free {
			f.Close()
		}
		s.free = nil
	}
}

// take lends a socket; it waits for one that is lent to somebody else.
func (h *Handed) take(ctx context.Context, name string) (net.Conn, error) {
	if h == nil {
		return nil, fmt.Errorf("no descriptor %s was handed to the service", name)
	}
	for {
		f, wait, err := h.next(name)
		if err != nil {
			return nil, err
		}
		if f == nil {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("the connection that was handed over as %s is in use: %w", name, ctx.Err())
			}
		}
		c, err := h.lend(name, f)
		if err == nil || !errors.Is(err, errAtEnd) {
			return c, err
		}
	}
}

// next is a socket, or the channel that tells when to look again.
func (h *Handed) next(name string) (f *os.File, wait <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.named[name]
	switch {
	case s == nil:
		return nil, nil, fmt.Errorf("no descriptor %s was handed to the service", name)
	case len(s.free) > 0:
		f, s.free = s.free[0], s.free[1:]
		s.lent++
		return f, nil, nil
	case s.lent > 0:
		return nil, s.moved, nil
	}
	return nil, nil, fmt.Errorf("the connection that was handed over as %s has been used up: its server closed it, or a request on it was given up", name)
}

// back takes a socket back, or notes that it is gone.
func (h *Handed) back(name string, f *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.named[name]
	s.lent--
	if f != nil {
		s.free = append(s.free, f)
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

var errAtEnd = errors.New("the connection is at its end")

func (h *Handed) lend(name string, f *os.File) (c net.Conn, err error) {
	defer func() {
		if err != nil {
			f.Close()
			h.back(name, nil)
		}
	}()
	conn, err := net.FileConn(f)
	if err == nil && !connected(conn) {
		conn.Close()
		err = errors.New("it is not connected, or no stream")
	}
	if err != nil {
		return nil, fmt.Errorf("descriptor %s is no connected socket: %w", name, err)
	}
	if u, ok := conn.(*net.UnixConn); ok {
		_, err = peer.Server(u)
	}
	if err == nil && !quiet(conn) {
		err = errAtEnd
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &lent{Conn: conn, h: h, name: name, f: f}, nil
}

// quiet says whether a connection is open and nothing is left on it to read.
func quiet(c net.Conn) bool {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	var peek error
	err = raw.Control(func(fd uintptr) {
		_, _, peek = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
	})
	return err == nil && (errors.Is(peek, syscall.EAGAIN) || errors.Is(peek, syscall.EWOULDBLOCK))
}

// A lent connection goes back when it is closed, if whoever used it has said of
// all that went over it that it is done with.
type lent struct {
	net.Conn
	h    *Handed
	name string
	f    *os.File

	busy  atomic.Int32
	loose atomic.Bool // something went over it that nobody speaks for
	once  sync.Once
}

// Busy counts the exchanges that are under way: +1 when one begins, -1 when it
// has ended as it should.
func (l *lent) Busy(n int32) { l.busy.Add(n) }

func (l *lent) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.seen(n)
	return n, err
}

func (l *lent) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.seen(n)
	return n, err
}

func (l *lent) seen(n int) {
	if n > 0 && l.busy.Load() == 0 {
		l.loose.Store(true)
	}
}

// Close gives it back, or ends it.
func (l *lent) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = l.Conn.Close()
		f := l.f
		if l.busy.Load() != 0 || l.loose.Load() {
			f.Close()
			f = nil
		}
		l.h.back(l.name, f)
	})
	return err
}
