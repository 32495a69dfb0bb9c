// Package davtest starts CalDAV and CardDAV servers for tests, over TCP or a
// Unix socket, with memory behind them. They can be told to fail, at a given
// request or always, in the ways in which real servers do; and they log each
// request, so that a test counts by itself.
package davtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/storage/memory"
)

// Options are what kind of server a test wants. The zero Options are a server on
// TCP that asks for no login.
type Options struct {
	Unix           bool
	User, Password string // "" asks for no login
	Digest         bool   // the login is HTTP Digest instead of Basic
	Prefix         string
	ReadOnly       bool
	MaxItem        int64
	PageSize       int
	Zone           *time.Location

	// Backend is served instead of Source.
	Backend davserver.Backend
}

// A Server runs until its test ends.
type Server struct {
	URL    string // "http://127.0.0.1:PORT", or "http://localhost" on a Unix socket
	Socket string // the Unix socket; "" on TCP
	Source *memory.Source

	opt     Options
	backend davserver.Backend
	guard   func(http.Handler) http.Handler

	mu      sync.Mutex
	handler http.Handler
	log     []*Request
	count   int // requests begun since the last ResetLog
	faults  []scripted
	served  *http.Server
	done    chan struct{}
	addr    string
}

// A Request is one request as the server saw it.
type Request struct {
	N       int // how many were begun before it, since the last ResetLog
	Method  string
	Path    string // as it was sent, escaped
	Header  http.Header
	Chunked bool  // its body came without Content-Length
	In, Out int64 // bytes of the bodies
	Status  int   // 0 if the connection was cut instead
}

// New starts a server.
func New(t testing.TB, opt Options) *Server {
	t.Helper()
	s := &Server{Source: &memory.Source{}, opt: opt, backend: opt.Backend}
	if s.backend == nil {
		s.backend = s.Source
	}
	if opt.Digest {
		s.guard = newDigest(opt.User, opt.Password).guard
	}
	if opt.Unix {
		// Paths of sockets are short; those of a test's own folder may not be.
		dir, err := os.MkdirTemp("", "davtest")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		s.Socket, s.URL = filepath.Join(dir, "dav.sock"), "http://localhost"
	}
	s.forget()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// forget makes the server as it is after a restart: it knows none of its tokens.
func (s *Server) forget() {
	opt := davserver.Options{
		Backend: s.backend, Prefix: s.opt.Prefix, User: s.opt.User,
		ReadOnly: s.opt.ReadOnly, MaxItem: s.opt.MaxItem, PageSize: s.opt.PageSize, Zone: s.opt.Zone,
	}
	if s.opt.Password != "" && !s.opt.Digest {
		opt.Login = davserver.LoginAs(s.opt.User, s.opt.Password)
	}
	var h http.Handler = davserver.New(opt)
	if s.guard != nil {
		h = s.guard(h)
	}
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
}

// Start listens again after Stop, where it did before.
func (s *Server) Start() error {
	network, addr := "tcp", s.addr
	if s.Socket != "" {
		network, addr = "unix", s.Socket
	} else if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	if s.Socket == "" {
		s.addr = l.Addr().String()
		s.URL = "http://" + s.addr
	}
	srv, done := &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: quiet()}, make(chan struct{})
	s.mu.Lock()
	s.served, s.done = srv, done
	s.mu.Unlock()
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return nil
}

// Stop cuts every connection and listens no more. It may be called twice.
func (s *Server) Stop() {
	s.mu.Lock()
	srv, done := s.served, s.done
	s.served = nil
	s.mu.Unlock()
	if srv == nil {
		return
	}
	srv.Close()
	<-done
}

// Restart is what a crash and a new start are to a client: connections cut,
// tokens unknown, items there.
func (s *Server) Restart() error {
	s.Stop()
	s.forget()
	return s.Start()
}

// Home is the path of the user's calendars or address books.
func (s *Server) Home(kind string) string {
	user := s.opt.User
	if user == "" {
		user = "user"
	}
	home := "/calendars/"
	if kind == engine.AddressBook {
		home = "/contacts/"
	}
	return s.opt.Prefix + "/" + user + home
}

// Calendar adds a calendar that takes the given components, or all.
func (s *Server) Calendar(name string, components ...string) *memory.Storage {
	return s.Source.Add(engine.Collection{Name: name, Kind: engine.Calendar, Components: components, Writable: true})
}

// AddressBook adds an address book.
func (s *Server) AddressBook(name string) *memory.Storage {
	return s.Source.Add(engine.Collection{Name: name, Kind: engine.AddressBook, Components: []string{"VCARD"}, Writable: true})
}

// Client reaches the server by TCP or by its socket, whatever the URL's host
// says. Its connections end with the test.
func (s *Server) Client(t testing.TB) *http.Client {
	network, addr := "tcp", s.addr
	if s.Socket != "" {
		network, addr = "unix", s.Socket
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
