package private

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"davbus.org/davbus/transports/peer"
)

// A Conn is one connection of a known client. Its user is checked.
//
// A client may begin with the credential byte: one NUL byte, with its
// credentials if it can. The byte is not part of what is read. Where sockets are
// passed around it is required: what the kernel says of a passed socket names
// its maker, the byte names its holder.
type Conn struct {
	*net.UnixConn
	Cred peer.Cred

	begun bool
	first []byte // read by the first look, not yet given out
}

// Read reads what the client sends, after the credential byte if there is one.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.begun {
		if len(p) == 0 {
			return 0, nil
		}
		if err := c.begin(false); err != nil {
			return 0, err
		}
	}
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.UnixConn.Read(p)
}

// handshake demands the credential byte, soon.
func (c *Conn) handshake() error {
	if err := c.SetReadDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return err
	}
	if err := c.begin(true); err != nil {
		return err
	}
	return c.SetReadDeadline(time.Time{})
}

// begin looks at the first byte.
func (c *Conn) begin(required bool) error {
	b, cred, err := readByte(c.UnixConn)
	if err != nil {
		return err
	}
	c.begun = true
	switch {
	case b != 0 && required:
		return errors.New("a client of this socket must send one NUL byte with its credentials first")
	case b != 0:
		c.first = []byte{b}
		return nil
	case cred == nil && required:
		return errors.New("this system does not tell who sent the credential byte")
	case cred != nil && cred.UID != uint32(os.Geteuid()):
		return fmt.Errorf("the credential byte: %w", &peer.Refusal{UID: cred.UID, What: "client"})
	case cred != nil && required:
		c.Cred = *cred // its holder, not its maker
	}
	return nil
}

// Passed makes a Conn of a socket that was passed or introduced, and demands the
// credential byte of whoever holds the other end. WantByte must have been called
// on it before the other end could send.
func Passed(sock *net.UnixConn) (*Conn, error) {
	c := &Conn{UnixConn: sock}
	if err := c.handshake(); err != nil {
		return nil, err
	}
	return c, nil
}

// WantByte prepares a socket for the credential byte.
func WantByte(sock *net.UnixConn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	return errors.Join(raw.Control(func(fd uintptr) { inner = wantCredentials(int(fd)) }), inner)
}

// Dial connects to a private socket and makes sure that this user, or root,
// listens there, before anything is sent.
func Dial(path string) (*net.UnixConn, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("cannot connect to %s: a socket's path may be %d bytes long", path, maxPath)
	}
	sock, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if _, err := peer.Server(sock); err != nil {
		sock.Close()
		return nil, fmt.Errorf("cannot trust %s: %w", path, err)
	}
	return sock, nil
}
