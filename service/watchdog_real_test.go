//go:build real

package service

import (
	"context"
	"net"
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
