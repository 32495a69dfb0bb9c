package call

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"
)

type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

func TestLineLimit(t *testing.T) {
	const limit = 5000 // more than the reader's buffer
	for extra, ok := range map[int]bool{0: true, 1: false} {
		record := strings.Repeat("x", limit+extra)
		got, err := Lines(stream{strings.NewReader(record + "\n"), nil}, limit).Recv()
		if ok && (err != nil || string(got) != record) {
			t.Errorf("%d bytes: got %d, %v", len(record), len(got), err)
		}
		if !ok && !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: %v", len(record), err)
		}
		var out bytes.Buffer
		err = Lines(stream{nil, &out}, limit).Send([]byte(record))
		if ok != (err == nil) || ok != (out.Len() == len(record)+1) {
			t.Errorf("sending %d bytes: %v, %d written", len(record), err, out.Len())
		}
	}
}

func TestLines(t *testing.T) {
	l := Lines(stream{strings.NewReader("{}\r\n\n\r\n[]\ncut"), nil}, 10)
	for _, want := range []string{"{}", "[]"} {
		if got, err := l.Recv(); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := l.Recv(); err != io.EOF || got != nil {
		t.Errorf("a line that was cut off: %q, %v", got, err)
	}
}

func connect(t *testing.T, methods handler.Map) *jrpc2.Client {
	t.Helper()
	a, b := net.Pipe()
	methods[MethodCancel] = HandleCancel
	server := jrpc2.NewServer(methods, &jrpc2.ServerOptions{Concurrency: 4}).Start(Lines(b, MaxControl))
	client := jrpc2.NewClient(Lines(a, MaxControl), &jrpc2.ClientOptions{OnCancel: TellCancel})
	t.Cleanup(func() { client.Close(); server.Stop(); server.Wait() })
	return client
}

func TestErrorKeepsItsName(t *testing.T) {
	c := connect(t, handler.Map{"fail": func(context.Context, *jrpc2.Request) (any, error) {
		return nil, Wire(&Error{Name: "org.example.NotFound", Message: "no such thing", Details: map[string]any{"n": 1.0}})
	}})
	_, err := c.Call(t.Context(), "fail", nil)
	e, ok := errors.AsType[*Error](Read(err))
	if !ok || e.Name != "org.example.NotFound" || e.Message != "no such thing" || e.Details["n"] != 1.0 {
		t.Errorf("got %#v", Read(err))
	}
	_, err = c.Call(t.Context(), "nothing", nil)
	if e, ok := errors.AsType[*jrpc2.Error](Read(err)); !ok || e.Code != jrpc2.MethodNotFound {
		t.Errorf("an unknown method: %#v", err)
	}
}

func TestCancelReachesTheCall(t *testing.T) {
	begun, broken := make(chan struct{}), make(chan struct{})
	c := connect(t, handler.Map{"slow": func(ctx context.Context, _ *jrpc2.Request) (any, error) {
		close(begun)
		<-ctx.Done()
		close(broken)
		return nil, ctx.Err()
	}})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-begun; stop() }()
	if _, err := c.Call(ctx, "slow", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-broken
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{}\n[]\r\n\n"), 4)
	f.Fuzz(func(t *testing.T, sent []byte, limit int) {
		if limit < 1 || limit > 1<<16 {
			return
		}
		l := Lines(stream{bytes.NewReader(sent), nil}, limit)
		for {
			got, err := l.Recv()
			if err != nil {
				return
			}
			if len(got) == 0 || len(got) > limit || bytes.IndexByte(got, '\n') >= 0 {
				t.Fatalf("%q gave the line %q", sent, got)
			}
		}
	})
}
