package stream

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"davbus.org/davbus/transports/peer"
)

// A port is one listener of the loopback, over IPv4 and, where that is there and
// its port is free, IPv6.
type port struct {
	ends   []*net.TCPListener
	number int
}

func openPort() (*port, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &port{ends: []*net.TCPListener{l.(*net.TCPListener)}, number: l.Addr().(*net.TCPAddr).Port}
	if six, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(p.number))); err == nil {
		p.ends = append(p.ends, six.(*net.TCPListener))
	}
	return p, nil
}

func (p *port) close() {
	for _, l := range p.ends {
		l.Close()
	}
}

// hosts are the ways in which a client may name the port.
func (p *port) hosts() []string {
	number := strconv.Itoa(p.number)
	return []string{"127.0.0.1:" + number, "[::1]:" + number, "localhost:" + number}
}

// listenTCP listens at a loopback port. Everybody on the machine can reach that,
// so that besides the access control the kernel is asked whose socket it is.
func (s *Stream) listenTCP(d Door, cookie string) (string, error) {
	p, err := openPort()
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(s.ctx, p.close)
	for _, l := range p.ends {
		s.work.Go(func() {
			defer stop()
			defer p.close()
			for {
				c, err := acceptTCP(s.ctx, l)
				if err != nil {
					return
				}
				s.work.Go(func() { s.arrived(d, cookie, p, c) })
			}
		})
	}
	return p.ends[0].Addr().String(), nil
}

// acceptTCP waits out a lack of descriptors.
func acceptTCP(ctx context.Context, l *net.TCPListener) (*net.TCPConn, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		c, err := l.AcceptTCP()
		if err == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) {
			return c, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// arrived lets a connection in if it comes from this user, and from the port
// that was told. Nothing is read before.
func (s *Stream) arrived(d Door, cookie string, p *port, sock *net.TCPConn) {
	defer sock.Close()
	c := &Conn{wire: sock, from: sock, stream: s, hosts: p.hosts()}
	from := sock.RemoteAddr().(*net.TCPAddr)
	if d.Access == "port" && from.Port != int(d.SourcePort) {
		return
	}
	cred, err := peer.OfTCP(sock)
	if err != nil || cred.UID != uint32(os.Geteuid()) || cred.UID == peer.Unknown {
		return
	}
	if !s.waitIn(c) {
		return
	}
	defer s.waitOut(c)
	s.enter(d, cookie, c, func(c *Conn) { s.serve(c, cred) })
}

// waitIn bounds the connections that have not shown their cookie yet, so that
// they are closed with the stream.
func (s *Stream) waitIn(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.waiting) >= s.max {
		return false
	}
	s.waiting[c] = struct{}{}
	return true
}

func (s *Stream) waitOut(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, c)
}
