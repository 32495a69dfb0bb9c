// Package route says by which way bytes reach a server, apart from the URL,
// which says who the server is: scheme, host, path and certificate belong to
// the URL, whatever the route.
//
// A route is written in one line:
//
//	(nothing)        TCP to the host of the URL
//	tcp:HOST:PORT    TCP to another host
//	unix:/PATH       a Unix socket; %t/ is the runtime directory, ~/ the home
//	unix:@NAME       a socket in the abstract name space; for dialling only
//	fd:NAME          a connected socket that was handed to the service
//	exec:CMD ARGS    the standard input and output of a program
package route

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Kinds of route.
const (
	TCP  = "tcp"
	Unix = "unix"
	FD   = "fd"
	Exec = "exec"
)

// A Route is a parsed route. The zero Route is none: parse "" for plain TCP.
type Route struct {
	Kind string
	Addr string   // host:port, path or @name, name; "" for TCP to the host of the URL
	Argv []string // for Exec
}

// MaxPath is how long the path of a Unix socket may be: the kernel holds no
// more.
const MaxPath = 107

// An Invalid says what is wrong with a route, and how one is written.
type Invalid struct{ Via, Why string }

func (e *Invalid) Error() string {
	return fmt.Sprintf("route %q: %s; a route is one of unix:/PATH, unix:%%t/PATH, unix:@NAME, tcp:HOST:PORT, fd:NAME, exec:COMMAND", e.Via, e.Why)
}

// Private reports whether nobody but the other end of a private channel sees
// what goes over the route: no name is looked up and no proxy is asked there.
func (r Route) Private() bool { return r.Kind != TCP || r.Addr != "" }

// String writes the route in its one canonical spelling; Parse reads it back.
func (r Route) String() string {
	switch {
	case r.Kind == "" || r.Kind == TCP && r.Addr == "":
		return ""
	case r.Kind == Exec:
		return "exec:" + joinWords(r.Argv)
	}
	return r.Kind + ":" + r.Addr
}

// Parse reads a route.
func Parse(via string) (Route, error) {
	bad := func(why string) (Route, error) { return Route{}, &Invalid{via, why} }
	if strings.ContainsAny(via, "\x00\n\r") {
		return bad("it holds a line break or NUL")
	}
	if via == "" {
		return Route{Kind: TCP}, nil
	}
	kind, rest, ok := strings.Cut(via, ":")
	if !ok {
		return bad("it has no kind")
	}
	switch kind {
	case Unix:
		p, why := socketPath(rest)
		if why != "" {
			return bad(why)
		}
		return Route{Kind: Unix, Addr: p}, nil
	case TCP:
		a, why := hostPort(rest)
		if why != "" {
			return bad(why)
		}
		return Route{Kind: TCP, Addr: a}, nil
	case FD:
		if rest == "" || strings.ContainsAny(rest, ": /") {
			return bad("the name of a descriptor has no colon, space or slash and is not empty")
		}
		return Route{Kind: FD, Addr: rest}, nil
	case Exec:
		argv, why := Words(rest)
		if why != "" {
			return bad(why)
		}
		return Route{Kind: Exec, Argv: argv}, nil
	}
	return bad("there is no kind " + strconv.Quote(kind))
}

func socketPath(s string) (path, why string) {
	if p, ok := strings.CutPrefix(s, "//"); ok {
		if !strings.HasPrefix(p, "/") {
			return "", "unix:// is followed by an absolute path"
		}
		s = "/" + strings.TrimLeft(p, "/")
	}
	name, abstract := strings.CutPrefix(s, "@")
	switch {
	case abstract && name == "":
		return "", "the name after @ is empty"
	case abstract, strings.HasPrefix(s, "%t/"), strings.HasPrefix(s, "~/"), strings.HasPrefix(s, "/"):
	default:
		return "", "the path of a socket is absolute, or begins with %t/, ~/ or @"
	}
	if strings.HasSuffix(s, "/") && !abstract {
		return "", "it names a folder"
	}
	if len(s) > MaxPath && strings.HasPrefix(s, "/") {
		return "", tooLong(s)
	}
	return s, ""
}

func tooLong(path string) string {
	return fmt.Sprintf("the path of a socket has at most %d bytes, this has %d: use a shorter one, or a link to its folder", MaxPath, len(path))
}

func hostPort(s string) (addr, why string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, "/@ %") {
		return "", "after tcp: come HOST:PORT, an IPv6 address in brackets"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "the port is a number from 1 to 65535"
	}
	return net.JoinHostPort(host, port), ""
}
