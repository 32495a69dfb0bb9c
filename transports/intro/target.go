package intro

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"davbus.org/davbus/transports/peer"
)

// A target is where an offered service listens.
type target struct{ network, address string }

func parseTarget(s string) (target, error) {
	switch network, address, _ := strings.Cut(s, ":"); network {
	case "unix":
		if filepath.IsAbs(address) && len(address) <= 107 {
			return target{network, address}, nil
		}
	case "tcp":
		if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsLoopback() && at.Port() > 0 {
			return target{network, at.String()}, nil
		}
	}
	return target{}, failed(Invalid, "%q is no target: it must be unix:PATH with a full path of at most 107 bytes, or tcp:127.0.0.1:PORT", s)
}

// dial connects to the service and makes sure that it is this user's.
func (t target) dial(ctx context.Context) (Stream, error) {
	if t.network == "tcp" {
		// Before and after: what listens may have changed in between.
		if err := t.checkPort(); err != nil {
			return nil, err
		}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		return nil, failed(PeerRefused, "the offered service does not answer: %v", err)
	}
	if u, ok := c.(*net.UnixConn); ok {
		var cred peer.Cred
		if cred, err = peer.Of(u); err == nil && cred.UID != uint32(os.Geteuid()) {
			err = &peer.Refusal{UID: cred.UID, What: "server"}
		}
	} else {
		err = t.checkPort()
	}
	if err != nil {
		c.Close()
		return nil, failed(Denied, "the offered service is not this user's: %v", err)
	}
	return c.(Stream), nil
}

func (t target) checkPort() error {
	at, err := netip.ParseAddrPort(t.address)
	if err != nil {
		return err
	}
	uid, err := peer.Listening(at)
	if err == nil && uid != uint32(os.Geteuid()) {
		err = &peer.Refusal{UID: uid, What: "server"}
	}
	if errors.Is(err, peer.ErrNobody) {
		return failed(PeerRefused, "the offered service does not answer: nobody listens at %s", t.address)
	}
	if err != nil {
		return failed(Denied, "the offered service is not this user's: %v", err)
	}
	return nil
}

// A Stream is one end of what is carried.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// pump carries bytes both ways and the end of each side on to the other, until
// both have ended or one breaks. It closes both.
func pump(ctx context.Context, a, b Stream) error {
	shut := sync.OnceFunc(func() { a.Close(); b.Close() })
	defer shut()
	stop := context.AfterFunc(ctx, shut)
	defer stop()
	half := func(to, from Stream) error {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			shut()
		}
		return err
	}
	there := make(chan error, 1)
	go func() { there <- half(b, a) }()
	err := half(a, b)
	err = errors.Join(<-there, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Who closes with data unread breaks the connection; that is its right.
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return failed(PeerRefused, "the connection broke: %v", err)
	}
	return nil
}
