//go:build real

package dbusapi

import (
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/engine"
)

// A desktop's program: it knows nothing of davbus but the object manager, and
// follows the tree and one job with what GLib gives it.
const gioProgram = `
import sys, gi
from gi.repository import Gio, GLib
NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1],
    Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
objects = Gio.DBusObjectManagerClient.new_sync(bus, 0, NAME, ROOT, None, None, None)
print("objects", " ".join(sorted(o.get_object_path()[len(ROOT):] for o in objects.get_objects())))
loop = GLib.MainLoop()

def ended(bus, sender, path, iface, signal, args):
    print("removed", args.unpack()[4])
    loop.quit()

bus.signal_subscribe(NAME, NAME + ".Manager", "JobRemoved", ROOT, None, 0, ended)
root = Gio.DBusProxy.new_sync(bus, 0, None, NAME, ROOT, NAME + ".Manager", None)

def started(root, answer):
    global proxy
    job = root.call_finish(answer).unpack()[0]
    proxy = objects.get_interface(job, NAME + ".Job") # announced before the reply: no round trip
    print("known", proxy is not None and proxy.get_cached_property("State").unpack())
    proxy.connect("g-properties-changed", lambda p, changed, gone: print("changed", *sorted(changed.unpack()), *gone))
    print("ready", flush=True)

root.call("Sync", GLib.Variant("(sa{sv})", ("local", {})), 0, -1, None, started)
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
print("result", proxy.get_cached_property("Result").unpack())
try:
    root.call_sync("Sync", GLib.Variant("(sa{sv})", ("nosuch", {})), 0, -1, None)
except GLib.Error as e:
    print("error", Gio.DBusError.get_remote_error(e))
`

func TestAProgramWithGioFollowsTheTreeAndAJob(t *testing.T) {
	address, b := onBus(t)
	bustest.NothingShows(t, address, "geheim")
	p := startTool(t, "/usr/bin/python3", "-c", gioProgram, address)
	var got []string
	for p.Scan() && p.Text() != "ready" {
		got = append(got, p.Text())
	}
	id := b.face.view.lastJob()
	b.host.change(id, func(j *engine.JobState) { j.State = "running" })
	b.host.end(id, engine.Success, engine.Failure{})
	for p.Scan() {
		got = append(got, p.Text())
	}
	want := `objects /account/local /account/local/cal /account/work /account/work/cal /conflict/c1 /group/home /job/42 /job/43 /plugin/todo
known queued
changed State
changed FinishedUSec Result State
removed success
result success
error org.davbus.Sync1.Error.NotFound`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("it says\n%s\nand should say\n%s", text, want)
	}
}
