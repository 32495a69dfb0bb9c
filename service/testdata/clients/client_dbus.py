# The script of all libraries, with dbus-python, the binding of libdbus.
import sys
import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"
JOB = ROOT + "/job/"
bus = dbus.SessionBus(mainloop=DBusGMainLoop())
loop = GLib.MainLoop()
GLib.timeout_add_seconds(60, sys.exit, "it takes too long")
trace = []


def seen(*args, path=None, member=None):
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


def follow(method, *args):
    """Makes a call that returns a job, and says what was seen of it until its end."""
    trace.clear()
    method(*args, reply_handler=lambda job: trace.append((job, "reply")), error_handler=sys.exit)
    job = None
    while not job or not any(p == job and what.startswith("removed") for p, what in trace):
        loop.run()
        job = next((p for p, what in trace if what == "reply"), None)
    return " ".join(what for p, what in trace if p == job)


def of(path, iface):
    return dbus.Interface(bus.get_object(NAME, path), iface)


def options(**more):
    return dbus.Dictionary({k.replace("_", "-"): v for k, v in more.items()}, signature="sv")


bus.add_signal_receiver(seen, bus_name=NAME, path_keyword="path", member_keyword="member")
manager = of(ROOT, NAME + ".Manager")
for id in "a", "b":
    print("account", manager.AddAccount(id, "vdir", options(path="~/" + id), options()))
print("group", manager.AddGroup("home", ["a", "b"], options(create_missing=["b"], interval_sec=dbus.UInt32(0))))
print("sync", follow(manager.Sync, "home", options()))

objects = of(ROOT, "org.freedesktop.DBus.ObjectManager").GetManagedObjects()
at = next(p for p in objects if p.startswith(ROOT + "/conflict/"))
print("tree", *sorted(p[len(ROOT):] for p in objects if p != at and not p.startswith(JOB)))
print("conflict", *(objects[at][NAME + ".Conflict"][n] for n in ("Kind", "ItemName", "State")))
conflict = of(at, NAME + ".Conflict")
versions, details = conflict.GetVersions(options())
print("versions", *sorted(k + "=" + v.split("SUMMARY:")[1].split("\r")[0] for k, v in versions.items()))
print("resolve", follow(conflict.Resolve, "member:a/cal", options()))
print("conflicts", len(manager.ListConflicts("", dbus.UInt32(0), dbus.UInt32(10), options())))
try:
    manager.Sync("nosuch", options())
except dbus.DBusException as e:
    print("error", e.get_dbus_name())
