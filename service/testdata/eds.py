# A person at Evolution: eds.py add|edit|delete|list cal|tasks|book [UID NAME]
import sys

import gi

for name, version in (("EDataServer", "1.2"), ("ECal", "2.0"), ("EBook", "1.2"), ("EBookContacts", "1.2"), ("ICalGLib", "3.0")):
    gi.require_version(name, version)
from gi.repository import EBook, EBookContacts, ECal, EDataServer, ICalGLib

SOURCES = {"cal": ("system-calendar", ECal.ClientSourceType.EVENTS, "VEVENT"), "tasks": ("system-task-list", ECal.ClientSourceType.TASKS, "VTODO"),
           "book": ("system-address-book", None, None)}
verb, what, uid, name = (sys.argv[1:] + ["", ""])[:4]
source_id, source_type, component = SOURCES[what]
source = EDataServer.SourceRegistry.new_sync(None).ref_source(source_id)
NOW = 0xFFFFFFFF

if what == "book":
    c, flags = EBook.BookClient.connect_sync(source, NOW, None), EBookContacts.BookOperationFlags(0)
    if verb == "list":
        query = EBookContacts.BookQuery.any_field_contains("").to_string()
        print(", ".join(sorted(x.get_property("full-name") for x in c.get_contacts_sync(query, None)[1])))
    elif verb == "add":
        c.add_contact_sync(EBookContacts.Contact.new_from_vcard("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%s\r\nFN:%s\r\nN:%s;;;;\r\nEND:VCARD\r\n" % (uid, name, name)), flags, None)
    elif verb == "delete":
        c.remove_contact_by_uid_sync(uid, flags, None)
    else:
        contact = c.get_contact_sync(uid, None)[1]
        contact.set_property("full-name", name)
        c.modify_contact_sync(contact, flags, None)
else:
    c, flags = ECal.Client.connect_sync(source, source_type, NOW, None), ECal.OperationFlags.NONE
    if verb == "list":
        print(", ".join(sorted(x.get_summary() for x in c.get_object_list_sync("#t", None)[1])))
    elif verb == "add":
        text = "BEGIN:%s\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260103T100000Z\r\nSUMMARY:%s\r\nEND:%s\r\n" % (component, uid, name, component)
        c.create_object_sync(ICalGLib.Component.new_from_string(text), flags, None)
    elif verb == "delete":
        c.remove_object_sync(uid, None, ECal.ObjModType.ALL, flags, None)
    else:
        found = c.get_object_sync(uid, None, None)[1]
        found.set_summary(name)
        c.modify_object_sync(found, ECal.ObjModType.ALL, flags, None)
