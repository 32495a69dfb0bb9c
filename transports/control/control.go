// Package control serves commands on a private socket: JSON-RPC 2.0, one object a
// line, as package call reads and writes it. It knows none of the commands.
//
// Two methods are its own: "commands" lists what there is, and "subscribe" tells
// the whole state and then every event.
package control

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"davbus.org/davbus/transports/call"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

// Limits of one client.
const (
	maxClients = 128
	patience   = 30 * time.Second
)

// A Registry is the commands that a socket offers.
type Registry interface {
	// Commands lists them, in a form that json.Marshal takes.
	Commands() any

	// Join is called for each client, whom the kernel has named. Leave ends
	// everything that was the client's.
	Join(cred peer.Cred) Caller
}

// A Caller is one client, as the commands see it.
type Caller interface {
	// Begin starts a command and does not wait; finish waits for its result. An
	// error with a method ErrorName has that name on the wire. known is false
	// where there is no such command.
	Begin(ctx context.Context, method string, params json.RawMessage) (finish func() (any, error), known bool)

	// Subscribe gives the whole state and has tell called for everything after
	// it, in order. tell does not wait. stop ends it.
	Subscribe(tell func(Event)) (objects []Object, stop func(), err error)

	Leave()
}

// An Object is one part of the state.
type Object struct {
	Path string
	Data any
}

// An Event is something that happened. What is losable is left out for a client
// who reads too slowly.
type Event struct {
	Data    any
	Losable bool
}

// A Server serves one socket.
type Server struct {
	Listener *private.Listener
	Registry Registry
	// Ended is told why a client was sent away; nil for nobody. It must not wait.
	Ended func(cred peer.Cred, err error)
	// Patience is how long a client may take to ask for something first, and to
	// read what it asked for; 0 is 30 s.
	Patience time.Duration
}

// Options are those of the listener that a Server needs.
func Options() private.Options { return private.Options{MaxClients: maxClients} }

// Serve serves until ctx ends; then every client is sent away.
func (s *Server) Serve(ctx context.Context) error {
	return s.Listener.Serve(ctx, s.client)
}

// client serves one client until it leaves.
func (s *Server) client(ctx context.Context, conn *private.Conn) {
	c := &client{server: s, caller: s.Registry.Join(conn.Cred)}
	defer c.caller.Leave()
	stream := &patient{Conn: conn, wait: s.Patience}
	if stream.wait == 0 {
		stream.wait = patience
	}
	if conn.SetReadDeadline(time.Now().Add(stream.wait)) != nil {
		return
	}
	c.ready = make(chan struct{})
	c.peer = call.Start(stream, call.Options{HalfClose: true, Begin: func(ctx context.Context, method string, params json.RawMessage) func() (any, error) {
		<-c.ready
		stream.spoke()
		return c.begin(ctx, method, params)
	}})
	close(c.ready)
	select {
	case <-ctx.Done():
	case <-c.peer.Done():
	}
	err := c.peer.Err()
	c.peer.Close()
	c.unsubscribe()
	if s.Ended != nil && err != nil && err != io.EOF {
		s.Ended(conn.Cred, err)
	}
}

// A patient stream gives up a client that does not read, and one that connected
// and asks nothing.
type patient struct {
	*private.Conn
	wait time.Duration
	once sync.Once
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.wait)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// spoke is called at every request; the first lets the client take its time.
func (p *patient) spoke() {
	p.once.Do(func() { p.SetReadDeadline(time.Time{}) })
}

// A client is one connection.
type client struct {
	server *Server
	caller Caller
	peer   *call.Peer
	ready  chan struct{} // closed when peer is set

	mu   sync.Mutex
	feed *feed // nil before subscribe
}

func (c *client) begin(ctx context.Context, method string, params json.RawMessage) func() (any, error) {
	switch method {
	case "commands":
		return func() (any, error) { return c.server.Registry.Commands(), nil }
	case "subscribe":
		return c.subscribe
	}
	finish, known := c.caller.Begin(ctx, method, params)
	if !known {
		return func() (any, error) {
			return nil, &call.Error{
				Code: call.CodeMethodNotFound, Name: "org.freedesktop.DBus.Error.UnknownMethod",
				Message: "there is no command " + quote(method) + "; the command \"commands\" lists them",
			}
		}
	}
	return finish
}

func quote(s string) string {
	raw, _ := json.Marshal(s) // a string cannot fail
	return string(raw)
}
