package stream

import (
	"io"
	"net"
	"time"
)

// A wire is what a connection goes over: a Unix socket or one of TCP.
type wire interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
}

// A Conn counts what goes through it. Reading waits as long as the client
// pleases; a client that does not read is given up.
type Conn struct {
	wire
	from     io.Reader // the wire, after what opened it
	stream   *Stream
	password string   // that HTTP must ask for; "" for none
	hosts    []string // that may stand in the header Host; nil for all
}

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.stream.moved(n, 0)
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) {
	const piece = 256 << 10 // so that a slow client that reads is not given up
	for done := 0; ; {
		if err := c.SetWriteDeadline(time.Now().Add(c.stream.opt.Unread)); err != nil {
			return done, err
		}
		n, err := c.wire.Write(p[done:min(len(p), done+piece)])
		c.stream.moved(0, n)
		if done += n; err != nil || done == len(p) {
			return done, err
		}
	}
}
