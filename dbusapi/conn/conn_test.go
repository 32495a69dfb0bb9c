package conn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon fails the test if a condition does not come about.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if ok() {
			return
		}
	}
	t.Fatal("never happened: ", what)
}

// openFiles counts the descriptors of this process. From then on none is closed
// by the garbage collector, which would hide that nobody else closes it.
func openFiles(t testing.TB) int {
	t.Helper()
	if old := debug.SetGCPercent(-1); old != -1 {
		t.Cleanup(func() { debug.SetGCPercent(old) })
	}
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func sockets(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return ends[0], ends[1]
}

// A handlerFunc is a handler made of a function.
type handlerFunc func(*Conn, *Incoming)

func (f handlerFunc) HandleCall(c *Conn, m *Incoming) { f(c, m) }

// reply answers a call with values and files.
func reply(t testing.TB, c *Conn, m *Incoming, values ...any) {
	body, files := handOver(values)
	frame, err := c.Encode(m.Answer(dbus.TypeMethodReply, "", body...), len(files))
	if err != nil {
		t.Error(err)
		return
	}
	c.Write(frame, files, nil)
}

// echo answers every call with its own body, files and all.
func echo(t testing.TB) Handler {
	return handlerFunc(func(c *Conn, m *Incoming) {
		body, err := m.Body()
		if err != nil {
			m.Close()
			c.Refuse(m, "org.freedesktop.DBus.Error.InvalidArgs", err.Error())
			return
		}
		for i, v := range body {
			if index, ok := v.(dbus.UnixFDIndex); ok {
				f, _ := m.Take(index)
				body[i] = f
			}
		}
		m.Close()
		reply(t, c, m, body...)
	})
}

// join gives two connections that speak to each other.
func join(t testing.TB, a, b Options) (*Conn, *Conn) {
	t.Helper()
	x, y := sockets(t)
	ca, cb := New(x, true, a), New(y, true, b)
	t.Cleanup(func() { ca.Close(); cb.Close() })
	return ca, cb
}

// encode makes a message by hand.
func encode(t testing.TB, order binary.ByteOrder, serial uint32, m *dbus.Message) []byte {
	t.Helper()
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	order.PutUint32(b.Bytes()[8:], serial)
	return b.Bytes()
}

func callMessage(body ...any) *dbus.Message {
	return &dbus.Message{Type: dbus.TypeMethodCall, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/x")), dbus.FieldMember: dbus.MakeVariant("Do"),
		dbus.FieldInterface: dbus.MakeVariant("org.example.X"), dbus.FieldSender: dbus.MakeVariant(":1.5"),
	}}
}

func TestCallsAndSignalsCross(t *testing.T) {
	a, b := join(t, Options{}, Options{Handler: echo(t)})
	var got []string
	var mu sync.Mutex
	stop := a.Listen(func(s *dbus.Signal) { mu.Lock(); defer mu.Unlock(); got = append(got, s.Name+fmt.Sprint(s.Body)) })
	for i := range 100 {
		frame, err := b.Encode(&dbus.Message{Type: dbus.TypeSignal, Body: []any{uint32(i)}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/x")), dbus.FieldMember: dbus.MakeVariant("S"), dbus.FieldInterface: dbus.MakeVariant("a.B"),
		}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(frame, nil, nil)
	}
	options := map[string]dbus.Variant{"k": dbus.MakeVariant([]string{"v"})}
	r, err := a.Call(t.Context(), "", "/x", "a.B.Do", "text", options)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var back map[string]dbus.Variant
	if err := r.Store(&text, &back); err != nil || text != "text" || back["k"].String() != `["v"]` {
		t.Errorf("got %q %v, %v", text, back, err)
	}
	stop()
	mu.Lock()
	defer mu.Unlock()
	for i := range 100 { // they were sent before the reply, so they are here
		if want := fmt.Sprintf("a.B.S[%d]", i); len(got) != 100 || got[i] != want {
			t.Fatalf("%d signals, the %dth is not %s", len(got), i, want)
		}
	}
}

func TestDescriptorsOfManySendersAreNotMixedUp(t *testing.T) {
	before := openFiles(t)
	a, b := join(t, Options{}, Options{Handler: echo(t)})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for k := range 20 {
				want := fmt.Sprint(i, "/", k)
				r, w, err := os.Pipe()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(w, want)
				w.Close()
				args := []any{want, r}
				if k%3 == 0 {
					r.Close()
					args = []any{want}
				}
				rep, err := a.CallForFiles(t.Context(), "", "/x", "a.B.Do", args...)
				if err != nil || rep.Body[0] != want || len(rep.Files) != len(args)-1 {
					t.Errorf("%v, %v", rep, err)
					return
				}
				if len(rep.Files) == 1 {
					if got, err := io.ReadAll(rep.Files[0]); string(got) != want {
						t.Errorf("the descriptor of %s gave %q, %v", want, got, err)
					}
				}
				rep.Close()
			}
		})
	}
	wg.Wait()
	a.Close()
	b.Close()
	if after := openFiles(t); after > before {
		t.Errorf("%d files open before, %d after", before, after)
	}
}

func TestNoDescriptorStaysOpen(t *testing.T) {
	refuse := handlerFunc(func(c *Conn, m *Incoming) { m.Close(); c.Refuse(m, "a.B.No", "no") })
	a, _ := join(t, Options{}, Options{Handler: refuse})
	before := openFiles(t)
	null := func() *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 50 {
		if _, err := a.Call(t.Context(), "", "/x", "a.B.Do", null(), null(), null()); err == nil {
			t.Fatal("not refused")
		}
		if _, err := a.Call(t.Context(), "", "/x", "a.B.Do", null(), make(chan int)); err == nil {
			t.Fatal("a channel was sent")
		}
		long, cancel := context.WithCancel(t.Context())
		cancel()
		a.Call(long, "", "/x", "a.B.Do", null())
	}
	soon(t, "all are closed", func() bool { return openFiles(t) <= before })
}

func TestAReplyThatComesTooLateIsClosed(t *testing.T) {
	came := make(chan *Incoming, 1)
	h := handlerFunc(func(c *Conn, m *Incoming) {
		if m.Member == "Late" {
			came <- m
			return
		}
		reply(t, c, m)
	})
	a, b := join(t, Options{}, Options{Handler: h})
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { _, err := a.CallForFiles(ctx, "", "/x", "a.B.Late"); answered <- err }()
	m := <-came
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	reply(t, b, m, f)
	if _, err := a.Call(t.Context(), "", "/x", "a.B.Do"); err != nil { // the late reply came before this one's
		t.Error(err)
	}
	soon(t, "it is closed", func() bool { return openFiles(t) <= before })
}
