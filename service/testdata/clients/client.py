# The script of all libraries, with Python's Gio.
import sys
from gi.repository import Gio, GLib

NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"
MANAGER, JOB = NAME + ".Manager", ROOT + "/job/"
bus = Gio.bus_get_sync(Gio.BusType.SESSION)
loop = GLib.MainLoop()
GLib.timeout_add_seconds(60, sys.exit, "it takes too long")


def call(path, method, args):
    iface, member = method.rsplit(".", 1)
    return bus.call_sync(NAME, path, iface, member, args, None, 0, -1, None).unpack()


trace = []


def seen(_bus, _sender, path, _iface, member, args):
    args = args.unpack()
    if member == "InterfacesAdded" and args[0].startswith(JOB):
        trace.append((args[0], "added"))
    elif member == "JobNew":
        trace.append((args[1], "new"))
    elif member == "PropertiesChanged" and args[1].get("State") == "done":
        trace.append((path, "done"))
    elif member == "Completed":
        trace.append((path, "completed:" + args[0]))
    elif member == "JobRemoved":
        trace.append((args[1], "removed:" + args[4]))
        loop.quit()


def replied(bus, answer):
    trace.append((bus.call_finish(answer).unpack()[0], "reply"))


def follow(path, iface, member, args):
    """Makes a call that returns a job, and says what was seen of it until its end."""
    trace.clear()
    bus.call(NAME, path, iface, member, args, None, 0, -1, None, replied)
    job = None
    while not job or not any(p == job and what.startswith("removed") for p, what in trace):
        loop.run()
        job = next((p for p, what in trace if what == "reply"), None)
    return " ".join(what for p, what in trace if p == job)


bus.signal_subscribe(NAME, None, None, None, None, 0, seen)
for id in "a", "b":
    print("account", call(ROOT, MANAGER + ".AddAccount",
                          GLib.Variant("(ssa{sv}a{sv})", (id, "vdir", {"path": GLib.Variant("s", "~/" + id)}, {})))[0])
options = {"create-missing": GLib.Variant("as", ["b"]), "interval-sec": GLib.Variant("u", 0)}
print("group", call(ROOT, MANAGER + ".AddGroup", GLib.Variant("(sasa{sv})", ("home", ["a", "b"], options)))[0])
print("sync", follow(ROOT, MANAGER, "Sync", GLib.Variant("(sa{sv})", ("home", {}))))

objects = Gio.DBusObjectManagerClient.new_sync(bus, 0, NAME, ROOT, None, None, None)
paths = sorted(o.get_object_path() for o in objects.get_objects())
conflict = next(p for p in paths if p.startswith(ROOT + "/conflict/"))
print("tree", *(p[len(ROOT):] for p in paths if not p.startswith((JOB, conflict))))
proxy = objects.get_interface(conflict, NAME + ".Conflict")
print("conflict", *(proxy.get_cached_property(n).unpack() for n in ("Kind", "ItemName", "State")))
versions = call(conflict, NAME + ".Conflict.GetVersions", GLib.Variant("(a{sv})", ({},)))[0]
print("versions", *sorted(k + "=" + v.split("SUMMARY:")[1].split("\r")[0] for k, v in versions.items()))
print("resolve", follow(conflict, NAME + ".Conflict", "Resolve", GLib.Variant("(sa{sv})", ("member:a/cal", {}))))
left = call(ROOT, MANAGER + ".ListConflicts", GLib.Variant("(suua{sv})", ("", 0, 10, {})))[0]
print("conflicts", len(left))
try:
    call(ROOT, MANAGER + ".Sync", GLib.Variant("(sa{sv})", ("nosuch", {})))
except GLib.Error as e:
    print("error", Gio.DBusError.get_remote_error(e))
