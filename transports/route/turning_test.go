//go:build unix

package route

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets this program be the program of a route.
func TestMain(m *testing.M) {
	if what := os.Getenv("DAVBUS_TEST_HAND_BACK"); what != "" {
		if err := handBack(what, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// handBack sends descriptors over standard output.
func handBack(what, path string) error {
	var fds []int
	switch what {
	case "socket", "two", "stay", "late":
		for range 1 + strings.Count(what, "two") {
			c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				return err
			}
			f, err := c.File()
			if err != nil {
				return err
			}
			fds = append(fds, int(f.Fd()))
		}
	case "file":
		fds = []int{2}
	case "listener":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		fds = []int{int(f.Fd())}
	}
	if what == "late" {
		if _, err := io.CopyN(io.Discard, os.Stdin, maxKept+1); err != nil {
			return err
		}
	}
	if err := syscall.Sendmsg(1, []byte{0}, syscall.UnixRights(fds...), nil, 0); err != nil {
		return err
	}
	if what == "stay" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	return nil
}

func handing(t *testing.T, what, path string) *Dialer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return dialer(t, "exec:env DAVBUS_TEST_HAND_BACK="+what+" "+joinWords([]string{self, path}), Env{Says: func(line string) { t.Log(line) }})
}

// echoes serves what it is sent, until stop, which waits for its connections.
func echoes(t *testing.T) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
				c.(*net.UnixConn).CloseWrite()
			})
		}
	})
	stop = func() { l.Close(); wg.Wait() }
	t.Cleanup(stop)
	return path, stop
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestV15ASocketThatTheProgramHandsBackTakesItsPlace(t *testing.T) {
	before := descriptors(t)
	path, stop := echoes(t)
	big := strings.Repeat("0123456789abcdef", 1<<18) // more than any buffer holds
	for what, text := range map[string]string{"socket": "hello", "stay": big} {
		c, err := handing(t, what, path).Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c, text)
			if err == nil {
				err = closeWrite(c)
			}
			sent <- err
		}()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != text {
			t.Errorf("%s: read %d bytes of %d, %v", what, len(got), len(text), err)
		}
		if err := <-sent; err != nil {
			t.Errorf("%s: sending: %v", what, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: closing: %v", what, err)
		}
	}
	stop()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// A handshake has one goroutine, which sends first and reads then. The program
// may have ended before it sends at all.
func TestV15WhoSendsFirstAndThenReadsIsServedToo(t *testing.T) {
	path, _ := echoes(t)
	c, err := handing(t, "socket", path).Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-c.(*execConn).ended
	for _, word := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(c, word); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(word))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != word {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

func TestV15WhatIsNoConnectedSocketIsClosedAndRefused(t *testing.T) {
	before := descriptors(t)
	path, stop := echoes(t)
	for what, want := range map[string]string{"file": "no connected socket", "two": "2 descriptors", "listener": "not connected"} {
		c, err := handing(t, what, path).Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: read %d, %v", what, n, err)
		}
		c.Close()
	}
	// It has read more than is kept, so the socket's beginning would be missing.
	c, err := handing(t, "late", path).Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(bytes.Repeat([]byte("x"), maxKept+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), strconv.Itoa(maxKept+1)) {
		t.Errorf("late: %v", err)
	}
	c.Close()
	stop()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAConnectionToAProgramCanBeClosedAtAnyTime(t *testing.T) {
	c, err := dialer(t, "exec:sleep 1000", Env{}).Dial(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	c.Close()
	if err := <-read; err == nil {
		t.Error("it was read from after it was closed")
	}
}
