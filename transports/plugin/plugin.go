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
	What string // "missing", "gone", "timeout", "hung", "protocol"
	Err  error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// PluginFault tells what it is, for those who do not know this package.
func (f *Fault) PluginFault() string { return f.What }

// Timeouts are how long a plugin may take for a call before it is given up, by
// method. The time begins when all earlier calls were answered or given up, and
// anew at each progress that the plugin tells.
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
	ready chan struct{} // closed when peer is set
	opt   Options
	child *child // nil if it was found running

	mu       sync.Mutex
	waiting  []*turn // calls that are not answered, in the order in which they were made
	answered uint64  // how many answers came
	chatter  chatter
}

// Attach speaks to a plugin that was found running.
func Attach(stream io.ReadWriteCloser, opt Options) *Conn {
	return speak(stream, opt, nil)
}

// Start starts a child and speaks to it on its standard input and output.
func Start(opt Options) (*Conn, error) {
	c, stream, err := launch(opt)
	if err != nil {
		return nil, &Fault{"missing", fmt.Errorf("cannot start the plugin %s: %w", strings.Join(opt.Argv[:min(1, len(opt.Argv))], ""), err)}
	}
	return speak(stream, opt, c), nil
}

func speak(stream io.ReadWriteCloser, opt Options, child *child) *Conn {
	c := &Conn{opt: opt, child: child, ready: make(chan struct{})}
	o := call.Options{Limit: call.MaxData, Answered: c.heard, Strict: true}
	o.Notify = func(method string, params json.RawMessage) {
		if c.bear(len(params)) && opt.Notify != nil {
			opt.Notify(method, params)
		}
	}
	if opt.Handle != nil {
		o.Handle = func(ctx context.Context, method string, params json.RawMessage) (any, error) {
			c.bear(len(params))
			return opt.Handle(ctx, method, params)
		}
	}
	c.peer = call.Start(stream, o)
	close(c.ready)
	return c
}

// Call calls the plugin. What it answers is a *call.Error; anything else is a
// Fault, or the end of ctx.
//
// A plugin that answers nothing at all in the time of a call hangs, or does not
// read: it is ended, so that nobody else waits for it too. One that answers other
// calls meanwhile loses this call alone.
func (c *Conn) Call(ctx context.Context, method string, params, result any) error {
	limit, ok := c.opt.Timeouts[method]
	if !ok {
		limit = other
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := c.enter(limit, cancel)
	err := c.peer.Call(ctx, method, params, result, t.anew)
	c.leave(t)
	_, refused := errors.AsType[*call.Error](err)
	if err == nil || refused {
		return err
	}
	switch cause := context.Cause(ctx); {
	case cause == errHung:
		c.kill()
		return &Fault{"hung", fmt.Errorf("the plugin did not answer %s within %v, nor anything else: it was ended", method, limit)}
	case cause == errLate:
		return &Fault{"timeout", fmt.Errorf("the plugin did not answer %s within %v", method, limit)}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, call.ErrProtocol), errors.Is(err, call.ErrTooLong):
		return &Fault{"protocol", err}
	}
	return &Fault{"gone", c.farewell(err)}
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

// kill ends the plugin without a word.
func (c *Conn) kill() {
	if c.child != nil {
		c.child.kill()
	}
	c.Close()
}

// Close ends the connection; a child is given a moment to end by itself, then it
// and everything that it started are killed.
func (c *Conn) Close() error {
	c.peer.Close()
	if c.child != nil {
		c.child.end()
	}
	return nil
}
