//go:build real

package service

import (
	"bufio"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

// A listener is another program that has asked the bus for all that we say.
type listener struct {
	t    testing.TB
	cmd  *exec.Cmd
	name string // on the bus
	said syncBuffer
	end  func()
}

// listen starts gdbus as a listener, and returns when the bus knows it.
func listen(t testing.TB, c *dbus.Conn) *listener {
	t.Helper()
	before := names(t, c)
	l := &listener{t: t, cmd: exec.Command("gdbus", "monitor", "--session", "--dest", client.Name)}
	out, err := l.cmd.StdoutPipe()
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	read := make(chan struct{})
	l.end = sync.OnceFunc(func() { l.cmd.Process.Kill(); <-read; l.cmd.Wait() })
	t.Cleanup(l.end)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			close(read)
			t.Fatalf("gdbus monitor: %v", err)
		}
		if strings.Contains(line, "is owned by") {
			break
		}
	}
	for _, n := range names(t, c) {
		if strings.HasPrefix(n, ":") && !slices.Contains(before, n) {
			l.name = n
		}
	}
	go func() {
		lines.WriteTo(&l.said)
		close(read)
	}()
	return l
}

// stop keeps it from reading any more. It stays on the bus.
func (l *listener) stop() {
	l.t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		l.t.Fatal(err)
	}
}

func names(t testing.TB, c *dbus.Conn) (all []string) {
	t.Helper()
	if err := c.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
