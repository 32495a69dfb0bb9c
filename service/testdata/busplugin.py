# A plugin that the bus starts: it owns org.davbus.Plugin1.ID, and connects where it is
# told to. What speaks davbus-plugin(7) there is another program: busplugin.py ID PROGRAM…
import socket
import subprocess
import sys

from gi.repository import Gio, GLib

ID, PROGRAM = sys.argv[1], sys.argv[2:]
XML = """<node><interface name="org.davbus.Plugin1">
<method name="Connect"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{sv}" direction="in"/></method>
<method name="Quit"/><property name="Kinds" type="as" access="read"/><property name="ProtocolVersion" type="u" access="read"/>
<property name="Parameters" type="aa{sv}" access="read"/></interface></node>"""


def call(bus, sender, path, iface, method, args, invocation):
    if method == "Quit":
        loop.quit()
    else:
        address, cookie, _ = args.unpack()
        s = socket.socket(socket.AF_UNIX)
        s.connect(address)
        s.sendall(cookie.encode() + b"\n")
        subprocess.Popen(PROGRAM, stdin=s, stdout=s)
        s.close()
    invocation.return_value(None)


def get(bus, sender, path, iface, name):
    return {"Kinds": GLib.Variant("as", ["calendar"]), "ProtocolVersion": GLib.Variant("u", 1),
            "Parameters": GLib.Variant("aa{sv}", [
                {"name": GLib.Variant("s", "path"), "signature": GLib.Variant("s", "s"), "required": GLib.Variant("b", True),
                 "summary": GLib.Variant("s", "The todo.txt file")},
                {"name": GLib.Variant("s", "order"), "signature": GLib.Variant("s", "s"), "default": GLib.Variant("s", "date"),
                 "choices": GLib.Variant("as", ["date", "name"])}])}[name]


loop = GLib.MainLoop()
bus = Gio.bus_get_sync(Gio.BusType.SESSION)
bus.register_object("/org/davbus/Plugin1/" + ID, Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], call, get, None)
bus.connect("closed", lambda *_: loop.quit())
Gio.bus_own_name_on_connection(bus, "org.davbus.Plugin1." + ID, 0, None, None)
loop.run()
