package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/transports/call"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake registry has three commands: "echo" gives its params back, "fail" fails
// with a name, "wait" waits until it is cancelled.
type fake struct {
	mu      sync.Mutex
	order   []string
	tell    []func(Event)
	joined  int
	left    int
	objects []Object
}

func (f *fake) Commands() any { return []string{"echo", "fail", "wait"} }

func (f *fake) Join(peer.Cred) Caller {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined++
	return fakeCaller{f}
}

type fakeCaller struct{ *fake }

type named struct{ error }

func (named) ErrorName() string { return "org.example.Error.No" }

func (f fakeCaller) Begin(ctx context.Context, method string, params json.RawMessage) (func() (any, error), bool) {
	f.mu.Lock()
	f.order = append(f.order, string(params))
	f.mu.Unlock()
	switch method {
	case "echo":
		return func() (any, error) { return params, nil }, true
	case "fail":
		return func() (any, error) { return nil, named{errors.New("it cannot be done")} }, true
	case "wait":
		return func() (any, error) { <-ctx.Done(); return nil, ctx.Err() }, true
	}
	return nil, false
}

func (f fakeCaller) Subscribe(tell func(Event)) ([]Object, func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell = append(f.tell, tell)
	return f.objects, func() {}, nil
}

func (f fakeCaller) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left++
}

// serve runs a socket until the test ends, and counts descriptors before and
// after.
func serve(t testing.TB, f *fake, wait time.Duration) string {
	t.Helper()
	before := descriptors(t)
	dir, err := private.OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := dir.Listen("control", Options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (&Server{Listener: l, Registry: f, Patience: wait}).Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
		dir.Close()
		if f.joined != f.left {
			t.Errorf("%d clients joined and %d left", f.joined, f.left)
		}
		// The listener closes itself on a goroutine of its own.
		deadline := time.Now().Add(5 * time.Second)
		for after := descriptors(t); after > before; after = descriptors(t) {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors before, %d after", before, after)
			}
			runtime.Gosched()
		}
	})
	return l.Path()
}

func descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not this system
	}
	return len(open)
}

func dial(t testing.TB, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := private.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	return c, bufio.NewReaderSize(c, 1<<20)
}

// ask sends a line and reads one.
func ask(t testing.TB, c net.Conn, in *bufio.Reader, line string) string {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return read(t, in)
}

func read(t testing.TB, in *bufio.Reader) string {
	t.Helper()
	line, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestU1CommandsAnswerWithResultOrNamedError(t *testing.T) {
	c, in := dial(t, serve(t, &fake{}, 0))
	for _, x := range []struct{ line, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":"b"}}`, `{"jsonrpc":"2.0","id":1,"result":{"a":"b"}}`},
		{`{"jsonrpc":"2.0","id":"x","method":"fail"}`, `{"jsonrpc":"2.0","id":"x","error":{"code":-32000,"message":"it cannot be done","data":{"name":"org.example.Error.No"}}}`},
		{`{"jsonrpc":"2.0","id":2,"method":"dance"}`, `{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"there is no command \"dance\"; the command \"commands\" lists them","data":{"name":"org.freedesktop.DBus.Error.UnknownMethod"}}}`},
		{`{"jsonrpc":"2.0","id":3,"method":"commands"}`, `{"jsonrpc":"2.0","id":3,"result":["echo","fail","wait"]}`},
	} {
		if got := ask(t, c, in, x.line); got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.line, got, x.want)
		}
	}
}

func TestU2U14PipelinedCommandsBeginInOrderAndOneMayBeCancelled(t *testing.T) {
	f := &fake{}
	c, in := dial(t, serve(t, f, 0))
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":"w","method":"wait","params":{"n":0}}` + "\n")
	for i := 1; i <= 20; i++ {
		fmt.Fprintf(&b, `{"jsonrpc":"2.0","id":%d,"method":"echo","params":{"n":%d}}`+"\n", i, i)
	}
	io.WriteString(c, b.String())
	for range 20 {
		if line := read(t, in); !strings.Contains(line, `"result":{"n":`) {
			t.Error(line)
		}
	}
	for i, got := range f.order {
		if want := fmt.Sprintf(`{"n":%d}`, i); got != want {
			t.Fatalf("begun as number %d: %s", i, got)
		}
	}
	if got := ask(t, c, in, `{"jsonrpc":"2.0","method":"$/cancel","params":{"id":"w"}}`); !strings.Contains(got, `"id":"w","error"`) {
		t.Error(got)
	}
}

func TestU6LastLineOfAPipeIsAnsweredAfterItsEnd(t *testing.T) {
	c, in := dial(t, serve(t, &fake{}, 0))
	io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":1}}`+"\n"+`{"jsonrpc":"2.0","id":2,"method":"echo","params":{"a":2}}`+"\n")
	c.(*net.UnixConn).CloseWrite()
	rest, err := io.ReadAll(in)
	if err != nil || strings.Count(string(rest), "result") != 2 {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestU3OnlyAClientThatNeverAskedIsSentAway(t *testing.T) {
	path := serve(t, &fake{}, 300*time.Millisecond)
	_, idle := dial(t, path)
	c, in := dial(t, path)
	ask(t, c, in, `{"jsonrpc":"2.0","id":1,"method":"commands"}`)
	partial, dribble := dial(t, path)
	io.WriteString(partial, `{"jsonrpc":`)
	for _, r := range []*bufio.Reader{idle, dribble} {
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("a client that asked nothing: %v", err)
		}
	}
	if got := ask(t, c, in, `{"jsonrpc":"2.0","id":2,"method":"commands"}`); !strings.Contains(got, `"id":2`) {
		t.Error(got)
	}
}

func TestU4LineLimitBothWays(t *testing.T) {
	path := serve(t, &fake{}, 0)
	line := func(n int) string {
		head, tail := `{"jsonrpc":"2.0","id":1,"method":"commands","params":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	c, in := dial(t, path)
	if got := ask(t, c, in, line(call.MaxControl)); !strings.Contains(got, `"result":[`) {
		t.Error(got[:min(len(got), 200)])
	}
	if got := ask(t, c, in, strings.Replace(line(call.MaxControl-100), "commands", "echo", 1)); !strings.Contains(got, "a line is longer than allowed") {
		t.Error(got[:min(len(got), 200)])
	}
	over, from := dial(t, path)
	io.WriteString(over, line(call.MaxControl+1)+"\n")
	if rest, err := io.ReadAll(from); len(rest) > 0 {
		t.Errorf("an overlong line was answered: %q, %v", rest[:min(len(rest), 100)], err)
	}
}

func TestGarbageIsAnsweredAndHurtsNobody(t *testing.T) {
	path := serve(t, &fake{}, 0)
	c, in := dial(t, path)
	for _, line := range []string{"help", "[]", "{}", `{"jsonrpc":"2.0","id":{},"method":"echo"}`, "\xff\xfe", `{"jsonrpc":"2.0","result":1}`, strings.Repeat("[", 20000)} {
		if got := ask(t, c, in, line); !strings.Contains(got, `"error":{"code":-32`) {
			t.Errorf("%q: %s", line[:min(20, len(line))], got)
		}
	}
	if got := ask(t, c, in, `{"jsonrpc":"2.0","id":1,"method":"commands"}`); !strings.Contains(got, "result") {
		t.Error(got)
	}
}
