package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"davbus.org/davbus/transports/peer"
)

// An Env is what a route needs to know of the machine.
type Env struct {
	RuntimeDir string // for %t; "" if there is none
	Home       string // for ~

	// File gives the descriptor that was handed over under a name; the dialer
	// closes it. Nil if none was.
	File func(name string) (*os.File, error)

	// Stderr takes what a program of an exec route says; nil drops it.
	Stderr io.Writer
}

// An Unavailable says that a route does not lead to a server now. It says
// nothing about what the server holds, nor about logins.
type Unavailable struct {
	Route string
	Step  string // "stat", "connect", "exec", "fd"
	Err   error
}

func (e *Unavailable) Error() string {
	return fmt.Sprintf("route %s is unavailable: %v", e.Route, e.Err)
}

func (e *Unavailable) Unwrap() error { return e.Err }

// RouteUnavailable marks the error for callers that do not know this package.
func (e *Unavailable) RouteUnavailable() bool { return true }

// A Dialer opens connections by one route. It may be used by several
// goroutines.
type Dialer struct {
	Route Route
	Env   Env

	tcp   net.Dialer
	mu    sync.Mutex
	spent bool // the descriptor was handed out
}

// A Report is told each step of a dial: "stat", "connect", "uid", in this
// order, with what was found or why it failed.
type Report func(step, detail string, err error)

// Dial connects. addr is host and port of the URL, for plain TCP. Before it
// returns a Unix socket, the server's user is checked.
func (d *Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return d.Probe(ctx, addr, func(string, string, error) {})
}

// Probe is Dial that tells each step.
func (d *Dialer) Probe(ctx context.Context, addr string, report Report) (net.Conn, error) {
	switch d.Route.Kind {
	case TCP:
		return d.dialTCP(ctx, addr, report)
	case Unix:
		return d.dialUnix(ctx, report)
	case FD:
		return d.takeFD(report)
	case Exec:
		c, err := startExec(ctx, d.Route.Argv, d.Env)
		if err != nil {
			err = d.lost("exec", err)
		}
		report("connect", strings.Join(d.Route.Argv[:1], ""), err)
		return c, err
	}
	return nil, &Invalid{d.Route.String(), "it was not parsed"}
}

func (d *Dialer) lost(step string, err error) error {
	return &Unavailable{d.Route.String(), step, err}
}

func (d *Dialer) dialTCP(ctx context.Context, addr string, report Report) (net.Conn, error) {
	if d.Route.Addr != "" {
		addr = d.Route.Addr
	}
	c, err := d.tcp.DialContext(ctx, "tcp", addr)
	if err != nil {
		if d.Route.Addr != "" && ctx.Err() == nil {
			err = d.lost("connect", err)
		}
		report("connect", addr, err)
		return nil, err
	}
	report("connect", c.RemoteAddr().String(), nil)
	return c, nil
}

func (d *Dialer) dialUnix(ctx context.Context, report Report) (net.Conn, error) {
	path, err := d.Path()
	if err != nil {
		report("stat", d.Route.Addr, err)
		return nil, err
	}
	if !strings.HasPrefix(path, "@") {
		err := d.stat(path)
		report("stat", path, err)
		if err != nil {
			return nil, err
		}
	}
	c, err := d.tcp.DialContext(ctx, "unix", path)
	if err != nil && ctx.Err() == nil {
		err = d.lost("connect", explain(path, err))
	}
	report("connect", path, err)
	if err != nil {
		return nil, err
	}
	cred, err := peer.Server(c.(*net.UnixConn))
	report("uid", fmt.Sprint(cred.UID), err)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Path is where the socket of a Unix route is, %t and ~ written out.
func (d *Dialer) Path() (string, error) {
	path := d.Route.Addr
	for prefix, dir := range map[string]string{"%t/": d.Env.RuntimeDir, "~/": d.Env.Home} {
		rest, ok := strings.CutPrefix(path, prefix)
		if ok && dir == "" {
			return "", d.lost("stat", fmt.Errorf("%s stands for a directory that this session does not have (XDG_RUNTIME_DIR, HOME)", prefix))
		}
		if ok {
			path = strings.TrimRight(dir, "/") + "/" + rest
			break
		}
	}
	if len(path) > MaxPath {
		return "", &Invalid{d.Route.String(), tooLong(path)}
	}
	return path, nil
}

func (d *Dialer) stat(path string) error {
	fi, err := os.Stat(path)
	if err == nil && fi.Mode()&fs.ModeSocket == 0 {
		err = fmt.Errorf("%s is not a socket", path)
	} else if err != nil {
		err = explain(path, err)
	}
	if err != nil {
		return d.lost("stat", err)
	}
	return nil
}

// explain says what people can do about the three usual failures.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no socket %s: start the server or the program that makes it (%w)", path, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s: the program that made it has ended (%w)", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not connect to %s (%w)", path, err)
	}
	return err
}

// takeFD hands out the one connection there is. Once it is closed, the route
// is unavailable until the service gets a new one.
func (d *Dialer) takeFD(report Report) (c net.Conn, err error) {
	defer func() { report("connect", d.Route.Addr, err) }()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spent {
		return nil, d.lost("fd", fmt.Errorf("the connection that was handed over as %s has been used up", d.Route.Addr))
	}
	if d.Env.File == nil {
		return nil, d.lost("fd", fmt.Errorf("no descriptor %s was handed to the service", d.Route.Addr))
	}
	f, err := d.Env.File(d.Route.Addr)
	if err != nil {
		return nil, d.lost("fd", err)
	}
	c, err = net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, d.lost("fd", fmt.Errorf("descriptor %s is not a connected socket: %w", d.Route.Addr, err))
	}
	d.spent = true
	if u, ok := c.(*net.UnixConn); ok {
		if _, err := peer.Server(u); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}
