//go:build real

package dbusapi

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// An everybody takes every caller for a program outside a sandbox that never leaves.
type everybody struct{}

func (everybody) Identify(name string) Caller         { return Caller{Name: name, Initiator: "test"} }
func (everybody) Gone(string, func()) (func(), error) { return func() {}, nil }

// onBus serves a face on a private bus until the end of the test.
func onBus(t testing.TB) (address string, b *bench) {
	t.Helper()
	address = bustest.Daemon(t)
	return address, onBusAt(t, address, newFakeHost())
}

// onBusAt serves what a host has on a bus.
func onBusAt(t testing.TB, address string, host *fakeHost) *bench {
	t.Helper()
	b := &bench{t: t, host: host, callers: newFakeCallers()}
	b.host.change(b.host.newJob("sync", engine.Target{Group: "home"}, "schedule"), func(j *engine.JobState) { j.State = "running" })
	b.host.end(b.host.newJob("sync", engine.Target{Account: "work"}, "schedule"), engine.Success, engine.Failure{})
	tr, c := join(t, address)
	var err error
	if b.face, err = New(tr, b.host, &fakeLog{"info"}, everybody{}); err != nil {
		t.Fatal(err)
	}
	b.leave = c().Close
	b.serveOn(c())
	return b
}

// join makes a tree and what connects it, once.
func join(t testing.TB, address string) (*tree.Tree, func() *conn.Conn) {
	t.Helper()
	tr, err := NewTree()
	if err != nil {
		t.Fatal(err)
	}
	return tr, sync.OnceValue(func() *conn.Conn {
		c, err := conn.Dial(t.Context(), address, conn.Options{Handler: tr})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	})
}

func (b *bench) serveOn(c *conn.Conn) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- b.face.Serve(ctx, c, func() { close(ready) }, func() {}) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-result })
	b.t.Cleanup(func() {
		if err := b.stop(); err != nil {
			b.t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-result:
		b.t.Fatal(err)
	}
}

func TestASecondDaemonIsRefused(t *testing.T) {
	address, _ := onBus(t)
	tr, c := join(t, address)
	f, err := New(tr, newFakeHost(), &fakeLog{}, everybody{})
	if err != nil {
		t.Fatal(err)
	}
	err = f.Serve(t.Context(), c(), func() { t.Error("it is ready") }, func() {})
	if err == nil || !strings.Contains(err.Error(), "another davbusd") {
		t.Error(err)
	}
}

// Whoever calls the name until it is gone gets an answer to every call that the
// bus took, and the bus's word that nobody has the name to all others.
func TestNoCallIsLostWhenTheNameIsGivenUp(t *testing.T) {
	for round := range 3 {
		address, b := onBus(t)
		var work sync.WaitGroup
		var answered, late int
		var mu sync.Mutex
		started := make(chan struct{}, 4)
		for range 4 {
			client := bustest.Client(t, address)
			work.Go(func() {
				calls := make(chan *dbus.Call, 100000)
				sent, gone := 0, false
				for !gone {
					for range 50 {
						client.Object(BusName, Root).Go("org.freedesktop.DBus.Properties.Get", 0, calls, ifManager, "Version")
						sent++
					}
					if sent == 500 {
						started <- struct{}{}
					}
					for range 50 {
						c := <-calls
						mu.Lock()
						switch e, _ := c.Err.(dbus.Error); {
						case c.Err == nil:
							answered++
						case e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner":
							late++
							gone = true
						default:
							t.Errorf("round %d: a call was lost: %v", round, c.Err)
							gone = true
						}
						mu.Unlock()
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		b.leave() // as if the process had ended
		work.Wait()
		if answered < 2000 || late == 0 {
			t.Errorf("round %d: %d calls answered, %d late: the boundary was not met", round, answered, late)
		}
	}
}

// startTool runs a program and gives its lines as they come.
func startTool(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	// The test's own context ends before its clean-up, which waits for the program.
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer stop()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return bufio.NewScanner(out)
}
