#!/usr/bin/python3
"""Follows davbus with Gio's object manager, which knows the whole tree and
keeps it up to date, also when the daemon leaves and comes back.

  follow.py            until it is interrupted
  follow.py sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
"""
import sys

from gi.repository import Gio, GLib

NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"
loop = GLib.MainLoop()
mine = None  # the path of the job that we started
status = 0


def describe(interface):
    """One line for a person, or None for what is not shown."""
    get = lambda name: (v := interface.get_cached_property(name)) and v.unpack()
    kind = interface.get_interface_name().removeprefix(NAME + ".")
    if kind in ("Account", "Group"):
        return f"{kind.lower()} {get('Id')}: {get('State')} {get('ErrorMessage')}".rstrip()
    if kind == "Conflict":
        return f"conflict: {get('ItemName')} in {', '.join(get('Members'))}"
    if kind == "Job" and get("State") == "done":
        return f"job {get('Id')}: {get('Result')} {get('ErrorMessage')}".rstrip()
    if kind == "Job":
        percent = f" {get('Percent')} %" if get("Percent") >= 0 else ""
        return f"job {get('Id')}: {get('Kind')} {get('State')}{percent}"


def show(interface):
    if line := describe(interface):
        print(line, flush=True)


def changed(objects, item, interface, properties, gone):
    global status
    shown = ("State", "Percent", "Result", "ErrorMessage", "DisplayName")
    if any(name in properties.keys() for name in shown):
        show(interface)
    if item.get_object_path() == mine and properties.unpack().get("State") == "done":
        status = 0 if interface.get_cached_property("Result").unpack() == "success" else 1
        loop.quit()


objects = Gio.DBusObjectManagerClient.new_for_bus_sync(
    Gio.BusType.SESSION, Gio.DBusObjectManagerClientFlags.NONE, NAME, ROOT, None, None, None)
objects.connect("object-added", lambda _, item: [show(i) for i in item.get_interfaces()])
objects.connect("object-removed", lambda _, item: print("gone:", item.get_object_path(), flush=True))
objects.connect("interface-proxy-properties-changed", changed)
for item in sorted(objects.get_objects(), key=lambda item: item.get_object_path()):
    for interface in item.get_interfaces():
        show(interface)
if sys.argv[1:2] == ["sync"]:
    manager = Gio.DBusProxy.new_for_bus_sync(Gio.BusType.SESSION, 0, None, NAME, ROOT, NAME + ".Manager", None)
    # The job is announced before this reply and stays half a minute after its
    # end: whatever happens in between, the object manager has it.
    mine = manager.call_sync("Sync", GLib.Variant("(sa{sv})", ((sys.argv + [""])[2], {})), 0, -1, None).unpack()[0]
loop.run()
sys.exit(status)
