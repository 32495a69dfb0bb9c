package intro

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/transports/private"
)

// serveDoor serves a door until the end of the test, or until stop.
func serveDoor(t testing.TB, d *Door) (path string, stop func()) {
	t.Helper()
	dir, err := private.OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	if d.Listener, err = dir.Listen("intro", private.Options{}); err != nil {
		t.Fatal(err)
	}
	if d.Broker == nil {
		d.Broker = NewBroker()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := d.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); work.Wait() }
	t.Cleanup(stop)
	return d.Listener.Path(), stop
}

func dial(t testing.TB, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// openFiles is how many descriptors this process has. Pipes do not count: the
// library keeps some from one io.Copy between sockets to the next, and closes them
// when it likes.
func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range list {
		if to, err := os.Readlink("/dev/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}
