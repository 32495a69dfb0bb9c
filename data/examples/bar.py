#!/usr/bin/python3
"""The state of davbus for a bar: one line of JSON for each change.

waybar:  "custom/davbus": {"exec": "bar.py", "return-type": "json", "on-click": "davbus sync"}
eww:     (deflisten davbus "bar.py")    and then davbus.text, davbus.class, davbus.percentage

With the argument "once" it says what is the case and ends.
"""
import json
import sys

from gi.repository import Gio, GLib

NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"
ICONS = {"absent": "", "idle": "✓", "syncing": "⟳", "paused": "⏸", "offline": "⚠", "attention": "!", "conflicts": "≠"}
last = None


def values(interface):
    """Of every object with that interface, its properties."""
    for item in objects.get_objects():
        if proxy := item.get_interface(NAME + "." + interface):
            yield {n: proxy.get_cached_property(n).unpack() for n in proxy.get_cached_property_names()}


def state():
    get = lambda name: (v := manager.get_cached_property(name)) and v.unpack()
    if manager.get_name_owner() is None:
        return {"text": ICONS["absent"], "class": "absent", "tooltip": "davbus is not running", "percentage": 0}
    kind = get("State")
    if kind == "idle" and get("AttentionNeeded"):
        kind = "attention"
    elif kind == "idle" and get("ConflictCount"):
        kind = "conflicts"
    # -1 is a job that cannot tell yet how far it is.
    percent = [j["Percent"] for j in values("Job") if j["State"] == "running" and j["Percent"] >= 0]
    tooltip = [f"{g['Id']}: {g['State']} {g['ErrorMessage']}".rstrip() for g in values("Group")]
    tooltip += [f"conflict: {c['ItemName']}" for c in values("Conflict")]
    text = ICONS.get(kind, "?") + (f" {min(percent)} %" if percent else "")
    return {"text": text, "class": kind, "tooltip": "\n".join(tooltip), "percentage": min(percent, default=100)}


def show(*_):
    global last
    line = json.dumps(state(), ensure_ascii=False)
    if line != last:
        last = line
        print(line, flush=True)


# DO_NOT_AUTO_START: a bar that only looks wakes nobody.
manager = Gio.DBusProxy.new_for_bus_sync(
    Gio.BusType.SESSION, Gio.DBusProxyFlags.DO_NOT_AUTO_START, None, NAME, ROOT, NAME + ".Manager", None)
objects = Gio.DBusObjectManagerClient.new_for_bus_sync(
    Gio.BusType.SESSION, Gio.DBusObjectManagerClientFlags.DO_NOT_AUTO_START, NAME, ROOT, None, None, None)
show()
if sys.argv[1:] != ["once"]:
    manager.connect("g-properties-changed", show)
    manager.connect("notify::g-name-owner", show)
    for signal in "object-added", "object-removed", "interface-proxy-properties-changed":
        objects.connect(signal, show)
    GLib.MainLoop().run()
