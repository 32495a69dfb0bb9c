#!/usr/bin/env python3
"""A plugin for davbus in under 100 lines of Python's standard library: contacts in a CSV file.

The file has a header line; the columns uid, name, email, phone are kept, others stay as they are.
It may be edited by hand, with a spreadsheet too: a row without a uid is given one. The protocol is
davbus-plugin(7); davbus plugin check --param path=contacts.csv ./contacts-csv.py tries it.
"""
import csv
import hashlib
import json
import os
import re
import sys
import uuid

COLUMNS = {"name": "FN", "email": "EMAIL", "phone": "TEL"}
path = ""

def load():
    rows = list(csv.DictReader(open(path, newline="", encoding="utf-8"))) if os.path.exists(path) else []
    bare = [row for row in rows if not row.get("uid")]
    for row in bare:
        row["uid"] = str(uuid.uuid4())
    cards = {row["uid"]: row for row in rows}
    if bare:
        save(cards)
    return cards

def save(cards):
    """Replaces the file in one step: a reader sees the old one or the new one."""
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(dict.fromkeys(["uid", *COLUMNS] + [c for row in cards.values() for c in row if c])), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(cards.values())
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)

def to_card(row):
    lines = ["BEGIN:VCARD", "VERSION:3.0", "UID:" + row["uid"], "N:%s;;;;" % escape(row.get("name"))]
    lines += [p + ":" + escape(row.get(c)) for c, p in COLUMNS.items() if row.get(c) or p == "FN"]
    return "\r\n".join(lines + ["END:VCARD", ""])

def escape(s):
    return re.sub(r"([\\;,])", r"\\\1", s or "")

def item(row):
    text = to_card(row)
    return {"ref": row["uid"], "etag": hashlib.sha256(text.encode()).hexdigest(), "text": text}

def stream(p):
    cards = load()
    refs = p.get("refs", list(cards))
    for ref in refs:
        change = item(cards[ref]) if ref in cards else {"ref": ref, "deleted": True}
        send({"method": "change", "params": {"stream": p["stream"], **change}})
    return {"full": True, "count": len(refs)}

def commit(p):
    cards, ref = load(), p.get("ref") or p.get("uid") or str(uuid.uuid4())
    if p["verb"] == "create" and ref in cards:
        raise LookupError("exists", "the file has that contact already")
    if p["verb"] != "create" and (ref not in cards or item(cards[ref])["etag"] != p["etag"]):
        raise LookupError("changed", "the contact was edited in the file meanwhile")
    if p["verb"] == "delete":
        del cards[ref]
    else:
        found = dict(re.findall(r"(?m)^(?:\w+\.)?(FN|EMAIL|TEL)(?:;[^:\r\n]*)?:([^\r\n]*)", re.sub(r"\r?\n[ \t]", "", p["text"])))
        row = cards.setdefault(ref, {"uid": ref})
        row.update({c: re.sub(r"\\(.)", r"\1", found.get(prop, "")) for c, prop in COLUMNS.items()})
    save(cards)
    return item(cards[ref]) if ref in cards else {}

def answer(method, p):
    global path
    if method == "initialize":
        path = os.path.expanduser(p["parameters"]["path"])
        return {"protocol": 1, "name": "contacts in CSV", "features": []}
    if method == "discover":
        return {"collections": [{"id": "contacts", "kind": "addressbook", "components": ["VCARD"], "properties": list(COLUMNS.values())}]}
    if method in ("get_changes", "read"):
        return stream(p)
    if method == "commit":
        return commit(p)
    if method not in ("connect", "committed_all", "sync_done", "disconnect", "finalize"):
        raise LookupError("not-supported", "this plugin has no method " + method)
    return {}

def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    call = json.loads(line)
    if "id" not in call:
        continue
    try:
        send({"id": call["id"], "result": answer(call["method"], call.get("params"))})
    except LookupError as e:
        send({"id": call["id"], "error": {"code": -32000, "message": e.args[1], "data": {"name": e.args[0]}}})
