//go:build real && further

package dbusapi

import (
	"context"
	"encoding/xml"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/engine"
)

// Ten thousand jobs come and go while other programs look at the tree as fast as
// they can: every answer is whole, and none fails.
func TestFurtherTheTreeIsReadWhileTenThousandJobsComeAndGo(t *testing.T) {
	const jobs = 10_000
	address, b := onBus(t)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	looks := make([]int, 4)
	for i := range looks {
		c := bustest.Client(t, address)
		readers.Go(func() {
			for ctx.Err() == nil && lookAt(t, c, i%2 == 0) {
				looks[i]++
			}
		})
	}
	for n := range jobs {
		id := b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
		b.host.change(id, func(j *engine.JobState) { j.State = "running" })
		b.host.end(id, engine.Success, engine.Failure{})
		if n%32 == 0 {
			b.face.settle() // no more are under way than may be queued
		}
	}
	b.face.settle()
	cancel()
	readers.Wait()
	for i, n := range looks {
		if n == 0 {
			t.Errorf("reader %d never looked", i)
		}
	}
	t.Logf("the tree was read %v times", looks)
}

// lookAt reads the tree once, by introspection or by the object manager.
func lookAt(t *testing.T, c *dbus.Conn, introspects bool) bool {
	if !introspects {
		var all map[dbus.ObjectPath]map[string]map[string]dbus.Variant
		if err := c.Object(BusName, Root).Call("org.freedesktop.DBus.ObjectManager.GetManagedObjects", 0).Store(&all); err != nil {
			t.Error(err)
			return false
		}
		for path, interfaces := range all {
			if strings.HasPrefix(string(path), jobPrefix) && len(interfaces[ifJob]) != 17 {
				t.Errorf("%s has %d properties", path, len(interfaces[ifJob]))
				return false
			}
		}
		if len(all) < 7 {
			t.Errorf("only %d objects", len(all))
		}
		return true
	}
	for _, path := range []dbus.ObjectPath{Root, Root + "/job"} {
		var text string
		var node introspect.Node
		err := c.Object(BusName, path).Call("org.freedesktop.DBus.Introspectable.Introspect", 0).Store(&text)
		if err == nil {
			err = xml.Unmarshal([]byte(text), &node)
		}
		if err != nil || len(node.Children) == 0 {
			t.Errorf("%s: %v, %d children", path, err, len(node.Children))
			return false
		}
	}
	return true
}
