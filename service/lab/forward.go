package lab

import (
	"io"
	"net"
	"path/filepath"
	"sync"
)

// forward carries every connection to one place on to another, byte by byte, and
// gives the address where it listens. A place that does not answer is told by
// closing the connection.
func forward(t T, network, addr, toNetwork, toAddr string) string {
	t.Helper()
	at, _ := carried(t, network, addr, toNetwork, toAddr)
	return at
}

// Tap carries what comes to a socket of its own on to another and keeps a copy of
// everything that crosses, in both directions.
func Tap(t T, socket string) (at string, crossed func() string) {
	t.Helper()
	at, f := carried(t, "unix", filepath.Join(shortDir(t), "tap"), "unix", socket)
	return at, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return string(f.crossed)
	}
}

func carried(t T, network, addr, toNetwork, toAddr string) (string, *forwarder) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatalf("cannot listen on %s: %v", addr, err)
	}
	f := &forwarder{open: map[net.Conn]bool{}}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.carry(c, toNetwork, toAddr) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.close()
	})
	return l.Addr().String(), f
}

type forwarder struct {
	wg      sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
	crossed []byte
	closed  bool
}

// Write keeps a copy of what crosses.
func (f *forwarder) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crossed = append(f.crossed, b...)
	return len(b), nil
}

// keep remembers a connection, so that close can end it; false if it is too late.
func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.open[c] = true
	}
	return !f.closed
}

func (f *forwarder) drop(c net.Conn) {
	c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

func (f *forwarder) close() {
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *forwarder) carry(from net.Conn, network, addr string) {
	defer f.drop(from)
	to, err := net.Dial(network, addr)
	if err != nil || !f.keep(from) || !f.keep(to) {
		return
	}
	defer f.drop(to)
	var both sync.WaitGroup
	both.Go(func() { f.half(to, from) })
	both.Go(func() { f.half(from, to) })
	both.Wait()
}

// half carries one direction and passes its end on.
func (f *forwarder) half(to, from net.Conn) {
	io.Copy(io.MultiWriter(f, to), from)
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}
