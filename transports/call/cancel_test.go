package call

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestCancelReachesTheCallAndItsLateAnswerIsThrownAway(t *testing.T) {
	begun, broken := make(chan struct{}), make(chan struct{})
	a, _ := connect(t, Options{Strict: true}, Options{Strict: true, Handle: func(ctx context.Context, method string, _ json.RawMessage) (any, error) {
		if method == "quick" {
			return 1, nil
		}
		close(begun)
		<-ctx.Done()
		close(broken)
		return "late", nil
	}})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-begun; stop() }()
	if err := a.Call(ctx, "slow", nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-broken
	for range 10 { // the late answer must not end a strict connection
		if err := a.Call(t.Context(), "quick", nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if a.Pending() != 0 {
		t.Errorf("%d calls pending", a.Pending())
	}
}

// Whoever is given up while the writer waits for a peer that does not read is told
// so when it reads again.
func TestCancelIsNotLostWhileTheWriterIsBusy(t *testing.T) {
	x, y := net.Pipe()
	a := Start(x, Options{})
	defer a.Close()
	in := bufio.NewReader(y)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Call(ctx, "slow", nil, nil, nil) }()
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, `"slow"`) {
		t.Fatal(line, err)
	}
	go a.Notify(t.Context(), "more", nil)
	if _, err := io.ReadFull(y, make([]byte, 1)); err != nil { // the writer has begun, and waits for us to go on
		t.Fatal(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{`"more"`, `"$/cancel"`} {
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Errorf("read %q, %v; want %s", line, err, want)
		}
	}
}
