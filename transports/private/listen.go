package private

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/transports/peer"
)

const tempSuffix = ".new"

// ErrInUse says that another process listens there.
var ErrInUse = errors.New("another process listens there")

// Options are what a listener allows.
type Options struct {
	// Adopt is a listening socket that somebody else made, as systemd does; nil
	// to make one.
	Adopt *os.File

	// MaxClients is how many may be connected at once; one more is closed at
	// once. 0 is 64.
	MaxClients int

	// RequireByte demands the credential byte: see Conn.
	RequireByte bool

	// Refused is told of each client that was turned away. It may be nil, and
	// must not wait.
	Refused func(cred peer.Cred, reason error)
}

// handshakeLimit is how long a client may take to send the credential byte.
const handshakeLimit = 5 * time.Second

// A Listener is one private socket.
type Listener struct {
	opt  Options
	sock *net.UnixListener
	path string
	lock *os.File    // nil if adopted
	made os.FileInfo // the socket file, so that only ours is removed; nil if adopted

	mu   sync.Mutex
	open map[*Conn]struct{}
}

// Listen begins to listen at name. Clients that connect before Serve wait.
func (d *Dir) Listen(name string, opt Options) (*Listener, error) {
	path, err := d.socketPath(name)
	if err != nil {
		return nil, err
	}
	if opt.MaxClients == 0 {
		opt.MaxClients = 64
	}
	l := &Listener{opt: opt, path: path, open: map[*Conn]struct{}{}}
	if opt.Adopt != nil {
		err = l.adopt()
	} else {
		err = l.bind()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	return l, nil
}

func (l *Listener) adopt() error {
	sock, err := net.FileListener(l.opt.Adopt)
	if err != nil {
		return err
	}
	u, ok := sock.(*net.UnixListener)
	if !ok {
		sock.Close()
		return errors.New("the socket that was handed over is no Unix socket")
	}
	u.SetUnlinkOnClose(false)
	raw, err := u.SyscallConn()
	if err == nil {
		var inner error
		err = errors.Join(raw.Control(func(fd uintptr) {
			var listens int
			if listens, inner = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); inner == nil && listens == 0 {
				inner = errors.New("the socket that was handed over does not listen")
			}
			if inner == nil {
				inner = wantCredentials(int(fd))
			}
		}), inner)
	}
	if err != nil {
		u.Close()
		return err
	}
	l.sock, l.path = u, u.Addr().String()
	return nil
}

// bind makes the socket under another name and moves it into place, so that it
// never has a wrong mode and never misses while an old one is replaced.
func (l *Listener) bind() (err error) {
	lock, err := os.OpenFile(l.path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrInUse
		}
		return os.NewSyscallError("flock", err)
	}
	temp := l.path + tempSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) {
			if inner = unix.Fchmod(int(fd), 0o600); inner == nil {
				inner = wantCredentials(int(fd))
			}
		})
		return errors.Join(err, inner)
	}}
	sock, err := config.Listen(context.Background(), "unix", temp)
	if err != nil {
		return err
	}
	u := sock.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	made, err := os.Lstat(temp)
	if err == nil {
		err = os.Rename(temp, l.path)
	}
	if err != nil {
		u.Close()
		os.Remove(temp)
		return err
	}
	l.sock, l.lock, l.made = u, lock, made
	return nil
}

// Path is where clients connect.
func (l *Listener) Path() string { return l.path }

// Close stops listening and removes the socket if it is still ours. Connections
// stay open: Serve ends them.
func (l *Listener) Close() error {
	err := l.sock.Close()
	if l.made != nil {
		if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.made) {
			os.Remove(l.path)
		}
		l.lock.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
