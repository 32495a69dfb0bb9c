//go:build real

package service

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// activated makes a home and a bus that starts the daemon when it is called, by
// the file that is installed. It stays that long with nothing to do; "" is as
// davbus.yaml says.
func activated(t *testing.T, stays string) *rig {
	t.Helper()
	services := t.TempDir()
	d := home(t, services)
	file, err := os.ReadFile("../data/dbus-1/services/org.davbus.Sync1.service.in")
	d.must(err)
	d.write("bin/davbusd", "#!/bin/sh\nexport DAVBUS_TEST_DAEMON=1 DAVBUS_TEST_IDLE="+stays+" HOME='"+d.Dir+"' XDG_CONFIG_HOME='"+d.Config+"' XDG_STATE_HOME='"+d.State+
		"' XDG_DATA_HOME='"+d.Share+"' XDG_CACHE_HOME='"+d.Cache+"' XDG_RUNTIME_DIR='"+d.Runtime+"'\nexec '"+self(t)+"' 2>>'"+d.Dir+"/log'\n")
	d.must(os.Chmod(filepath.Join(d.Dir, "bin/davbusd"), 0o700))
	text := strings.ReplaceAll(string(file), "@bindir@", filepath.Join(d.Dir, "bin"))
	d.must(os.WriteFile(filepath.Join(services, "org.davbus.Sync1.service"), []byte(text), 0o600))
	d.c, err = client.Dial(context.Background()) // the clean-up needs it still
	d.must(err)
	d.must(d.c.Conn().BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err)
	t.Cleanup(func() {
		d.quit()
		d.c.Close()
		if log, err := os.ReadFile(filepath.Join(d.Dir, "log")); err == nil && t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return d
}

// owner is who has the name now; "" if nobody has.
func (d *rig) owner() (name string) {
	d.Helper()
	err := d.c.Conn().BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, client.Name).Store(&name)
	if e, ok := err.(dbus.Error); ok && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		return ""
	}
	d.must(err)
	return name
}

// quit asks the daemon that runs to stop and waits until it has left the bus.
func (d *rig) quit() {
	d.Helper()
	owner := d.owner()
	if owner == "" {
		return
	}
	d.must(d.c.Call(context.Background(), client.Root, client.Name+".Control.Quit", []any{map[string]dbus.Variant{"finish-jobs": dbus.MakeVariant(false)}}))
	d.gone(owner)
}

func (d *rig) gone(owner string) {
	d.Helper()
	var here bool
	if !lab.Within(patience, func() bool {
		return d.c.Conn().BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, owner).Store(&here) == nil && !here
	}) {
		d.Fatalf("%s does not leave", owner)
	}
}

func TestTheBusStartsTheDaemonWhenItIsCalledAndAgainAfterItWasIdle(t *testing.T) {
	d := activated(t, "")
	d.write(".config/davbus/davbus.yaml", "idle-exit-sec: 1\n")
	if d.owner() != "" {
		t.Fatal("it runs already")
	}
	before := ""
	for range 2 {
		var version string
		d.must(d.c.Get(t.Context(), client.Root, client.Name+".Manager", "Version", &version))
		now := d.owner()
		if version == "" || now == "" || now == before {
			t.Errorf("version %q of %q, before it %q", version, now, before)
		}
		before = now
		d.gone(now) // it has nothing to do
	}
}

func TestNoneOfTenThousandCallsIsLostWhileOneDaemonLeavesAndTheNextComes(t *testing.T) {
	activated(t, "").bombard(10000, 3)
}

// bombard makes calls from four programs at once while daemons leave, one after
// the other, and the bus starts the next ones. Every call must be answered.
func (d *rig) bombard(calls, restarts int64) {
	d.Helper()
	var made, left atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		c, err := client.Dial(d.Context())
		d.must(err)
		d.Cleanup(func() { c.Close() })
		work.Go(func() {
			answers := make(chan *dbus.Call, 32)
			for made.Load() < calls || left.Load() < restarts {
				for range cap(answers) {
					c.Conn().Object(client.Name, client.Root).Go("org.freedesktop.DBus.Properties.Get", 0, answers, client.Name+".Manager", "Version")
				}
				for range cap(answers) {
					if a := <-answers; a.Err != nil {
						d.Errorf("a call was lost: %v", a.Err)
						left.Store(restarts)
						made.Store(calls)
					}
					made.Add(1)
				}
			}
		})
	}
	for range restarts {
		lab.Within(patience, func() bool { return d.owner() != "" })
		d.quit()
		left.Add(1)
	}
	work.Wait()
	d.Logf("%d calls, %d daemons", made.Load(), restarts+1)
}
