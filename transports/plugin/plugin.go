// Package plugin runs programs that keep items for davbus, and talks to them. A
// plugin may be started as a child or found already running at a socket; either
// way it is spoken to by JSON-RPC 2.0, one object a line.
//
// A plugin is not trusted: it gets an empty environment, no descriptors, limits
// of its own and a group of processes that ends with it. What it does wrong
// fails its calls, and nothing else.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"davbus.org/davbus/transports/call"
)

// A Fault is a failure of the plugin itself, not of what it was asked.
type Fault struct {
	What string // "missing", "gone", "timeout", "protocol"
	Err  error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// PluginFault tells what it is, for those who do not know this package.
func (f *Fault) PluginFault() string { return f.What }

// Timeouts are how long a plugin may take for a call before it is given up, by
// method. Progress that it tells begins the time anew.
type Timeouts map[string]time.Duration

// other is the time for a method that Timeouts does not name.
const other = 60 * time.Second

// DefaultTimeouts are generous to what reads whole collections.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		"connect": 30 * time.Second, "disconnect": 30 * time.Second, "committed_all": 30 * time.Second, "sync_done": 30 * time.Second,
		"get_changes": 30 * time.Minute, "read": 30 * time.Minute, "commit": 5 * time.Minute, "finalize": 10 * time.Second,
	}
}

// Options say what plugin is meant and who listens to it.
type Options struct {
	Notify   func(method string, params json.RawMessage)
	Handle   func(ctx context.Context, method string, params json.RawMessage) (any, error)
	Timeouts Timeouts

	// For a child only.
	Argv   []string
	Env    []string          // the whole environment
	Dir    string            // "" is the root folder
	Limits Limits            // zero fields are defaults
	Stderr func(line string) // what it writes there; it must not wait long
}

// A Conn is one plugin that is spoken to.
type Conn struct {
	peer  *call.Peer
	opt   Options
	child *child // nil if it was found running

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]func() // calls that are not answered, in the order of their numbers
}

// Attach speaks to a plugin that was found running.
func Attach(stream io.ReadWriteCloser, opt Options) *Conn {
	return &Conn{peer: start(stream, opt), opt: opt, waiting: map[uint64]func(){}}
}

// Start starts a child and speaks to it on its standard input and output.
func Start(opt Options) (*Conn, error) {
	c, stream, err := launch(opt)
	if err != nil {
		return nil, &Fault{"missing", fmt.Errorf("cannot start the plugin %s: %w", strings.Join(opt.Argv[:min(1, len(opt.Argv))], ""), err)}
	}
	return &Conn{peer: start(stream, opt), opt: opt, child: c, waiting: map[uint64]func(){}}, nil
}

func start(stream io.ReadWriteCloser, opt Options) *call.Peer {
	return call.Start(stream, call.Options{Limit: call.MaxData, Handle: opt.Handle, Notify: opt.Notify, Strict: true})
}

// Call calls the plugin. What it answers is a *call.Error; anything else is a
// Fault, or the end of ctx.
//
// What a plugin answers one after the other waits for those before: when one is
// answered, the time of those that were called after it begins anew.
func (c *Conn) Call(ctx context.Context, method string, params, result any) error {
	limit, ok := c.opt.Timeouts[method]
	if !ok {
		limit = other
	}
	late := errors.New("no answer in time")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(late) })
	defer timer.Stop()
	answered := c.queue(func() { timer.Reset(limit) })
	err := c.peer.Call(ctx, method, params, result, func() { timer.Reset(limit) })
	_, refused := errors.AsType[*call.Error](err)
	answered(err == nil || refused)
	if err == nil || refused {
		return err
	}
	switch {
	case context.Cause(ctx) == late:
		return &Fault{"timeout", fmt.Errorf("the plugin did not answer %s within %v", method, limit)}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, call.ErrProtocol), errors.Is(err, call.ErrTooLong):
		return &Fault{"protocol", err}
	}
	return &Fault{"gone", c.farewell(err)}
}

// queue notes a call that waits. answered takes it out; if the plugin has
// answered it, all that were called later begin anew.
func (c *Conn) queue(anew func()) (answered func(bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	n := c.last
	c.waiting[n] = anew
	return func(is bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, n)
		for later, anew := range c.waiting {
			if is && later > n {
				anew()
			}
		}
	}
}

// Tell sends the plugin a notification.
func (c *Conn) Tell(ctx context.Context, method string, params any) error {
	return c.peer.Notify(ctx, method, params)
}

// farewell says how a plugin ended.
func (c *Conn) farewell(err error) error {
	if c.child == nil {
		return fmt.Errorf("the plugin closed its connection: %w", err)
	}
	select {
	case <-c.child.ended:
		return fmt.Errorf("the plugin ended: %s", c.child.how())
	case <-time.After(time.Second):
		return fmt.Errorf("the plugin closed its output: %w", err)
	}
}

// Pending is how many calls wait for the plugin.
func (c *Conn) Pending() int { return c.peer.Pending() }

// Done is closed when the plugin cannot be spoken to any more.
func (c *Conn) Done() <-chan struct{} { return c.peer.Done() }

// Close ends the connection; a child is given a moment to end by itself, then it
// and everything that it started are killed.
func (c *Conn) Close() error {
	c.peer.Close()
	if c.child != nil {
		c.child.end()
	}
	return nil
}
