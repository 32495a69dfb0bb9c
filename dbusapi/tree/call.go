package tree

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

// A Call is one call of a method, for the function that answers it. The zero
// Call is one by nobody, for tests.
type Call struct{ c *call }

// Sender is the unique name of the caller.
func (c Call) Sender() string {
	if c.c == nil {
		return ""
	}
	return c.c.msg.Sender
}

// Path is the object that was called.
func (c Call) Path() dbus.ObjectPath {
	if c.c == nil {
		return ""
	}
	return c.c.msg.Path
}

// Context ends when the tree is closed and, after Detach, when the caller has
// left the bus.
func (c Call) Context() context.Context {
	if c.c == nil {
		return context.Background()
	}
	return c.c.ctx
}

// Detach gives up the caller's turn: its next call begins while this one goes
// on, in the same goroutine. A method that waits for something detaches as soon
// as what it waits for cannot be missed any more. It fails, and the method
// should return its error, when the caller has too many calls waiting.
func (c Call) Detach() error {
	if c.c == nil {
		return nil
	}
	return c.c.tree.detach(c.c)
}

// After has f called when the reply has been written to the socket, or will
// never be. f must not wait.
func (c Call) After(f func()) {
	if c.c == nil {
		f()
		return
	}
	c.c.after = append(c.c.after, f)
}

// A FileCall is the Call of a method that may get one descriptor inside a
// variant, such as an option. In the variant it is a [dbus.UnixFDIndex].
type FileCall struct{ Call }

// Take hands over the descriptor that an index stands for; who takes it closes
// it. It is false if no such descriptor came, or if it was taken already.
func (c FileCall) Take(i dbus.UnixFDIndex) (*os.File, bool) {
	if c.c == nil {
		return nil, false
	}
	return c.c.msg.Take(i)
}

// A call is one call under way.
type call struct {
	tree   *Tree
	conn   *conn.Conn
	msg    *conn.Incoming
	lane   *lane
	ctx    context.Context
	cancel context.CancelCauseFunc
	after  []func()

	badFiles bool   // it came with descriptors that its method does not take
	detached bool   // guarded by lanes.mu
	forget   func() // undoes what Gone arranged

	within context.Context // of a local call; nil of one from the bus
	local  func(Answer)    // takes its answer
}
