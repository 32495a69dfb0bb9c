//go:build real

package blackbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/service/lab"
)

// begins starts the command line and gives its lines as they come. It goes on
// until stop, as ^C ends it.
func (h *house) begins(env []string, args ...string) (lines *bufio.Scanner, stop func()) {
	h.Helper()
	ctx, end := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "davbus"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay, cmd.Stderr, cmd.Env = patience, os.Stderr, append(h.env(), env...)
	out, err := cmd.StdoutPipe()
	h.must(err)
	h.must(cmd.Start())
	stop = sync.OnceFunc(func() { end(); cmd.Wait() })
	h.Cleanup(stop)
	return bufio.NewScanner(out), stop
}

// reads gives the next line, which must hold a text.
func (h *house) reads(lines *bufio.Scanner, want string) string {
	h.Helper()
	if !lines.Scan() || !strings.Contains(lines.Text(), want) {
		h.Fatalf("it says %q, want %q (%v)", lines.Text(), want, lines.Err())
	}
	return lines.Text()
}

// asks sends something through a socket, ends its side and gives the answer.
func (h *house) asks(socket, say string) string {
	h.Helper()
	c, err := net.Dial("unix", socket)
	h.must(err)
	defer c.Close()
	_, err = io.WriteString(c, say)
	h.must(err)
	h.must(c.(*net.UnixConn).CloseWrite())
	got, err := io.ReadAll(c)
	h.must(err)
	return string(got)
}

// A taken is what "tunnel take" prints.
type taken struct {
	Address, Stream string
	Parameters      map[string]string
}

func TestT13T14T15T18TunnelsByTheCommandLine(t *testing.T) {
	h := newHouse(t, "desk")
	h.start()
	for _, target := range []string{lab.Echo(t, "tcp", "127.0.0.1:0"), lab.Echo(t, "unix", filepath.Join(h.Runtime, "service"))} {
		offer, withdraw := h.begins(nil, "tunnel", "offer", "desk", "echo", target, "--param", "screen=1")
		h.reads(offer, "desk")
		if got, _, _ := h.davbus("tunnel", "list", "--json"); !strings.Contains(got, `"name": "desk"`) || !strings.Contains(got, `"screen": "1"`) || strings.Contains(got, target) {
			t.Errorf("listed %s", got)
		}
		var tunnel taken
		out, errs, _ := h.davbus("tunnel", "take", "desk", "echo", "--json")
		if err := json.Unmarshal([]byte(out), &tunnel); err != nil || tunnel.Parameters["screen"] != "1" {
			t.Fatalf("%s %s %v", out, errs, err)
		}
		for range 3 {
			if got := h.asks(tunnel.Address, "hello"); got != "heard hello" {
				t.Errorf("%s: %q", target, got)
			}
		}
		var told []string // that one ends may be told after the next has begun
		for range 6 {
			line, _, _ := strings.Cut(h.reads(offer, ""), ":")
			told = append(told, line)
		}
		slices.Sort(told)
		if want := []string{"1 connected", "1 ended", "2 connected", "2 ended", "3 connected", "3 ended"}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
		withdraw()
		if !lab.Within(patience, func() bool { _, err := os.Stat(tunnel.Address); return err != nil }) {
			t.Fatal("the offer is gone and its socket is there")
		}
	}
	for _, x := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tunnel", "take", "desk", "echo"}, 1, `nobody has registered "desk"`},
		{[]string{"tunnel", "offer", "desk", "echo", "tcp:192.0.2.1:80"}, 2, "is no target"},
		{[]string{"tunnel", "offer", "Desk", "echo", "tcp:127.0.0.1:80"}, 2, "is no name"},
		{[]string{"tunnel", "list"}, 0, ""},
	} {
		if out, errs, code := h.davbus(x.args...); code != x.code || !strings.Contains(errs, x.want) {
			t.Errorf("%q: %d, %q %q", x.args, code, out, errs)
		}
	}
}
