package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/transports/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a stream that echoes, or does what handle does.
func open(t *testing.T, o Options) (*Stream, chan Event) {
	t.Helper()
	d, err := private.OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan Event, 1000)
	o.Dir, o.Told = d, func(e Event) { events <- e }
	if o.Handle == nil {
		o.Handle = func(_ context.Context, c *Conn) error {
			_, err := io.Copy(c, c)
			return err
		}
	}
	s := New(o)
	t.Cleanup(func() {
		s.Close()
		if left, _ := os.ReadDir(d.Path()); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
		d.Close()
	})
	return s, events
}

func talk(t *testing.T, path, text string) (string, error) {
	t.Helper()
	c, err := private.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	c.CloseWrite()
	got, err := io.ReadAll(c)
	return string(got), err
}

func listen(t *testing.T, s *Stream, access string) (path, cookie string) {
	t.Helper()
	path, cookie, got, err := s.Listen(Door{Access: access})
	if err != nil || access != "" && got != access {
		t.Fatal(got, err)
	}
	return path, cookie
}

func TestT5EveryAccessControlOfAPathIsServedAndOthersRefused(t *testing.T) {
	for _, access := range []string{"peer", "credentials", "cookie"} {
		s, _ := open(t, Options{Max: 4})
		path, cookie := listen(t, s, access)
		prefix := map[string]string{"peer": "", "credentials": "\x00", "cookie": cookie + "\n"}[access]
		if got, err := talk(t, path, prefix+"hello"); err != nil || got != "hello" {
			t.Errorf("%s: %q, %v", access, got, err)
		}
	}
	s, _ := open(t, Options{})
	for _, d := range []Door{
		{Address: "unix", Access: "password"}, {Address: "abstract"}, {Address: "tcp", Access: "netmask"}, {Address: "tcp", Access: "peer"},
		{Address: "tcp", Access: "credentials"}, {Address: "tcp", Access: "password"}, {Address: "unix", Access: "port", SourcePort: 1},
	} {
		if _, _, _, err := s.Listen(d); !errors.Is(err, ErrUnknown) {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, d := range []Door{{Address: "tcp", Access: "port"}, {Address: "tcp", Access: "cookie", SourcePort: 5}} {
		if _, _, _, err := s.Listen(d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", d, err)
		}
	}
	listen(t, s, "") // none of it has opened the stream
}

func TestT6WithPeerEveryByteIsTheStreams(t *testing.T) {
	s, _ := open(t, Options{})
	path, _ := listen(t, s, "peer")
	if got, err := talk(t, path, "\x00hello"); err != nil || got != "\x00hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestT6WithoutTheByteOrTheCookieNothingIsServed(t *testing.T) {
	for access, sent := range map[string]string{"credentials": "hello", "cookie": strings.Repeat("0", 32) + "\nhello"} {
		s, events := open(t, Options{Max: 4})
		path, _ := listen(t, s, access)
		if got, _ := talk(t, path, sent); got != "" {
			t.Errorf("%s: answered %q", access, got)
		}
		if len(events) > 0 {
			t.Errorf("%s: told %+v", access, <-events)
		}
	}
}

func TestT12CloseBreaksOffAndSaysSo(t *testing.T) {
	s, events := open(t, Options{})
	f, err := s.OpenFD()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if e := <-events; e.Connected != 1 {
		t.Fatalf("%+v", e)
	}
	s.Close()
	if e := <-events; !e.Closed && !errors.Is(e.Err, context.Canceled) {
		t.Errorf("%+v", e)
	}
	if n, err := f.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Error(n, err)
	}
}

func TestT14ManyConnectionsEachWithNumberAndHalfClose(t *testing.T) {
	const many = 30
	s, events := open(t, Options{Max: many})
	path, _ := listen(t, s, "peer")
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			text := strings.Repeat("x", 100000)
			if got, err := talk(t, path, text); err != nil || got != text {
				t.Errorf("%d bytes of %d, %v", len(got), len(text), err)
			}
		})
	}
	wg.Wait()
	began, ended := map[uint32]bool{}, map[uint32]bool{}
	for len(ended) < many {
		e := <-events
		switch {
		case e.Connected > 0 && int(e.Cred.UID) == os.Geteuid():
			began[e.Connected] = true
		case e.Disconnected > 0 && began[e.Disconnected] && e.Err == nil:
			ended[e.Disconnected] = true
		default:
			t.Fatalf("%+v", e)
		}
	}
	if in, out := s.Bytes(); in != many*100000 || out != in {
		t.Errorf("%d in, %d out", in, out)
	}
}

func TestOneConnectionAndOneOpening(t *testing.T) {
	s, events := open(t, Options{Once: true})
	path, _ := listen(t, s, "peer")
	if _, err := s.OpenFD(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if got, err := talk(t, path, "a"); got != "a" {
		t.Error(got, err)
	}
	for e := range events {
		if e.Closed {
			break
		}
	}
	if c, err := net.Dial("unix", path); err == nil {
		defer c.Close()
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("served twice")
		}
	}
}

func TestNobodyComesAndTheStreamCloses(t *testing.T) {
	s, events := open(t, Options{Unused: 50 * time.Millisecond})
	listen(t, s, "peer")
	if e := <-events; !e.Closed {
		t.Errorf("%+v", e)
	}
}
