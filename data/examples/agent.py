#!/usr/bin/python3
"""Answers davbus's questions for the user, with Gio. A desktop puts a dialog
where this one asks a program:

  agent.py COMMAND [ARGUMENT ...]

COMMAND gets the question as its last argument and prints the answer, for example
"zenity --password --title" or "pass show davbus". For certificates it answers
"pin" or "reject", for deletions "delete" or "restore", for conflicts a choice of
Conflict.Resolve or "later". Printing nothing, or failing, is the user's no.
"""
import os
import sys

from gi.repository import Gio, GLib

NAME, ROOT, PATH = "org.davbus.Sync1", "/org/davbus/Sync1", "/org/example/agent"
XML = """<node><interface name="org.davbus.Sync1.Agent">
<method name="RequestSecret"><arg type="s"/><arg type="o"/><arg type="s"/><arg type="s"/><arg type="a{sv}"/><arg type="h" direction="out"/></method>
<method name="ConfirmCertificate"><arg type="s"/><arg type="o"/><arg type="s"/><arg type="s"/><arg type="as"/><arg type="s" direction="out"/></method>
<method name="ConfirmDeletions"><arg type="s"/><arg type="o"/><arg type="u"/><arg type="u"/><arg type="b" direction="out"/></method>
<method name="ResolveConflict"><arg type="s"/><arg type="o"/><arg type="a{sv}"/><arg type="s" direction="out"/></method>
<method name="Cancel"><arg type="s"/></method>
<method name="Release"/>
</interface></node>"""
bus = Gio.bus_get_sync(Gio.BusType.SESSION)
owner = None  # of NAME: nobody else may ask
running = {}  # request: program that asks


def ask(request, question, invocation, reply):
    """Runs the program without holding up the main loop, and replies."""
    process = Gio.Subprocess.new(sys.argv[1:] + [question], Gio.SubprocessFlags.STDOUT_PIPE)
    running[request] = process

    def done(process, result):
        running.pop(request, None)
        _, answer, _ = process.communicate_finish(result)
        answer = answer.get_data().rstrip(b"\n") if answer else b""
        if not answer or not process.get_successful():
            invocation.return_dbus_error(NAME + ".Error.Cancelled", "the user said no")
        else:
            reply(invocation, answer)

    process.communicate_async(None, None, done)


def give_secret(invocation, secret):
    """The secret goes through a pipe: it is in no message."""
    end, begin = os.pipe()
    os.write(begin, secret)
    os.close(begin)
    files = Gio.UnixFDList.new_from_array([end])  # which closes it
    invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), files)


def give_word(invocation, word):
    invocation.return_value(GLib.Variant("(s)", (word.decode(),)))


def give_choice(invocation, word):
    invocation.return_value(GLib.Variant("(b)", (word == b"delete",)))


def called(connection, sender, path, interface, method, arguments, invocation):
    if sender != owner:
        invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", "only davbus may ask")
        return
    a = arguments.unpack()
    if method == "RequestSecret":
        ask(a[0], f"{a[2]} of {a[4].get('user', a[1])} ({a[3]})", invocation, give_secret)
    elif method == "ConfirmCertificate":
        ask(a[0], f"certificate of {a[2]}: {', '.join(a[4])}", invocation, give_word)
    elif method == "ConfirmDeletions":
        ask(a[0], f"delete {a[2]} of {a[3]} items?", invocation, give_choice)
    elif method == "ResolveConflict":
        ask(a[0], f"conflict over {', '.join(a[2].get('clashes', []))}", invocation, give_word)
    else:
        if method == "Cancel" and a[0] in running:
            running[a[0]].force_exit()
        invocation.return_value(None)


def appeared(connection, name, unique):
    global owner
    owner = unique
    bus.call_sync(NAME, ROOT, NAME + ".Manager", "RegisterAgent", GLib.Variant("(oa{sv})", (PATH, {})), None, 0, -1, None)
    print("ready", flush=True)


bus.register_object(PATH, Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], called, None, None)
Gio.bus_watch_name_on_connection(bus, NAME, Gio.BusNameWatcherFlags.AUTO_START, appeared, None)
GLib.MainLoop().run()
