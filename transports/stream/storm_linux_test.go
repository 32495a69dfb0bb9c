package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/transports/private"
)

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// leavesNothing runs a stream and demands that it leaves no descriptor.
func leavesNothing(t *testing.T, o Options, use func(s *Stream)) {
	t.Helper()
	d, err := private.OpenDir(t.TempDir() + "/run")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	before := descriptors(t)
	o.Dir, o.Told = d, func(Event) {}
	s := New(o)
	use(s)
	s.Close()
	for deadline := time.Now().Add(30 * time.Second); descriptors(t) != before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors before, %d after", before, descriptors(t))
		}
	}
}

func echo(_ context.Context, c *Conn) error {
	_, err := io.Copy(c, c)
	return err
}

func TestT23FiveThousandConnectionsLeaveNothing(t *testing.T) {
	for _, x := range []struct {
		address string
		many    int
	}{{"unix", 5000}, {"tcp", 300}} {
		leavesNothing(t, Options{Max: 64, Handle: echo}, func(s *Stream) {
			where, cookie, _, err := s.Listen(Door{Address: x.address, Access: "cookie"})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() {
					for i := n; i < x.many; i += 8 {
						if got, err := exchange(x.address, where, cookie, i%3); err != nil || got != "hello" && i%3 == 0 {
							t.Errorf("%s, connection %d: %q, %v", x.address, i, got, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// exchange makes one connection: a good one, one that leaves at once, or one with
// a wrong cookie.
func exchange(network, where, cookie string, how int) (string, error) {
	c, err := net.Dial(network, where)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	switch how {
	case 1:
		return "", nil
	case 2:
		cookie = strings.Repeat("0", len(cookie))
	}
	if _, err := io.WriteString(c, cookie+"\nhello"); err != nil || how == 2 {
		return "", nil // it may be closed already
	}
	c.(interface{ CloseWrite() error }).CloseWrite()
	got, err := io.ReadAll(c)
	return string(got), err
}

func TestAClientThatNeverReadsIsGivenUpAndHarmsNobody(t *testing.T) {
	s, events := open(t, Options{Max: 2, Unread: 200 * time.Millisecond, Handle: func(_ context.Context, c *Conn) error {
		size := make([]byte, 1)
		if _, err := io.ReadFull(c, size); err != nil {
			return err
		}
		_, err := c.Write(make([]byte, map[byte]int{'s': 10, 'l': 16 << 20}[size[0]]))
		return err
	}})
	path, _ := listen(t, s, "peer")
	deaf, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	io.WriteString(deaf, "l")
	for e := range events {
		if e.Connected == 1 {
			break
		}
	}
	if got, err := talk(t, path, "s"); err != nil || len(got) != 10 {
		t.Errorf("another one got %d bytes, %v", len(got), err)
	}
	for e := range events {
		if e.Disconnected != 1 {
			continue
		}
		if !errors.Is(e.Err, os.ErrDeadlineExceeded) {
			t.Errorf("%+v", e)
		}
		break
	}
}

func TestAClientThatWritesByteByByteHoldsUpNobody(t *testing.T) {
	s, _ := open(t, Options{Max: 4})
	path, _ := listen(t, s, "peer")
	slow, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.SetDeadline(time.Now().Add(30 * time.Second))
	for _, b := range []byte("a byte a second") {
		if _, err := slow.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if got, err := talk(t, path, "hello"); err != nil || got != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
		got := make([]byte, 1)
		if _, err := slow.Read(got); err != nil || got[0] != b {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
