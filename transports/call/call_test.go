package call

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect joins two ends.
func connect(t *testing.T, a, b Options) (*Peer, *Peer) {
	t.Helper()
	x, y := net.Pipe()
	p, q := Start(x, a), Start(y, b)
	t.Cleanup(func() { p.Close(); q.Close() })
	return p, q
}

func TestLineLimit(t *testing.T) {
	const limit = 5000 // more than the reader's buffer
	for extra, ok := range map[int]bool{0: true, 1: false} {
		record := strings.Repeat("x", limit+extra)
		got, err := newLineReader(strings.NewReader(record+"\n"), limit).next()
		if ok && (err != nil || string(got) != record) {
			t.Errorf("%d bytes: got %d, %v", len(record), len(got), err)
		}
		if !ok && !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: %v", len(record), err)
		}
	}
}

func TestSendingLimit(t *testing.T) {
	echo := func(_ context.Context, _ string, p json.RawMessage) (any, error) { return p, nil }
	a, _ := connect(t, Options{Limit: 1000}, Options{Limit: 1000, Handle: echo})
	if err := a.Call(t.Context(), "x", strings.Repeat("x", 1000), nil, nil); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
	// The connection stands.
	if err := a.Call(t.Context(), "x", strings.Repeat("x", 500), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	l := newLineReader(strings.NewReader("{}\r\n\n\r\n[]\ncut"), 10)
	for _, want := range []string{"{}", "[]"} {
		if got, err := l.next(); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := l.next(); err != io.EOF || got != nil {
		t.Errorf("a line that was cut off: %q, %v", got, err)
	}
}

func TestManyCallsBothWays(t *testing.T) {
	twice := func(_ context.Context, _ string, params json.RawMessage) (any, error) {
		var n int
		err := json.Unmarshal(params, &n)
		return 2 * n, err
	}
	o := Options{Handle: twice, Busy: 200}
	a, b := connect(t, o, o)
	var wg sync.WaitGroup
	for i := range 100 {
		for _, p := range []*Peer{a, b} {
			wg.Go(func() {
				var got int
				if err := p.Call(t.Context(), "twice", i, &got, nil); err != nil || got != 2*i {
					t.Errorf("%d: got %d, %v", i, got, err)
				}
			})
		}
	}
	wg.Wait()
}

func TestNotificationsComeInOrderAndBeforeTheAnswer(t *testing.T) {
	const n = 1000
	var got []int
	var b *Peer
	ready := make(chan struct{})
	a, peer := connect(t, Options{Notify: func(_ string, params json.RawMessage) {
		var i int
		json.Unmarshal(params, &i)
		got = append(got, i)
	}}, Options{Handle: func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		<-ready
		for i := range n {
			if err := b.Notify(ctx, "change", i); err != nil {
				return nil, err
			}
		}
		return n, nil
	}})
	b = peer
	close(ready)
	if err := a.Call(t.Context(), "changes", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if len(got) != n {
		t.Fatalf("%d of %d came before the answer", len(got), n)
	}
	for i, v := range got {
		if i != v {
			t.Fatalf("number %d came at place %d", v, i)
		}
	}
}

func TestErrorKeepsItsName(t *testing.T) {
	a, _ := connect(t, Options{}, Options{Handle: func(_ context.Context, method string, _ json.RawMessage) (any, error) {
		switch method {
		case "named":
			return nil, fmt.Errorf("wrapped: %w", &Error{Name: "not-found", Message: "no such thing", Details: map[string]any{"n": 1.0}})
		case "panic":
			panic("asked for it")
		}
		return nil, errors.New("plain")
	}})
	err := a.Call(t.Context(), "named", nil, nil, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.ErrorName() != "not-found" || e.Message != "no such thing" || e.Details["n"] != 1.0 {
		t.Errorf("got %#v", err)
	}
	for _, c := range []struct{ method, want string }{{"plain", "plain"}, {"panic", "asked for it"}} {
		err := a.Call(t.Context(), c.method, nil, nil, nil)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeInternal || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %#v", c.method, err)
		}
	}
}

func TestProgressReachesItsCaller(t *testing.T) {
	var b *Peer
	ready := make(chan struct{})
	a, peer := connect(t, Options{}, Options{Handle: func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		<-ready
		return nil, b.Progress(ctx, map[string]any{"done": 1})
	}})
	b = peer
	close(ready)
	touched := 0
	if err := a.Call(t.Context(), "x", nil, nil, func() { touched++ }); err != nil || touched != 1 {
		t.Errorf("touched %d times, %v", touched, err)
	}
}

func TestEndFailsEveryCallOnce(t *testing.T) {
	x, y := net.Pipe()
	a := Start(x, Options{})
	defer a.Close()
	in := bufio.NewReader(y)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := a.Call(t.Context(), "x", nil, nil, nil); err != io.EOF {
				t.Errorf("got %v", err)
			}
		})
	}
	for range 10 {
		in.ReadString('\n')
	}
	y.Close()
	wg.Wait()
	if err := a.Call(t.Context(), "x", nil, nil, nil); err != io.EOF {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAPeerThatDoesNotReadHoldsUpNobodyLongerThanAllowed(t *testing.T) {
	x, y := net.Pipe()
	defer y.Close()
	a := Start(x, Options{})
	defer a.Close()
	for range 3 {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := a.Call(ctx, "x", nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		stop()
	}
}

// raw speaks to one end by hand.
func raw(t *testing.T, o Options) (*Peer, net.Conn, *bufio.Reader) {
	t.Helper()
	x, y := net.Pipe()
	p := Start(x, o)
	t.Cleanup(func() { p.Close(); y.Close() })
	y.SetDeadline(time.Now().Add(30 * time.Second))
	return p, y, bufio.NewReader(y)
}

func TestLinesThatMakeNoSense(t *testing.T) {
	for line, want := range map[string]string{
		`nonsense`:                                 CodeText(CodeParse),
		`[{"jsonrpc":"2.0"}]`:                      "batches",
		`{"id":1,"method":"x"}`:                    `must be \"2.0\"`,
		`{"jsonrpc":"2.0","id":{},"method":"x"}`:   "string or a number",
		`{"jsonrpc":"2.0","id":1}`:                 "result",
		`{"jsonrpc":"2.0","id":9,"result":1}`:      "no call has",
		`{"jsonrpc":"2.0","id":"x","result":1}`:    "no call has",
		`{"jsonrpc":"2.0","method":"$/cancel"}`:    "wants",
		`{"jsonrpc":"2.0","id":7,"method":"none"}`: "no method",
	} {
		_, conn, in := raw(t, Options{})
		io.WriteString(conn, line+"\n")
		if got, err := in.ReadString('\n'); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: answered %q, %v; want %q", line, got, err, want)
		}
		p, conn, _ := raw(t, Options{Strict: true})
		io.WriteString(conn, line+"\n")
		<-p.Done()
		if !errors.Is(p.Err(), ErrProtocol) {
			t.Errorf("%s: a strict connection ended with %v", line, p.Err())
		}
	}
}

// CodeText is how a code stands in a line.
func CodeText(code int) string { return fmt.Sprintf(`"code":%d`, code) }

func TestCallsThatComeInAreBounded(t *testing.T) {
	release := make(chan struct{})
	_, conn, in := raw(t, Options{Busy: 2, Handle: func(context.Context, string, json.RawMessage) (any, error) {
		<-release
		return "done", nil
	}})
	for i := range 3 {
		fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%d,"method":"x"}`+"\n", i)
	}
	if got, err := in.ReadString('\n'); err != nil || !strings.Contains(got, "busy") || !strings.Contains(got, `"id":2`) {
		t.Errorf("got %q, %v", got, err)
	}
	fmt.Fprint(conn, `{"jsonrpc":"2.0","id":1,"method":"x"}`+"\n")
	if got, err := in.ReadString('\n'); err != nil || !strings.Contains(got, "under way") {
		t.Errorf("got %q, %v", got, err)
	}
	close(release)
	for range 2 {
		if got, err := in.ReadString('\n'); err != nil || !strings.Contains(got, "done") {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzPeer(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"x"}`+"\n"), false)
	f.Add([]byte(`{"jsonrpc":"2.0","method":"$/cancel","params":{"id":1}}`+"\n{}\n"), true)
	f.Fuzz(func(t *testing.T, sent []byte, strict bool) {
		p := Start(stream{bytes.NewReader(sent), io.Discard}, Options{Limit: 1 << 16, Strict: strict, Handle: func(_ context.Context, _ string, p json.RawMessage) (any, error) { return p, nil }})
		<-p.Done()
		p.Close()
	})
}

type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }
