package control

import (
	"context"
	"encoding/json"
	"sync"

	"davbus.org/davbus/transports/call"
	"davbus.org/davbus/transports/private"
)

// A Client speaks to a control socket. It may be used by several goroutines.
type Client struct {
	peer *call.Peer

	mu  sync.Mutex
	got func(Update)
}

// An Update is what subscribers get: one of these.
type Update struct {
	Snapshot *Snapshot
	Event    *Received
	Gap      *Gap
}

// Received is an event as it came.
type Received struct {
	Seq  uint64          `json:"seq"`
	Data json.RawMessage `json:"event"`
}

// Dial connects to a control socket, after making sure that this user, or root,
// listens there.
func Dial(path string) (*Client, error) {
	sock, err := private.Dial(path)
	if err != nil {
		return nil, err
	}
	c := &Client{}
	c.peer = call.Start(sock, call.Options{Notify: c.notified, Strict: true})
	return c, nil
}

// Close ends the connection, and what was bound to it.
func (c *Client) Close() error { return c.peer.Close() }

// Done is closed when the connection has ended; Err tells why.
func (c *Client) Done() <-chan struct{} { return c.peer.Done() }

// Err is nil while the connection stands.
func (c *Client) Err() error { return c.peer.Err() }

// Call carries out a command. Params and result are objects with the arguments by
// name; result may be nil. An error of the daemon is a *call.Error, whose Name is
// what the bus calls it. When ctx ends the daemon is told.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	return c.peer.Call(ctx, method, params, result, nil)
}

// Subscribe has got called, one after the other, for the whole state and then for
// every event. got must not call back, and holds up everything else meanwhile.
func (c *Client) Subscribe(ctx context.Context, got func(Update)) error {
	c.mu.Lock()
	c.got = got
	c.mu.Unlock()
	return c.Call(ctx, "subscribe", nil, nil)
}

func (c *Client) notified(method string, params json.RawMessage) {
	c.mu.Lock()
	got := c.got
	c.mu.Unlock()
	if got == nil {
		return
	}
	var u Update
	var into any
	switch method {
	case noteSnapshot:
		u.Snapshot = &Snapshot{}
		into = u.Snapshot
	case noteEvent:
		u.Event = &Received{}
		into = u.Event
	case noteGap:
		u.Gap = &Gap{}
		into = u.Gap
	default:
		return // of a newer daemon
	}
	if json.Unmarshal(params, into) == nil {
		got(u)
	}
}
