package private

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"davbus.org/davbus/transports/peer"
)

func openDir(t testing.TB) *Dir {
	t.Helper()
	d, err := OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// serve runs a listener until the test ends.
func serve(t testing.TB, l *Listener, handle func(context.Context, *Conn)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Serve(ctx, handle); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
}

func echo(_ context.Context, c *Conn) {
	io.Copy(struct{ io.Writer }{c.UnixConn}, struct{ io.Reader }{c})
}

func listen(t testing.TB, d *Dir, opt Options) *Listener {
	t.Helper()
	l, err := d.Listen("s", opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func say(t testing.TB, path, text string) string {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestFolderMustBeOursAlone(t *testing.T) {
	base := t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	os.Mkdir(path("open"), 0o755)
	os.Chmod(path("open"), 0o755)
	os.Mkdir(path("target"), 0o700)
	os.Symlink(path("target"), path("link"))
	os.WriteFile(path("file"), nil, 0o600)
	for _, c := range []struct{ path, want string }{
		{path("open"), "chmod 700"}, {path("link"), "not a link"}, {path("file"), "must be a folder"}, {"relative", "absolute"},
	} {
		if d, err := OpenDir(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", c.path, d, err, c.want)
		}
	}
	d, err := OpenDir(path("new"))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if info, err := os.Stat(path("new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestS4SocketHasNoMomentWithAnotherMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	l := listen(t, openDir(t), Options{})
	defer l.Close()
	info, err := os.Lstat(l.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestSecondListenerIsRefusedAndALeftOverIsReplaced(t *testing.T) {
	d := openDir(t)
	l := listen(t, d, Options{})
	if _, err := d.Listen("s", Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second listener: %v", err)
	}
	// What a killed process leaves: socket and lock file, and nobody who holds them.
	l.lock.Close()
	l.sock.Close()
	again := listen(t, d, Options{})
	serve(t, again, echo)
	if got := say(t, again.Path(), "x"); got != "x" {
		t.Errorf("got %q", got)
	}
	// The old one must not take the new one's socket away.
	l.Close()
	if got := say(t, again.Path(), "y"); got != "y" {
		t.Errorf("got %q", got)
	}
}

func TestNothingIsLeftAfterServe(t *testing.T) {
	d := openDir(t)
	l := listen(t, d, Options{})
	ctx, stop := context.WithCancel(t.Context())
	entered := make(chan struct{})
	done := make(chan error)
	go func() {
		done <- l.Serve(ctx, func(_ context.Context, c *Conn) {
			close(entered)
			c.Read(make([]byte, 1)) // a client that never says anything
		})
	}()
	c, err := Dial(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-entered
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(l.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the connection is still open: %d", n)
	}
}

func TestLimitOfClients(t *testing.T) {
	var mu sync.Mutex
	var reasons []string
	l := listen(t, openDir(t), Options{MaxClients: 2, Refused: func(_ peer.Cred, err error) {
		mu.Lock()
		defer mu.Unlock()
		reasons = append(reasons, err.Error())
	}})
	serve(t, l, echo)
	hold := func() *net.UnixConn {
		c, err := Dial(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		return c
	}
	answered := func(c *net.UnixConn) bool {
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	one, two := hold(), hold()
	defer two.Close()
	if !answered(one) || !answered(two) {
		t.Fatal("two clients are allowed")
	}
	three := hold()
	if answered(three) {
		t.Error("a third client was served")
	}
	three.Close()
	mu.Lock()
	if len(reasons) != 1 || !strings.Contains(reasons[0], "2 clients") {
		t.Errorf("reasons: %q", reasons)
	}
	mu.Unlock()
	// A place that became free is given again.
	one.CloseWrite()
	io.ReadAll(one)
	one.Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c := hold()
		ok := answered(c)
		c.Close()
		if ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the free place was not given again")
		}
	}
}

func TestPathLimit(t *testing.T) {
	base := t.TempDir()
	fill := maxPath - len(tempSuffix) - len(base) - len("/") - len("/s")
	if fill < 1 {
		t.Fatalf("the temporary folder's own path is too long for this test: %s", base)
	}
	for extra, ok := range map[int]bool{0: true, 1: false} {
		d, err := OpenDir(filepath.Join(base, strings.Repeat("d", fill+extra)))
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.Listen("s", Options{})
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", len(d.Path())+2, err)
		}
		if err == nil {
			l.Close()
		} else if !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		d.Close()
	}
}

func TestAdoptedSocketServesAndIsNotRemoved(t *testing.T) {
	d := openDir(t)
	path := filepath.Join(d.Path(), "handed")
	made, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	made.SetUnlinkOnClose(false)
	file, err := made.File()
	if err != nil {
		t.Fatal(err)
	}
	made.Close()
	l := listen(t, d, Options{Adopt: file, RequireByte: true})
	file.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Serve(ctx, echo) }()
	if got := say(t, path, "\x00hi"); got != "hi" {
		t.Errorf("got %q", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of whoever started us was removed: %v", err)
	}
}
