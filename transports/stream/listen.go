package stream

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"davbus.org/davbus/transports/private"
)

// A Door is how a stream is reached.
type Door struct {
	Address string // "unix" or "tcp"; "" is "unix"
	// Access is "peer" (the kernel tells who it is), "credentials" (and one NUL
	// byte comes first), "cookie" (and the cookie and a newline come first),
	// "password" (and HTTP Basic has the cookie as password), or "port" (only
	// from SourcePort). On "tcp" the kernel is asked too, and it must be one of
	// the last three. "" is the first that is possible.
	Access     string
	SourcePort uint16
	Max        int // connections; 0 is as many as the stream allows by itself
}

// Types are the pairs of address and access control that there are.
var Types = [...]string{"unix:peer", "unix:credentials", "unix:cookie", "unix:password", "tcp:cookie", "tcp:password", "tcp:port"}

// loginLimit is how long a client may take for its cookie.
const loginLimit = 5 * time.Second

// Listen makes a socket to connect to: at a path that cannot be guessed, or at a
// port of the loopback. The cookie is for the access controls that have one.
func (s *Stream) Listen(d Door) (address, cookie string, access string, err error) {
	d, err = s.complete(d)
	if err != nil {
		return "", "", "", err
	}
	if err := s.take(d.Max); err != nil {
		return "", "", "", err
	}
	if d.Access == "cookie" || d.Access == "password" {
		cookie = random(16)
	}
	if d.Address == "tcp" {
		address, err = s.listenTCP(d, cookie)
	} else {
		address, err = s.listenUnix(d, cookie)
	}
	if err != nil {
		s.reopen()
		return "", "", "", err
	}
	return address, cookie, d.Access, nil
}

// complete fills in what is usual and refuses what is not possible.
func (s *Stream) complete(d Door) (Door, error) {
	if d.Address == "" {
		d.Address = "unix"
	}
	if d.Access == "" {
		switch {
		case d.Address == "unix":
			d.Access = "peer"
		case s.opt.HTTP:
			d.Access = "password"
		default:
			d.Access = "cookie"
		}
	}
	known := false
	for _, t := range Types {
		known = known || t == d.Address+":"+d.Access
	}
	switch {
	case !known:
		return d, fmt.Errorf("%s:%s: %w; there are %v", d.Address, d.Access, ErrUnknown, Types)
	case d.Access == "password" && !s.opt.HTTP:
		return d, fmt.Errorf("a password: %w where no HTTP is spoken; take a cookie", ErrUnknown)
	case d.Access == "port" && d.SourcePort == 0:
		return d, fmt.Errorf("%w: the access control \"port\" needs the source port", ErrInvalid)
	case d.Access != "port" && d.SourcePort != 0:
		return d, fmt.Errorf("%w: a source port is for the access control \"port\"", ErrInvalid)
	}
	return d, nil
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (s *Stream) listenUnix(d Door, cookie string) (string, error) {
	o := private.Options{MaxClients: s.max, RequireByte: d.Access == "credentials"}
	l, err := s.opt.Dir.Listen("s-"+random(8), o)
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(s.ctx)
	s.work.Go(func() {
		defer stop()
		l.Serve(ctx, func(_ context.Context, c *private.Conn) {
			conn := &Conn{wire: c.UnixConn, from: c, stream: s}
			if d.Access == "peer" || d.Access == "password" {
				conn.from = c.UnixConn // every byte is the stream's, a NUL too: D-Bus begins with one
			}
			s.enter(d, cookie, conn, func(conn *Conn) { s.serve(conn, c.Cred) })
		})
		l.Close()                     // Serve has it closed on a goroutine of its own
		os.Remove(l.Path() + ".lock") // of a name that is never used again
	})
	return l.Path(), nil
}

// enter lets a connection in, once it has shown what it must show first.
func (s *Stream) enter(d Door, cookie string, c *Conn, serve func(*Conn)) {
	switch d.Access {
	case "cookie":
		if !hasCookie(c, cookie) {
			return
		}
	case "password":
		c.password = cookie
	}
	serve(c)
}

// hasCookie reads the cookie and a newline, and nothing of what follows: that is
// the stream's.
func hasCookie(c *Conn, cookie string) bool {
	c.SetReadDeadline(time.Now().Add(loginLimit))
	got := make([]byte, len(cookie)+1)
	if _, err := io.ReadFull(c.from, got); err != nil {
		return false
	}
	c.SetReadDeadline(time.Time{})
	return subtle.ConstantTimeCompare(got, []byte(cookie+"\n")) == 1
}
