// Package intro brings two programs of one user together. One of them makes a
// pair of sockets, keeps one end and has the other handed to whoever registered a
// name; from then on the two talk directly, and nobody holds a copy. A name is no
// address: who has no descriptor has no access, and closing it takes it back.
//
// A [Broker] is the middle; it has several doors, of which this package has one:
// a private socket with one JSON object a line ([Door]). What a program needs
// that wants to be introduced is a [Client]:
//
//	c, err := intro.Dial(path)
//	designator, err := c.Register(ctx, intro.Name{Name: "editor", Public: true}, func(a *intro.Arrival) error {
//		go talk(a.Conn)
//		return nil
//	})
//	…
//	conn, err := c.Introduce(ctx, "viewer", map[string]any{"wants": "updates"}, false)
//
// What the kernel says of a socket that was passed names its maker and not its
// holder. So both ends begin with one NUL byte, which carries its sender's
// credentials: [Meet] sends and demands it.
package intro

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Limits.
const (
	maxNames    = 16   // registered by one owner
	maxAllNames = 1024 //
	maxPending  = 16   // introductions of one sender that are not taken yet
	maxAll      = 256  // of all
	maxOffers   = 16   // of one owner
	maxTunnels  = 64   // connections of one offer at once
	maxMetadata = 4096 // bytes, as JSON

	// patience is how long an introduction may wait to be taken.
	patience = 30 * time.Second
)

// An Error says why somebody was not introduced. Its name is for programs.
type Error struct{ Name, Text string }

func (e *Error) Error() string     { return e.Text }
func (e *Error) ErrorName() string { return e.Name }

// Names of errors.
const (
	NotFound      = "not-found"
	AlreadyExists = "already-exists"
	Invalid       = "invalid"
	Denied        = "denied"
	LimitExceeded = "limit-exceeded"
	PeerRefused   = "peer-refused"
	Timeout       = "timeout"
	NotSupported  = "not-supported"
)

func failed(name, format string, args ...any) error {
	return &Error{name, fmt.Sprintf(format, args...)}
}

// nameOf is the name of an error; "" of one that is none of ours.
func nameOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Name
	}
	return ""
}

// A Sender is who introduces or takes: on the word of the kernel and of the door
// that it came through, not on its own.
type Sender struct {
	Owner     string `json:"-"` // what its quotas and its leaving go by
	PID       uint32 `json:"pid"`
	UID       uint32 `json:"uid"`
	App       string `json:"app-id"` // "" if not sandboxed
	Sandboxed bool   `json:"-"`
}

// An Introduction is a socket on its way.
type Introduction struct {
	Name     string // that was asked for
	Sender   Sender
	Metadata any // of the sender; json.Marshal takes it
	Socket   *os.File
}

// checkName takes 1 to 64 characters of a-z 0-9 - and the dot.
func checkName(name string) error {
	ok := name != "" && len(name) <= 64
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.')
	}
	if !ok {
		return failed(Invalid, "%q is no name: it must be 1 to 64 characters from a-z 0-9 - and .", name)
	}
	return nil
}

// checkSocket takes connected Unix stream sockets alone: with anything else the
// other program might wait for ever, or read a file that it may not open.
func checkSocket(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return failed(Invalid, "the descriptor cannot be used: %v", err)
	}
	var family, kind int
	var inner error
	err = raw.Control(func(fd uintptr) {
		if family, kind, inner = socketKind(int(fd)); inner == nil {
			_, inner = unix.Getpeername(int(fd))
		}
	})
	if err = errors.Join(err, inner); err != nil {
		return failed(Invalid, "only a connected Unix stream socket can be introduced: %v", err)
	}
	if family != unix.AF_UNIX || kind != unix.SOCK_STREAM {
		return failed(Invalid, "only a Unix stream socket can be introduced, not a socket of another kind")
	}
	return nil
}
