package intro

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/transports/call"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

// A Door lets programs in that are on no bus. They call "register",
// "unregister", "introduce" and "names", and are called "incoming". The socket
// that is introduced goes with the line ("descriptors": 1).
type Door struct {
	Listener *private.Listener
	Broker   *Broker
	// Who tells of a process what a sandbox keeps it from. nil: nobody is in one.
	Who func(pid int) (app string, sandboxed bool)
	// Ended is told why a client was sent away. It may be nil, and must not wait.
	Ended func(cred peer.Cred, err error)
	// Patience is how long a client may take to ask for something first, and to
	// read what it is told; 0 is 30 s.
	Patience time.Duration

	last atomic.Uint64
}

// Serve serves until ctx ends; then every client is sent away. What they were
// introduced to is theirs.
func (d *Door) Serve(ctx context.Context) error { return d.Listener.Serve(ctx, d.client) }

// A guest is one client.
type guest struct {
	door   *Door
	sender Sender
	stream *private.FileConn
	spoke  sync.Once // it asked for something: it may be silent from now on
	peer   *call.Peer
	ready  chan struct{} // closed when peer is set
}

func (d *Door) client(ctx context.Context, conn *private.Conn) {
	g := &guest{door: d, ready: make(chan struct{}), sender: Sender{
		Owner: "socket " + strconv.FormatUint(d.last.Add(1), 10), PID: uint32(conn.Cred.PID), UID: conn.Cred.UID,
	}}
	if d.Who != nil {
		g.sender.App, g.sender.Sandboxed = d.Who(conn.Cred.PID)
	}
	defer d.Broker.Leave(g.sender.Owner)
	g.stream = conn.Files()
	if g.stream.Patience = d.Patience; d.Patience == 0 {
		g.stream.Patience = patience
	}
	if g.stream.SetReadDeadline(time.Now().Add(g.stream.Patience)) != nil {
		return
	}
	g.peer = call.Start(g.stream, call.Options{Strict: true, Handle: g.handle})
	close(g.ready)
	select {
	case <-ctx.Done():
	case <-g.peer.Done():
	}
	err := g.peer.Err()
	g.peer.Close()
	if d.Ended != nil && err != nil && !errors.Is(err, io.EOF) {
		d.Ended(conn.Cred, err)
	}
}

// An introduce is what "introduce" takes.
type introduce struct {
	Name     string          `json:"name"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Wait     bool            `json:"wait,omitempty"` // for somebody to register the name
}

// An incoming is what "incoming" tells.
type incoming struct {
	Name     string          `json:"name"`
	Metadata json.RawMessage `json:"metadata"`
	Sender   Sender          `json:"sender"`
}

func (g *guest) handle(ctx context.Context, method string, params json.RawMessage) (any, error) {
	<-g.ready
	g.spoke.Do(func() { g.stream.SetReadDeadline(time.Time{}) })
	b, owner := g.door.Broker, g.sender.Owner
	switch method {
	case "register":
		var n Name
		if err := read(params, &n); err != nil {
			return nil, err
		}
		return g.register(n)
	case "unregister":
		var n Name
		if err := read(params, &n); err != nil {
			return nil, err
		}
		return struct{}{}, b.Unregister(owner, n.Name)
	case "introduce":
		var i introduce
		if err := read(params, &i); err != nil {
			return nil, err
		}
		socket := call.TakeFile(ctx)
		if socket == nil {
			return nil, failed(Invalid, `"introduce" wants one descriptor with its line, and "descriptors": 1`)
		}
		return struct{}{}, b.Introduce(ctx, Introduction{Name: i.Name, Sender: g.sender, Metadata: i.Metadata, Socket: socket}, i.Wait)
	case "names":
		return map[string]any{"names": append([]string{}, b.Names()...)}, nil
	}
	return nil, &call.Error{Code: call.CodeMethodNotFound, Message: "there is no method " + strconv.Quote(method) + ` here; there are "register", "unregister", "introduce" and "names"`}
}

func read(params json.RawMessage, into any) error {
	if err := json.Unmarshal(params, into); err != nil {
		return &call.Error{Code: call.CodeInvalidParams, Name: Invalid, Message: fmt.Sprintf("the params cannot be read: %v", err)}
	}
	return nil
}

func (g *guest) register(n Name) (any, error) {
	if g.sender.Sandboxed {
		return nil, failed(Denied, "programs in a sandbox cannot register a name")
	}
	designator, err := g.door.Broker.Register(Registration{Name: n, Owner: g.sender.Owner, Deliver: g.deliver})
	return map[string]any{"designator": designator}, err
}

// deliver calls the client. What it answers with an error it has refused.
func (g *guest) deliver(ctx context.Context, in Introduction) error {
	metadata, err := json.Marshal(in.Metadata)
	if err != nil {
		in.Socket.Close()
		return err
	}
	return g.peer.CallFiles(ctx, "incoming", incoming{in.Name, metadata, in.Sender}, nil, []*os.File{in.Socket}...)
}
