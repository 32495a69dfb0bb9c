package private

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

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

func TestS1ByteNamesTheHolderOfAPassedSocket(t *testing.T) {
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
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
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
