// Package bustest joins a service and a client without a bus between them, or
// starts a private bus, so that tests need no desktop session.
package bustest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
)

// Pair joins a service to a client. There is no bus: callers have no name, and
// every signal reaches the client whatever its destination.
func Pair(t testing.TB, o conn.Options) (service *conn.Conn, client *dbus.Conn) {
	t.Helper()
	near, far := sockets(t)
	welcomed := make(chan error, 1)
	go func() { welcomed <- welcome(far) }()
	client, err := dbus.DialUnix(near, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err == nil {
		err = client.Auth([]dbus.Auth{dbus.AuthExternal("u")})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-welcomed; err != nil {
		t.Fatal(err)
	}
	service = conn.New(far, true, o)
	t.Cleanup(func() { client.Close(); service.Close() })
	return service, client
}

// Serve puts a tree on a pair and gives the client's end.
func Serve(t testing.TB, tr *tree.Tree) *dbus.Conn {
	t.Helper()
	service, client := Pair(t, conn.Options{Handler: tr})
	tr.Bind(service)
	t.Cleanup(tr.Close)
	return client
}

// Deaf gives a service whose bus never reads.
func Deaf(t testing.TB, o conn.Options) *conn.Conn {
	t.Helper()
	near, far := sockets(t)
	service := conn.New(far, true, o)
	t.Cleanup(func() { service.Close(); near.Close() })
	return service
}

// Raw gives a service and the plain socket to it, for tests that send what no
// library would.
func Raw(t testing.TB, o conn.Options) (*conn.Conn, *net.UnixConn) {
	t.Helper()
	near, far := sockets(t)
	service := conn.New(far, true, o)
	t.Cleanup(func() { service.Close(); near.Close() })
	return service, near
}

func sockets(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "socket pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// welcome plays the bus's part of the login.
func welcome(c *net.UnixConn) error {
	one := make([]byte, 1)
	if _, err := io.ReadFull(c, one); err != nil || one[0] != 0 {
		return errors.New("no credentials byte")
	}
	r := bufio.NewReaderSize(c, 16)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "ERROR"
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "AUTH":
			answer = "REJECTED EXTERNAL"
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			answer = "OK 0123456789abcdef0123456789abcdef"
		case line == "NEGOTIATE_UNIX_FD":
			answer = "AGREE_UNIX_FD"
		case line == "BEGIN":
			if r.Buffered() > 0 {
				return errors.New("read past BEGIN")
			}
			return nil
		}
		if _, err := fmt.Fprint(c, answer+"\r\n"); err != nil {
			return err
		}
	}
}
