#!/usr/bin/python3
"""Two programs meet through davbus, on Python's standard library alone.

    introduction.py wait NAME         register NAME, answer whoever is introduced
    introduction.py call NAME TEXT    be introduced to NAME, say TEXT, print the answer

Run the first in one terminal and the second in another. They find each other at
$XDG_RUNTIME_DIR/davbus/intro, where each line is one JSON-RPC 2.0 object; then they
talk over a socket of their own, which davbus holds no end of.
"""
import json
import os
import socket
import struct
import sys


class Davbus:
    """One connection to the introduction socket."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(os.path.join(os.environ["XDG_RUNTIME_DIR"], "davbus", "intro"))
        self.text, self.fds, self.last = b"", [], 0

    def line(self):
        """The next line. Descriptors have come when the first byte of their line has."""
        while b"\n" not in self.text:
            data, fds, flags, _ = socket.recv_fds(self.sock, 65536, 16)
            if not data:
                sys.exit("davbus has left")
            self.text += data
            self.fds += fds
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def send(self, message, *fds):
        message["jsonrpc"] = "2.0"
        if fds:
            message["descriptors"] = len(fds)
        socket.send_fds(self.sock, [json.dumps(message).encode() + b"\n"], fds)

    def call(self, method, params, *fds):
        self.last += 1
        self.send({"id": self.last, "method": method, "params": params}, *fds)
        answer = self.line()
        if "error" in answer:
            sys.exit(answer["error"]["message"])
        return answer["result"]

    def incoming(self):
        """Waits for somebody who is introduced, and takes the socket."""
        message = self.line()
        sock = socket.socket(fileno=self.fds.pop(0))
        sock.setblocking(True)  # whoever made it may have chosen otherwise
        self.send({"id": message["id"], "result": {}})
        return message["params"], sock


def greet(sock):
    """One NUL byte from each end tells the other who holds it: both sides begin so."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sock.sendall(b"\0")


def meet(sock):
    """Demands that byte. What the kernel tells of the socket itself names who made it."""
    size = struct.calcsize("3i")
    byte, controls, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(size))
    for level, kind, data in controls:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, gid = struct.unpack("3i", data[:size])
            if byte == b"\0" and uid == os.getuid():
                return pid
    sys.exit("the other end did not show that it is this user's")


def wait(name):
    davbus = Davbus()
    davbus.call("register", {"name": name, "public": True})
    print("waiting as", name, flush=True)
    while True:
        params, sock = davbus.incoming()
        greet(sock)
        pid = meet(sock)
        with sock, sock.makefile() as lines:
            text = lines.read()
            print("process", pid, "says", text, "with", json.dumps(params["metadata"]), flush=True)
            sock.sendall(("heard " + text).encode())


def call(name, text):
    mine, theirs = socket.socketpair()
    greet(mine)
    Davbus().call("introduce", {"name": name, "metadata": {"language": "Python"}, "wait": True}, theirs.fileno())
    theirs.close()
    meet(mine)
    mine.sendall(text.encode())
    mine.shutdown(socket.SHUT_WR)
    with mine.makefile() as lines:
        print(lines.read(), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "wait":
        wait(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "call":
        call(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)
