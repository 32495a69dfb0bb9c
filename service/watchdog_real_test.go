//go:build real

package service

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// notified plays systemd: what the daemon tells it.
func (d *rig) notified() (said func(string) bool) {
	d.Helper()
	path := filepath.Join(d.Dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	d.must(err)
	d.Setenv("NOTIFY_SOCKET", path)
	var mu sync.Mutex
	var all []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, string(buf[:n]))
			mu.Unlock()
		}
	}()
	d.Cleanup(func() { c.Close(); <-ended })
	return func(line string) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range all {
			for got := range strings.SplitSeq(m, "\n") {
				if got == line {
					return true
				}
			}
		}
		return false
	}
}

func TestSystemdIsToldOfReadinessLifeAndTheEnd(t *testing.T) {
	d := home(t)
	said := d.notified()
	t.Setenv("WATCHDOG_USEC", "300000")
	d.start()
	for _, line := range []string{"READY=1", "WATCHDOG=1"} {
		if !lab.Within(30*time.Second, func() bool { return said(line) }) {
			t.Errorf("%s is not told", line)
		}
	}
	if said("STOPPING=1") {
		t.Error("it is said to stop while it runs")
	}
	d.must(d.stop())
	if !lab.Within(30*time.Second, func() bool { return said("STOPPING=1") }) {
		t.Error("STOPPING=1 is not told")
	}
}

func TestWhatTheNetworkMonitorSaysIsOnTheBus(t *testing.T) {
	d := home(t)
	tells := make(chan bool)
	d.network = func(ctx context.Context, tell func(bool)) {
		for {
			select {
			case on := <-tells:
				tell(on)
			case <-ctx.Done():
				return
			}
		}
	}
	d.start()
	for _, on := range []bool{false, true, false} {
		tells <- on
		want := map[bool]string{true: "idle", false: "offline"}[on]
		var state string
		if !lab.Within(30*time.Second, func() bool {
			return d.c.Get(t.Context(), client.Root, client.Name+".Manager", "State", &state) == nil && state == want
		}) {
			t.Errorf("State is %q, want %q", state, want)
		}
	}
}

// The bus is gone and another one comes, as after a crash of it: the daemon that
// is started there goes on where the one before it was.
func TestAfterTheBusWasLostTheNextDaemonGoesOn(t *testing.T) {
	d := home(t)
	d.start()
	d.write("a/cal/one.ics", vevent("one", "First"))
	d.account("a", "vdir", "path", "~/a")
	d.account("b", "vdir", "path", "~/b")
	d.group("home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	d.sync("home", "success")
	d.bus.Stop()
	select {
	case err := <-d.ended:
		if err == nil {
			t.Error("it ends without an error, so that systemd would not start it again")
		}
	case <-time.After(patience):
		t.Fatal("it stays without a bus")
	}
	d.write("b/cal/one.ics", vevent("one", "Second"))
	d.bus = lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", d.bus.Address)
	d.start()
	if r := d.sync("home", "success"); r.Int("modified") != 1 || d.files("a/cal") != "Second" {
		t.Errorf("%v, %q", r.Plain(), d.files("a/cal"))
	}
}

// davbusd as it is installed tells whoever started it, by a descriptor.
func TestTheProgramTellsItsStarterWhenItIsReady(t *testing.T) {
	program := filepath.Join(t.TempDir(), "davbusd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "davbus.org/davbus/service/davbusd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := home(t)
	r, w, err := os.Pipe()
	d.must(err)
	defer r.Close()
	d.process([]*os.File{w}, program, "--ready-fd", "3")
	w.Close()
	told, err := io.ReadAll(r)
	if err != nil || string(told) != "READY=1\n" {
		t.Errorf("%q, %v", told, err)
	}
	d.c, err = client.Dial(t.Context())
	d.must(err)
	var version string
	d.must(d.c.Get(t.Context(), client.Root, client.Name+".Manager", "Version", &version))
}
