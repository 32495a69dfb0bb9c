package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestSocketHasNoMomentWithAnotherMode(t *testing.T) {
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

func TestCredentialByteIsNotPartOfTheStream(t *testing.T) {
	for _, required := range []bool{false, true} {
		l := listen(t, openDir(t), Options{RequireByte: required})
		serve(t, l, echo)
		if got := say(t, l.Path(), "\x00hello"); got != "hello" {
			t.Errorf("required %v: got %q", required, got)
		}
		want := map[bool]string{false: "hello", true: ""}[required]
		if got := sayLoosely(t, l.Path(), "hello"); got != want {
			t.Errorf("required %v, without the byte: got %q, want %q", required, got, want)
		}
	}
}

// sayLoosely allows the other side to close before it has read everything.
func sayLoosely(t testing.TB, path, text string) string {
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, text)
	c.CloseWrite()
	got, _ := io.ReadAll(c)
	return string(got)
}

func TestAClientThatSaysNothingIsAnEmptyStream(t *testing.T) {
	l := listen(t, openDir(t), Options{})
	serve(t, l, func(_ context.Context, c *Conn) {
		text, err := io.ReadAll(c)
		fmt.Fprintf(c, "%d bytes, %v", len(text), err)
	})
	if got := say(t, l.Path(), ""); got != "0 bytes, <nil>" {
		t.Error(got)
	}
}

func TestByteNamesTheHolderOfAPassedSocket(t *testing.T) {
	ours, theirs := pair(t)
	if err := WantByte(ours); err != nil {
		t.Fatal(err)
	}
	theirs.Write([]byte("\x00data"))
	c, err := Passed(ours)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cred.PID != os.Getpid() || c.Cred.UID != uint32(os.Geteuid()) {
		t.Errorf("holder is %+v", c.Cred)
	}
	buf := make([]byte, 10)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "data" {
		t.Errorf("%q %v", buf[:n], err)
	}
}

func TestPassedSocketWithoutTheByteIsRefused(t *testing.T) {
	ours, theirs := pair(t)
	WantByte(ours)
	theirs.Write([]byte("data"))
	if c, err := Passed(ours); err == nil {
		t.Errorf("accepted %+v", c.Cred)
	}
}

func TestStrayDescriptorIsClosedAndRefused(t *testing.T) {
	before := descriptors(t)
	ours, theirs := pair(t)
	WantByte(ours)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := theirs.WriteMsgUnix([]byte{0}, unix.UnixRights(int(file.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Passed(ours); err == nil {
		t.Error("a descriptor with the credential byte was accepted")
	}
	file.Close()
	ours.Close()
	theirs.Close()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
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
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
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

func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		out[i] = c.(*net.UnixConn)
		t.Cleanup(func() { out[i].Close() })
	}
	return out[0], out[1]
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func FuzzFirstBytes(f *testing.F) {
	f.Add([]byte("\x00hello"), true)
	f.Add([]byte("hello"), false)
	f.Fuzz(func(t *testing.T, sent []byte, required bool) {
		ours, theirs := pair(t)
		WantByte(ours)
		theirs.Write(sent)
		theirs.CloseWrite()
		c := &Conn{UnixConn: ours}
		if required {
			if err := c.handshake(); (err == nil) != (len(sent) > 0 && sent[0] == 0) {
				t.Fatalf("%q: %v", sent, err)
			} else if err != nil {
				return
			}
		}
		got, err := io.ReadAll(struct{ io.Reader }{c})
		if want := bytes.TrimPrefix(sent, []byte{0}); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("sent %q, read %q, %v", sent, got, err)
		}
	})
}
