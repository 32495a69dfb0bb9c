package private

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"davbus.org/davbus/transports/peer"
)

// Serve calls handle for each client of this user, each in a goroutine of its
// own, until ctx ends; then it closes the socket and every connection and waits
// for the handlers. The connection is closed when its handler returns.
func (l *Listener) Serve(ctx context.Context, handle func(context.Context, *Conn)) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		<-ctx.Done()
		l.Close()
		l.closeAll()
	})
	for {
		sock, err := l.accept(ctx)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("cannot listen at %s any longer: %w", l.path, err)
		}
		conn, err := l.admit(sock)
		if err != nil {
			sock.Close()
			continue
		}
		if ctx.Err() != nil { // closeAll may have run before admit
			l.drop(conn)
			return nil
		}
		wg.Go(func() {
			defer l.drop(conn)
			if l.opt.RequireByte {
				if err := conn.handshake(); err != nil {
					l.refused(conn.Cred, err)
					return
				}
			}
			handle(ctx, conn)
		})
	}
}

// accept waits out a lack of descriptors: spinning on it would only make it
// worse, and giving up would end the service for one busy moment.
func (l *Listener) accept(ctx context.Context) (*net.UnixConn, error) {
	const longest = time.Second
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, longest) {
		sock, err := l.sock.AcceptUnix()
		if err == nil || !scarce(err) {
			return sock, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func scarce(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit asks the kernel who is there. Nothing has been read yet.
func (l *Listener) admit(sock *net.UnixConn) (*Conn, error) {
	cred, err := peer.Of(sock)
	if err == nil && (cred.UID != uint32(os.Geteuid()) || cred.UID == peer.Unknown) {
		err = &peer.Refusal{UID: cred.UID, What: "client"}
	}
	conn := &Conn{UnixConn: sock, Cred: cred}
	if err == nil {
		l.mu.Lock()
		if len(l.open) < l.opt.MaxClients {
			l.open[conn] = struct{}{}
		} else {
			err = fmt.Errorf("%d clients are connected already, as many as are allowed", len(l.open))
		}
		l.mu.Unlock()
	}
	if err != nil {
		l.refused(cred, err)
		return nil, err
	}
	return conn, nil
}

func (l *Listener) refused(cred peer.Cred, err error) {
	if l.opt.Refused != nil {
		l.opt.Refused(cred, err)
	}
}

func (l *Listener) drop(conn *Conn) {
	l.mu.Lock()
	delete(l.open, conn)
	l.mu.Unlock()
	conn.Close()
}

func (l *Listener) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		conn.Close()
	}
}
