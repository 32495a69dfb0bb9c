#!/usr/bin/python3
"""Works a CalDAV calendar with python3-caldav: caldavcal.py URL USER PASSWORD COMMAND...

URL is a server's root; its first calendar of the name NAME is used.
  NAME names                summaries, one a line
  NAME between FROM TO      the same of events in that time (YYYY-MM-DD)
  NAME add UID SUMMARY DAY  a new event
  NAME edit UID SUMMARY     another summary
  NAME remove UID           away with it"""
import datetime, sys

import caldav

url, user, password, name, command, *args = sys.argv[1:]
client = caldav.DAVClient(url=url, username=user, password=password)
calendars = client.principal().calendars()
calendar = next(c for c in calendars if str(c.url).rstrip("/").endswith("/" + name))


def summary(event):
    return str(event.icalendar_instance.walk("VEVENT")[0]["SUMMARY"])


def find(uid):
    return next(e for e in calendar.events() if "UID:" + uid in e.data)


if command == "names":
    print("\n".join(sorted(summary(e) for e in calendar.events())))
elif command == "between":
    start, end = (datetime.datetime.fromisoformat(a).replace(tzinfo=datetime.timezone.utc) for a in args)
    print("\n".join(sorted(summary(e) for e in calendar.date_search(start, end, expand=False))))
elif command == "add":
    uid, text, day = args
    calendar.save_event("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//caldavcal.py\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\n"
                        "DTSTART:%sT100000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n" % (uid, day.replace("-", ""), text))
elif command == "edit":
    event = find(args[0])
    event.data = "\r\n".join("SUMMARY:" + args[1] if l.startswith("SUMMARY:") else l for l in event.data.splitlines()) + "\r\n"
    event.save()
elif command == "remove":
    find(args[0]).delete()
