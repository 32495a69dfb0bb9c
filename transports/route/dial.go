package route

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"davbus.org/davbus/transports/peer"
)

// An Env is what a route needs to know of the machine.
type Env struct {
	RuntimeDir string // for %t; "" if there is none
	Home       string // for ~

	Handed *Handed // what fd routes lead to; nil for none

	// Says is told each line that a program of an exec route writes to its
	// standard error, by a goroutine of its own; nil drops them.
	Says func(line string)
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

	tcp net.Dialer
}

// A Report is told each step of a dial: "resolve" and "connect", or "stat",
// "connect" and "uid", in this order, with what was found or why it failed.
type Report func(step, detail string, err error)

func (r Report) tell(step, detail string, err error) {
	if r != nil {
		r(step, detail, err)
	}
}

// Dial connects. addr is host and port of the URL, for plain TCP. Before it
// returns a Unix socket, the server's user is checked.
func (d *Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return d.Probe(ctx, addr, nil)
}

// Probe is Dial that tells each step.
func (d *Dialer) Probe(ctx context.Context, addr string, report Report) (net.Conn, error) {
	switch d.Route.Kind {
	case TCP:
		return d.dialTCP(ctx, addr, report)
	case Unix:
		return d.dialUnix(ctx, report)
	case FD:
		c, err := d.Env.Handed.take(ctx, d.Route.Addr)
		if err != nil && ctx.Err() == nil && !errors.As(err, new(*peer.Refusal)) {
			err = d.lost("fd", err)
		}
		report.tell("connect", d.Route.Addr, err)
		return c, err
	case Exec:
		c, err := startExec(ctx, d.Route.Argv, d.Env)
		if err != nil {
			err = d.lost("exec", err)
		}
		report.tell("connect", strings.Join(d.Route.Argv[:1], ""), err)
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
	fail := func(step string, err error) (net.Conn, error) {
		err = explainTCP(addr, err)
		if d.Route.Addr != "" && ctx.Err() == nil {
			err = d.lost(step, err)
		}
		report.tell(step, addr, err)
		return nil, err
	}
	if host, _, err := net.SplitHostPort(addr); report != nil && err == nil && net.ParseIP(host) == nil {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return fail("resolve", err)
		}
		report.tell("resolve", host+" is "+strings.Join(found, ", "), nil)
	}
	c, err := d.tcp.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fail("connect", err)
	}
	report.tell("connect", c.RemoteAddr().String(), nil)
	return c, nil
}

func (d *Dialer) dialUnix(ctx context.Context, report Report) (net.Conn, error) {
	path, err := d.Path()
	if err != nil {
		report.tell("stat", d.Route.Addr, err)
		return nil, err
	}
	if !strings.HasPrefix(path, "@") {
		err := d.stat(path)
		report.tell("stat", path, err)
		if err != nil {
			return nil, err
		}
	}
	c, err := d.tcp.DialContext(ctx, "unix", path)
	if err != nil && ctx.Err() == nil {
		err = d.lost("connect", explain(path, err))
	}
	report.tell("connect", path, err)
	if err != nil {
		return nil, err
	}
	cred, err := peer.Server(c.(*net.UnixConn))
	report.tell("uid", fmt.Sprint(cred.UID), err)
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

// explainTCP says what people can do about the usual failures.
func explainTCP(addr string, err error) error {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && dns.IsNotFound:
		return fmt.Errorf("there is no host %s: check how it is spelled in the url (%w)", dns.Name, err)
	case ok:
		return fmt.Errorf("the name %s cannot be looked up: check the connection to the network (%w)", dns.Name, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s: the server is down, or the port is another (%w)", addr, err)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fmt.Errorf("no way leads to %s: check the connection to the network (%w)", addr, err)
	}
	return err
}

// explain is the same for the path of a socket.
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
