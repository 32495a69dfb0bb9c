package conn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddressesAreUnderstood(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/u")
	for address, want := range map[string]string{
		"unix:path=/a/b": "/a/b", "unix:path=/a%20b,guid=0123": "/a b", "unix:guid=1,abstract=/x": "@/x", "unix:runtime=yes": "/run/u/bus",
	} {
		if got, err := socketName(address); err != nil || got != want {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	for address, want := range map[string]string{
		"tcp:host=x": "only unix:", "autolaunch:": "only unix:", "/run/bus": "only unix:", "unix:": "names no socket", "unix:guid=1": "names no socket",
		"unix:dir=/tmp": "folder to listen in", "unix:tmpdir=/tmp": "folder to listen in", "unix:path=%zz": "unix:path=%zz",
	} {
		if got, err := socketName(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
}

func TestTheSessionBusIsFoundAndNeverStarted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if a, err := SessionAddress(); err == nil {
		t.Error(a)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "autolaunch:")
	if a, err := SessionAddress(); err == nil {
		t.Error(a)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err := SessionAddress(); err != nil || a != "unix:path="+dir+"/bus" {
		t.Error(a, err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x")
	if a, err := SessionAddress(); err != nil || a != "unix:path=/x" {
		t.Error(a, err)
	}
}

// bus answers the lines of a login, one after the other, and gives what it was
// told.
func bus(t *testing.T, answers ...string) (address string, told <-chan []string) {
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ch := make(chan []string, 1)
	go func() {
		var lines []string
		defer func() { ch <- lines }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			line, err := r.ReadString('\n')
			if err != nil || line == "BEGIN\r\n" {
				return
			}
			lines = append(lines, line)
			if i < len(answers) {
				fmt.Fprint(c, answers[i])
			}
		}
	}()
	return "unix:path=" + dir + "/s", ch
}

func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		files   bool
		err     string
	}{
		"with descriptors":    {[]string{"OK 1234\r\n", "AGREE_UNIX_FD\r\n"}, true, ""},
		"without descriptors": {[]string{"OK 1234\r\n", "ERROR\r\n"}, false, ""},
		"refused":             {[]string{"REJECTED EXTERNAL\r\n"}, false, "refused user"},
		"a line without end":  {[]string{strings.Repeat("x", maxLine+10)}, false, "without end"},
	} {
		t.Run(name, func(t *testing.T) {
			address, told := bus(t, c.answers...)
			s, err := dial(t.Context(), "unix:path=/nowhere;"+address)
			if err != nil {
				t.Fatal(err)
			}
			files, err := login(t.Context(), s)
			s.Close()
			if c.err == "" && (err != nil || files != c.files) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, %v", files, err)
			}
			if lines := <-told; !strings.HasPrefix(lines[0], "\x00AUTH EXTERNAL ") || c.err == "" && lines[1] != "NEGOTIATE_UNIX_FD\r\n" {
				t.Errorf("the bus was told %q", lines)
			}
		})
	}
}

func TestDialGivesUpInTime(t *testing.T) {
	address, told := bus(t) // says nothing
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := Dial(ctx, address, Options{}); failed <- err }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-told:
	default: // it may not have got as far as connecting
	}
	for _, bad := range []string{"", ";", "unix:path=/nowhere", "tcp:host=x"} {
		if c, err := Dial(t.Context(), bad, Options{}); err == nil {
			c.Close()
			t.Errorf("%q was reached", bad)
		}
	}
}
