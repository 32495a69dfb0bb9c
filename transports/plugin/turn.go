package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"davbus.org/davbus/transports/call"
)

// Why a call is given up.
var (
	errLate = errors.New("no answer in time")
	errHung = errors.New("no answer in time, to no call at all")
)

// A turn is one call that waits for its answer. A plugin may take one call after
// the other: the time of a call begins when it is the oldest that waits.
type turn struct {
	conn   *Conn
	limit  time.Duration
	giveUp context.CancelCauseFunc
	timer  *time.Timer // nil until it is the oldest
	before uint64      // how many answers had come when its time began
}

// enter has a call wait.
func (c *Conn) enter(limit time.Duration, giveUp context.CancelCauseFunc) *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &turn{conn: c, limit: limit, giveUp: giveUp}
	c.waiting = append(c.waiting, t)
	c.begin()
	return t
}

// leave ends the waiting of a call; the time of the next one begins.
func (c *Conn) leave(t *turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(other *turn) bool { return other == t })
	c.begin()
}

// begin has the time of the oldest call run; mu is held.
func (c *Conn) begin() {
	if len(c.waiting) > 0 && c.waiting[0].timer == nil {
		t := c.waiting[0]
		t.before = c.answered
		t.timer = time.AfterFunc(t.limit, t.late)
	}
}

// anew begins the time anew, if it runs.
func (t *turn) anew() {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	if t.timer != nil {
		t.before = t.conn.answered
		t.timer.Reset(t.limit)
	}
}

func (t *turn) late() {
	t.conn.mu.Lock()
	hung := t.before == t.conn.answered
	t.conn.mu.Unlock()
	if hung {
		t.giveUp(errHung)
	} else {
		t.giveUp(errLate)
	}
}

// heard notes an answer.
func (c *Conn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered++
	c.chatter = chatter{}
}

// A chatter is what came since the last answer: notifications and calls.
type chatter struct{ lines, bytes int64 }

// What may come between two answers. The longest answer of a good plugin has a
// million changes; one that goes on and on is ended.
const (
	maxLines = 4 << 20
	maxBytes = 4 << 30
)

// bear counts a line that is no answer, and tells whether it is to be heard.
func (c *Conn) bear(size int) bool {
	c.mu.Lock()
	c.chatter.lines++
	c.chatter.bytes += int64(size)
	ok := c.chatter.lines <= maxLines && c.chatter.bytes <= maxBytes
	c.mu.Unlock()
	if !ok {
		<-c.ready
		c.peer.Fail(fmt.Errorf("%w: the plugin sends and sends, and answers nothing", call.ErrProtocol))
	}
	return ok
}
