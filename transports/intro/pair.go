package intro

import (
	"net"
	"os"
	"syscall"

	"davbus.org/davbus/transports/private"
)

// Pair makes two connected sockets: one to keep, one to have introduced.
func Pair() (mine *net.UnixConn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "introduced")
	if mine, err = Socket(os.NewFile(uintptr(fds[0]), "kept")); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return mine, theirs, nil
}

// Socket makes a connection of a descriptor that was received, which it closes.
func Socket(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, failed(Invalid, "the descriptor that was received is no Unix socket")
	}
	return u, nil
}

// Meet is what both ends of an introduced pair begin with: each sends one NUL
// byte, and demands one that a process of this user sent. Whoever introduces
// sends its own before it does so. What the connection then gives is who holds
// the other end. Where it fails the socket is closed.
func Meet(sock *net.UnixConn) (*private.Conn, error) {
	if err := Greet(sock); err != nil {
		sock.Close()
		return nil, failed(Denied, "an introduced socket is closed already: %v", err)
	}
	return Met(sock)
}

// Greet sends the byte alone: whoever introduces over the bus does so before it
// calls Introduce, and demands the other's by Met afterwards. The kernel tells
// its sender because this end wants to know the same of the other.
func Greet(sock *net.UnixConn) error {
	if err := private.WantByte(sock); err != nil {
		return err
	}
	_, err := sock.Write([]byte{0})
	return err
}

// Met demands the byte of the other end.
func Met(sock *net.UnixConn) (*private.Conn, error) {
	conn, err := private.Passed(sock)
	if err != nil {
		sock.Close()
		return nil, failed(Denied, "the other end of an introduced socket did not show who it is: %v", err)
	}
	return conn, nil
}
