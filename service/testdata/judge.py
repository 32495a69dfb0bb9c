#!/usr/bin/python3
"""Judges whether two folders hold the same items, by other libraries than ours.

judge.py same A B              A and B hold the same items
judge.py arrived A B TWIN      as said below

"arrived": of each item of A that is in TWIN (what the server serves after other
hands put A's bytes there), B holds the same text; DTSTAMP apart. Prints what
differs and exits with 1 if anything does."""
import os, re, sys

import icalendar, vobject

VOLATILE = {"DTSTAMP", "PRODID", "LAST-MODIFIED", "CREATED", "REV", "METHOD", "X-WR-CALNAME", "X-RADICALE-NAME"}


def calendar(c):
    props = []
    for name, values in c.items():
        for v in values if isinstance(values, list) else [values]:
            if name not in VOLATILE:
                text = v.to_ical() if hasattr(v, "to_ical") else str(v).encode()
                props.append((name, sorted((k, str(x)) for k, x in getattr(v, "params", {}).items()), text))
    kids = [calendar(s) for s in c.subcomponents if s.name != "VTIMEZONE"]
    return (c.name, sorted(props, key=repr), sorted(kids, key=repr))


def card(v):
    # How a photo is folded or spaced is no content.
    return sorted(((c.group or "", c.name, sorted((k, sorted(x)) for k, x in c.params.items()), re.sub(r"\s+", " ", str(c.value)))
                   for c in v.getChildren() if c.name not in VOLATILE), key=repr)


def content(data):
    try:
        if b"BEGIN:VCARD" in data.upper():
            return card(vobject.readOne(data.decode("utf-8")))
        return calendar(icalendar.Calendar.from_ical(data))
    except Exception:  # not for these libraries: its lines then, in any order
        lines = re.sub(rb"\r?\n[ \t]", b"", data).splitlines()
        return sorted(l for l in lines if re.split(rb"[;:]", l, maxsplit=1)[0].upper().decode("latin-1") not in VOLATILE)


def load(folder):
    out = {}
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".ics", ".vcf")):
                with open(os.path.join(root, name), "rb") as f:
                    data = f.read()
                found = re.search(rb"(?mi)^UID(?:;[^:\r\n]*)?:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", data)
                key = re.sub(rb"\r?\n[ \t]", b"", found.group(1)) if found else repr(content(data)).encode()
                out.setdefault(key, []).append(data)
    return out


def same(a, b):
    bad = []
    for key in sorted(a.keys() | b.keys()):
        x, y = a.get(key, []), b.get(key, [])
        if len(x) != 1 or len(y) != 1:
            bad.append("%r: %d here, %d there" % (key, len(x), len(y)))
        elif content(x[0]) != content(y[0]):
            bad.append("%r differs:\n%r\n%r" % (key, content(x[0]), content(y[0])))
    return bad


def texts(data):
    return [l for l in data.splitlines(True) if not l.startswith(b"DTSTAMP")]


def arrived(b, twin):
    bad, rewritten = [], 0
    for key, served in twin.items():
        got = b.get(key, [])
        if len(got) != 1 or texts(got[0]) != texts(served[0]):
            bad.append("%r: the server serves\n%r\nand this arrived:\n%r" % (key, served[0], got))
    return bad


if sys.argv[1] == "same":
    faults = same(load(sys.argv[2]), load(sys.argv[3]))
else:
    faults = arrived(load(sys.argv[3]), load(sys.argv[4]))
for f in faults[:10]:
    print(f)
print("%d differences" % len(faults))
sys.exit(1 if faults else 0)
