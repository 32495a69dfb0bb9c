package web

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Stats are what a client has done since it was made.
type Stats struct {
	Requests uint64    // exchanges on the wire: challenges and redirects count too
	Class    [6]uint64 // answers by hundreds of their status: Class[2] of 200 to 299; Class[0] got none
	Dials    uint64
	In, Out  uint64 // bytes on the wire
}

type counters struct {
	class   [6]atomic.Uint64
	dials   atomic.Uint64
	in, out atomic.Uint64
}

func (c *counters) failed() { c.class[0].Add(1) }

func (c *counters) answered(status int) {
	if status < 100 || status > 599 {
		status = 500
	}
	c.class[status/100].Add(1)
}

// Stats may be called at any time.
func (c *Client) Stats() Stats {
	s := Stats{Dials: c.count.dials.Load(), In: c.count.in.Load(), Out: c.count.out.Load()}
	for i := range s.Class {
		s.Class[i] = c.count.class[i].Load()
		s.Requests += s.Class[i]
	}
	return s
}

// dial makes one connection that counts and that never hangs in a write.
func (c *Client) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.HeaderTimeout)
	defer cancel()
	conn, err := c.opt.Route.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c.count.dials.Add(1)
	return &counted{Conn: conn, c: &c.count, idle: c.opt.IdleTimeout}, nil
}

type counted struct {
	net.Conn
	c    *counters
	idle time.Duration
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.c.in.Add(uint64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	c.c.out.Add(uint64(n))
	return n, err
}

// Busy tells a connection of which there is only one whether something is under
// way on it.
func (c *counted) Busy(n int32) {
	if b, ok := c.Conn.(interface{ Busy(int32) }); ok {
		b.Busy(n)
	}
}
