"""What one connection must do from begin to end, and a program with one call cannot:
holder.py gdbus|sd-bus GROUP-WITH-A-JOB-THAT-RUNS. It says what comes of each step."""
import ctypes, os, socket, sys

NAME, ROOT = "org.davbus.Sync1", "/org/davbus/Sync1"


class GDBus:
    def __init__(self):
        from gi.repository import Gio, GLib
        self.gio, self.glib = Gio, GLib
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)

    def call(self, path, member, types="", *args):
        interface, _, method = member.rpartition(".")
        fds = self.gio.UnixFDList()
        values = [fds.append(a) if t == "h" else {k: self.glib.Variant("s", v) for k, v in a.items()} if t == "d" else a
                  for t, a in zip(types.replace("a{sv}", "d"), args)]
        try:
            r, _ = self.bus.call_with_unix_fd_list_sync(NAME, ROOT + path, f"{NAME}.{interface}", method,
                self.glib.Variant(f"({types})", tuple(values)), None, 0, 20000, fds, None)
            return next((v for v in r.unpack() if isinstance(v, str)), "")
        except self.glib.Error as e:
            return self.gio.DBusError.get_remote_error(e)


class SdBus:
    class Error(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("need_free", ctypes.c_int)]

    def __init__(self):
        self.lib = ctypes.CDLL("libsystemd.so.0")
        self.bus = ctypes.c_void_p()
        if self.lib.sd_bus_open_user(ctypes.byref(self.bus)) < 0:
            sys.exit("sd-bus finds no bus")

    def call(self, path, member, types="", *args):
        interface, _, method = member.rpartition(".")
        error, reply = self.Error(), ctypes.c_void_p()
        values = []
        for t, a in zip(types.replace("a{sv}", "d"), args):
            values.append(a.encode() if t in "so" else ctypes.c_int(len(a) if t == "d" else a))
            for key, value in a.items() if t == "d" else ():
                values += [key.encode(), b"s", value.encode()]
        if self.lib.sd_bus_call_method(self.bus, NAME.encode(), (ROOT + path).encode(), f"{NAME}.{interface}".encode(),
                method.encode(), ctypes.byref(error), ctypes.byref(reply), types.encode(), *values) < 0:
            return error.name.decode()
        text = ctypes.c_char_p()
        for kind in b"s", b"o":
            if self.lib.sd_bus_message_read(reply, kind, ctypes.byref(text)) > 0:
                return text.value.decode()
        return ""


c = {"gdbus": GDBus, "sd-bus": SdBus}[sys.argv[1]]()


def secret():
    r, w = os.pipe()
    os.write(w, b"secret")
    os.close(w)
    return r


def step(member, types="", *args, path=""):
    answer = c.call(path, member, types, *args)
    error = answer.startswith((NAME, "org.freedesktop"))
    print(member, answer.removeprefix(NAME).removeprefix("org.freedesktop.DBus") if error else "gives" if answer else "done")
    return answer


step("Manager.RegisterAgent", "oa{sv}", "/agent", {})
step("Manager.RegisterAgent", "oa{sv}", "/agent", {})
step("Manager.UnregisterAgent", "o", "/agent")
step("Manager.UnregisterAgent", "o", "/agent")
step("PluginManager.Register", "sa{sv}", "p", {})
step("PluginManager.Unregister", "s", "p")
step("PluginManager.Unregister", "s", "p")
step("Introducer.Register", "soa{sv}", "desk", "/peer", {})
step("Introducer.Introduce", "sha{sv}", "nobody", secret(), {})
step("Introducer.Introduce", "sha{sv}", "nobody", socket.socketpair()[0].detach(), {})
mine, theirs = socket.socketpair()
mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
mine.sendall(b"\0hello")  # who holds it, and then what it says
mine.shutdown(socket.SHUT_WR)
step("Introducer.Introduce", "sha{sv}", "snake", theirs.fileno(), {"language": "any"})
theirs.close()
print("snake", mine.makefile().read().lstrip("\0"))
step("Introducer.Unregister", "s", "desk")
step("Introducer.Unregister", "s", "desk")
step("Account.SetSecret", "sha{sv}", "password", secret(), {"store": "session"}, path="/account/feed")
step("Account.SetSecret", "sha{sv}", "url", secret(), {}, path="/account/feed")
job = c.call("", "Manager.Sync", "sa{sv}", sys.argv[2], {}).removeprefix(ROOT)
step("Job.Watch", "a{sv}", {}, path=job)
step("Job.Unwatch", path=job)
step("Job.Unwatch", path=job)
stream = step("Collection.Serve", "a{sv}", {}, path="/account/pim/here").removeprefix(ROOT)
step("Stream.Listen", "ssa{sv}", "carrier-pigeon", "", {}, path=stream)
step("Stream.Listen", "ssa{sv}", "unix", "", {}, path=stream)
step("Stream.OpenFd", "a{sv}", {}, path=stream)
step("Stream.Close", "a{sv}", {}, path=stream)
step("Stream.Close", "a{sv}", {}, path=stream)
