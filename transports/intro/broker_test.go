package intro

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
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func me(owner string) Sender {
	return Sender{Owner: owner, PID: uint32(os.Getpid()), UID: uint32(os.Geteuid())}
}

// keep registers a name whose owner keeps what it gets.
func keep(t *testing.T, b *Broker, owner string, n Name) (designator string, got <-chan Introduction) {
	t.Helper()
	ch := make(chan Introduction, 100)
	designator, err := b.Register(Registration{Name: n, Owner: owner, Deliver: func(_ context.Context, in Introduction) error { ch <- in; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return designator, ch
}

func pair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	mine, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	return mine, theirs
}

// closed tells whether the other end of a pair is closed everywhere.
func closed(c *net.UnixConn) bool {
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func wants(t *testing.T, err error, name string) {
	t.Helper()
	if nameOf(err) != name {
		t.Errorf("got %v, want the error %s", err, name)
	}
}

func TestG3G12TwoProgramsTalkAndOnlyTheyHoldTheSocket(t *testing.T) {
	b := NewBroker()
	designator, got := keep(t, b, "b", Name{Name: "viewer"})
	mine, theirs := pair(t)
	meta := map[string]any{"k": "v"}
	if err := b.Introduce(t.Context(), Introduction{Name: designator, Sender: me("a"), Metadata: meta, Socket: theirs}, false); err != nil {
		t.Fatal(err)
	}
	in := <-got
	if in.Name != designator || in.Sender.Owner != "a" || in.Metadata.(map[string]any)["k"] != "v" {
		t.Errorf("it got %+v", in)
	}
	sock, err := Socket(in.Socket)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, c := range []*net.UnixConn{mine, sock} {
		both.Go(func() {
			conn, err := Meet(c)
			if err != nil || conn.Cred.UID != uint32(os.Geteuid()) || conn.Cred.PID != os.Getpid() {
				t.Errorf("the holder of the other end is %+v, %v", conn, err)
			}
		})
	}
	both.Wait()
	sock.Write([]byte("x"))
	if n, err := mine.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	sock.Close()
	if !closed(mine) {
		t.Error("somebody else still holds the socket")
	}
}

func TestG7NobodyOfThatNameIsToldAtOnceAndTheSocketClosed(t *testing.T) {
	b := NewBroker()
	keep(t, b, "b", Name{Name: "label"}) // no public name
	for _, to := range []string{"nobody", "label", ""} {
		mine, theirs := pair(t)
		wants(t, b.Introduce(t.Context(), Introduction{Name: to, Sender: me("a"), Socket: theirs}, false), NotFound)
		if !closed(mine) {
			t.Errorf("%q: the socket is still open", to)
		}
	}
}

func TestOnlyConnectedUnixStreamSocketsAreIntroduced(t *testing.T) {
	b := NewBroker()
	d, got := keep(t, b, "b", Name{Name: "x"})
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listening, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	c, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	internet, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{listening, internet, file} {
		wants(t, b.Introduce(t.Context(), Introduction{Name: d, Sender: me("a"), Socket: f}, false), Invalid)
		if f.Close() == nil {
			t.Errorf("%s was left open", f.Name())
		}
	}
	if len(got) > 0 {
		t.Error("one of them was introduced")
	}
}

func TestG4ConsentIsByApplicationAndRefusalIsTold(t *testing.T) {
	b := NewBroker()
	open, _ := keep(t, b, "b", Name{Name: "open"})
	chosen, _ := keep(t, b, "b", Name{Name: "chosen", AcceptFrom: []string{"org.example.App"}})
	refusing, err := b.Register(Registration{Name: Name{Name: "shy"}, Owner: "b", Deliver: func(_ context.Context, in Introduction) error {
		in.Socket.Close()
		return errors.New("not today")
	}})
	if err != nil {
		t.Fatal(err)
	}
	app := func(id string) Sender { return Sender{Owner: "s", App: id, Sandboxed: true} }
	for _, x := range []struct {
		to   string
		from Sender
		want string
	}{
		{open, me("a"), ""}, {open, app("org.example.App"), Denied}, {open, app(""), Denied},
		{chosen, app("org.example.App"), ""}, {chosen, app("org.example.Other"), Denied}, {chosen, me("a"), Denied},
		{refusing, me("a"), PeerRefused},
	} {
		mine, theirs := pair(t)
		err := b.Introduce(t.Context(), Introduction{Name: x.to, Sender: x.from, Socket: theirs}, false)
		wants(t, err, x.want)
		if x.want != "" && !closed(mine) {
			t.Errorf("%+v: the socket is still open", x)
		}
		if x.want == PeerRefused && !strings.Contains(err.Error(), "not today") {
			t.Errorf("the refusal's reason is lost: %v", err)
		}
	}
}

func TestG5AnIntroductionWaitsForItsTargetAndExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		mine, theirs := pair(t)
		done := make(chan error, 1)
		go func() {
			done <- b.Introduce(t.Context(), Introduction{Name: "late", Sender: me("a"), Socket: theirs}, true)
		}()
		synctest.Wait()
		if b.Pending() != 1 {
			t.Errorf("%d wait", b.Pending())
		}
		_, got := keep(t, b, "b", Name{Name: "late", Public: true})
		if err := <-done; err != nil {
			t.Error(err)
		}
		(<-got).Socket.Close()
		if !closed(mine) || b.Pending() != 0 {
			t.Errorf("%d wait", b.Pending())
		}
		mine, theirs = pair(t)
		began := time.Now()
		wants(t, b.Introduce(t.Context(), Introduction{Name: "never", Sender: me("a"), Socket: theirs}, true), Timeout)
		if spent := time.Since(began); spent != patience || !closed(mine) {
			t.Errorf("it expired after %v", spent)
		}
	})
}
