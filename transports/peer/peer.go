// Package peer tells who is at the other end of a Unix socket, on the word of
// the kernel, and turns away the rest.
package peer

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Unknown is the user id that the kernel shows where it cannot name the user
// (another user namespace). It is nobody we know, and never trusted.
const Unknown = 65534

// A Cred is what the kernel recorded about the peer: of a client when it
// connected, of a server when it began to listen. PID is for people only; -1
// where the system does not tell it.
type Cred struct {
	PID      int
	UID, GID uint32
}

// A Refusal says that the peer is not who it must be.
type Refusal struct {
	UID  uint32
	What string // "server" or "client"
}

func (r *Refusal) Error() string {
	if r.UID == Unknown {
		return fmt.Sprintf("the %s at the socket belongs to an unknown user; it must belong to uid %d", r.What, os.Geteuid())
	}
	return fmt.Sprintf("the %s at the socket belongs to uid %d; it must belong to uid %d", r.What, r.UID, os.Geteuid())
}

// PeerRefused marks the error for callers that do not know this package.
func (r *Refusal) PeerRefused() bool { return true }

// Of asks the kernel about the peer of a connection.
func Of(c syscall.Conn) (Cred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Cred{}, err
	}
	var cred Cred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = credOf(int(fd)) }); err != nil {
		return Cred{}, err
	}
	return cred, inner
}

// Server checks, before anything is sent, that the listening side of a socket
// is this user or root: a stranger may have put a socket of his own in the
// place of the server's, to be told passwords.
func Server(c *net.UnixConn) (Cred, error) {
	cred, err := Of(c)
	if err != nil {
		return cred, fmt.Errorf("cannot tell who serves the socket: %w", err)
	}
	return cred, allowServer(cred, uint32(os.Geteuid()))
}

func allowServer(cred Cred, self uint32) error {
	if cred.UID != Unknown && (cred.UID == self || cred.UID == 0) {
		return nil
	}
	return &Refusal{UID: cred.UID, What: "server"}
}
