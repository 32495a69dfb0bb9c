#!/usr/bin/python3
"""Works a calendar with Evolution Data Server, on a session bus of its own.

edscaldav.py SOURCE OLD NEW     wait for an event OLD, make one NEW, change OLD to "OLD by EDS\""""
import sys, time

import gi

gi.require_version("EDataServer", "1.2")
gi.require_version("ECal", "2.0")
gi.require_version("ICalGLib", "3.0")
from gi.repository import ECal, EDataServer, GLib, ICalGLib

source, old, new = sys.argv[1:]
registry = EDataServer.SourceRegistry.new_sync(None)
client = ECal.Client.connect_sync(registry.ref_source(source), ECal.ClientSourceType.EVENTS, 20, None)


def event(summary):
    found = [c for c in client.get_object_list_sync("#t", None)[1] if c.get_summary() == summary]
    return found[0] if found else None


def until(what, ready):
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline:
            sys.exit("edscaldav.py: %s: not so after a minute; there are %s" % (what, [c.get_summary() for c in client.get_object_list_sync("#t", None)[1]]))
        while GLib.MainContext.default().iteration(False):  # what it is told of changes comes by this
            pass
        time.sleep(0.2)


until("the event is there", lambda: event(old))
until("the calendar can be written", lambda: not client.is_readonly())
client.create_object_sync(ICalGLib.Component.new_from_string(
    "BEGIN:VEVENT\r\nUID:made-by-eds\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260210T100000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\n" % new), ECal.OperationFlags.NONE, None)
component = event(old)
component.set_summary(old + " by EDS")
client.modify_object_sync(component, ECal.ObjModType.ALL, ECal.OperationFlags.NONE, None)
print("done")
