//go:build real

package service

import (
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// Traces are what a caller leaves: rules on the bus, objects, and what the daemon counts.
type traces struct {
	rules   int
	objects string
	paused  bool
	agents  uint64
}

func (d *rig) traces() (t traces) {
	d.Helper()
	var rules map[string][]string
	d.must(d.c.Conn().BusObject().Call("org.freedesktop.DBus.Debug.Stats.GetAllMatchRules", 0).Store(&rules))
	t.rules = len(rules[d.owner()])
	objects, err := d.c.Objects(d.Context())
	d.must(err)
	var paths []string
	for _, o := range objects {
		if !strings.Contains(string(o.Path), "/job/") && !strings.Contains(string(o.Path), "/plugin/") { // these stay, and say what they are
			paths = append(paths, string(o.Path))
		}
	}
	t.objects = strings.Join(paths, " ")
	var state string
	d.must(d.c.Get(d.Context(), client.Root, client.Name+".Manager", "State", &state))
	t.paused = state == "paused"
	var counts map[string]dbus.Variant
	d.must(d.c.Call(d.Context(), client.Root, client.Name+".Control.GetStatistics", []any{map[string]dbus.Variant{}}, &counts))
	t.agents, _ = counts["agents"].Value().(uint64)
	return t
}

func TestACallerThatDiesHoldingEachKindOfThingLeavesNoneOfThem(t *testing.T) {
	d := home(t)
	d.write("pim/here/one.ics", vevent("one", "First"))
	d.start()
	d.held()
	var before traces
	if !lab.Within(patience, func() bool { before = d.traces(); return strings.Contains(before.objects, "/pim/here") }) {
		t.Fatalf("the folder is not found: %+v", before)
	}
	c, err := client.Dial(t.Context())
	d.must(err)
	defer c.Close()
	manager := func(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
		t.Helper()
		call := c.Conn().Object(client.Name, path).Call(client.Name+"."+method, 0, args...)
		d.must(call.Err)
		return call
	}
	none, bound := map[string]dbus.Variant{}, map[string]dbus.Variant{"bind-to-caller": dbus.MakeVariant(true)}
	manager(client.Root, "Manager.RegisterAgent", dbus.ObjectPath("/agent"), none)
	manager(client.Root, "PluginManager.Register", "p", none)
	manager(client.Root, "Introducer.Register", "desk", dbus.ObjectPath("/peer"), none)
	manager(client.Root+"/job/1", "Job.Watch", none)
	manager(client.Root+"/account/pim/here", "Collection.Serve", none)
	var inhibitor, events dbus.UnixFD
	d.must(manager(client.Root, "Manager.Inhibit", "a test", none).Store(&inhibitor))
	d.must(manager(client.Root+"/job/1", "Job.OpenEvents", none).Store(&events))
	manager(client.Root, "Manager.Pause", uint32(0), bound)
	bound["if-running"] = dbus.MakeVariant("queue")
	var job dbus.ObjectPath
	d.must(manager(client.Root, "Manager.Sync", "home", bound).Store(&job))
	if during := d.traces(); during.rules <= before.rules || during.agents != 1 || !during.paused || len(during.objects) < len(before.objects)+20 {
		t.Errorf("it holds %+v, and before it there was %+v", during, before)
	}

	os.NewFile(uintptr(inhibitor), "inhibitor").Close() // as the kernel does of a program that dies
	os.NewFile(uintptr(events), "events").Close()
	c.Close()
	var after traces
	if !lab.Within(patience, func() bool { after = d.traces(); return after == before }) {
		t.Errorf("left is %+v, and before it there was %+v", after, before)
	}
	var plugin string
	d.must(d.c.Get(t.Context(), client.Root+"/plugin/p", client.Name+".Plugin", "State", &plugin))
	if plugin != "gone" {
		t.Errorf("its plugin is %s", plugin)
	}
	var result string
	if !lab.Within(patience, func() bool {
		return d.c.Get(t.Context(), job, client.Name+".Job", "Result", &result) == nil && result != ""
	}) || result != "cancelled" {
		t.Errorf("the job that was bound to it has the result %q", result)
	}
}
