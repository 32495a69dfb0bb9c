package itemtest

import (
	"fmt"
	"strings"
)

// calendar writes an event, a task or a journal.
func (g *gen) calendar() Item {
	e := entry{gen: g, uid: g.uuid(), zone: zoneNames[g.rng.IntN(len(zoneNames))]}
	switch g.rng.IntN(20) {
	case 0:
		e.uid += "@example.org"
	case 1:
		e.uid = strings.ToUpper(strings.ReplaceAll(e.uid, "-", ""))
	}
	e.year, e.month, e.day = 2020+g.rng.IntN(8), 1+g.rng.IntN(12), 1+g.rng.IntN(28)
	e.hour, e.minute = 6+g.rng.IntN(15), 15*g.rng.IntN(4)

	kind := g.rng.IntN(100)
	g.line("BEGIN:VCALENDAR")
	g.line("VERSION:2.0")
	g.line("PRODID:%s", g.one("-//Example//Calendar 3.1//EN", "-//Another Corp.//Phone//EN", "-//Desk//Organizer 45.2//DE"))
	if g.chance(30) {
		g.line("CALSCALE:GREGORIAN")
	}
	if kind < 85 && g.chance(65) {
		e.zoned = true
		g.out.WriteString(zoneText(e.zone))
	}
	switch {
	case kind < 85:
		e.event()
	case kind < 95:
		e.task()
	default:
		e.journal()
	}
	g.line("END:VCALENDAR")
	return g.done(e.uid)
}

// An entry is one calendar item being written.
type entry struct {
	*gen
	uid                            string
	zone                           string
	zoned                          bool
	year, month, day, hour, minute int
}

func (e *entry) begin(component string) {
	e.line("BEGIN:%s", component)
	e.line("UID:%s", e.uid)
	e.line("DTSTAMP:%s", e.stamp())
	if e.chance(80) {
		e.line("CREATED:%s", e.stamp())
		e.line("LAST-MODIFIED:%s", e.stamp())
	}
	if e.chance(70) {
		e.line("SEQUENCE:%d", e.rng.IntN(4))
	}
}

func (e *entry) stamp() string {
	return fmt.Sprintf("%04d%02d%02dT%02d%02d%02dZ", 2019+e.rng.IntN(7), 1+e.rng.IntN(12), 1+e.rng.IntN(28),
		e.rng.IntN(24), e.rng.IntN(60), e.rng.IntN(60))
}

// when writes a time some days and hours after the entry's own.
func (e *entry) when(property string, days, hours int) {
	day := e.day + days
	month, year := e.month, e.year
	for ; day > 28; day -= 28 {
		if month++; month > 12 {
			month, year = 1, year+1
		}
	}
	hour := e.hour + hours
	if e.zoned {
		e.line("%s;TZID=%s:%04d%02d%02dT%02d%02d00", property, e.zone, year, month, day, hour, e.minute)
	} else {
		e.line("%s:%04d%02d%02dT%02d%02d00Z", property, year, month, day, hour, e.minute)
	}
}

func (e *entry) event() {
	series := e.chance(25)
	e.begin("VEVENT")
	e.line("SUMMARY:%s", e.text(2+e.rng.IntN(5)))
	switch {
	case !series && e.chance(15):
		e.line("DTSTART;VALUE=DATE:%04d%02d%02d", e.year, e.month, min(e.day, 27))
		e.line("DTEND;VALUE=DATE:%04d%02d%02d", e.year, e.month, min(e.day, 27)+1)
		e.line("TRANSP:TRANSPARENT")
	case e.chance(15):
		e.when("DTSTART", 0, 0)
		e.line("DURATION:PT%dM", 15*(1+e.rng.IntN(8)))
	default:
		e.when("DTSTART", 0, 0)
		e.when("DTEND", 0, 1+e.rng.IntN(2))
	}
	e.details()
	if series {
		e.line("RRULE:%s", e.one("FREQ=WEEKLY;COUNT=10", "FREQ=DAILY;INTERVAL=2;COUNT=30", "FREQ=MONTHLY;BYDAY=-1FR",
			"FREQ=YEARLY", "FREQ=WEEKLY;BYDAY=MO,WE,FR;UNTIL=20291231T225959Z"))
		for n := range e.rng.IntN(3) {
			e.when("EXDATE", 7*(n+1), 0)
		}
	}
	if e.chance(20) {
		e.meeting()
	}
	e.alarms()
	e.line("END:VEVENT")
	if series {
		for n := range e.rng.IntN(3) {
			e.override(14 * (n + 2))
		}
	}
}

func (e *entry) override(days int) {
	e.begin("VEVENT")
	e.when("RECURRENCE-ID", days, 0)
	e.when("DTSTART", days, 2)
	e.when("DTEND", days, 3)
	e.line("SUMMARY:%s (moved)", e.text(3))
	e.line("END:VEVENT")
}

func (e *entry) details() {
	if e.chance(50) {
		e.line("LOCATION:%s", e.text(1+e.rng.IntN(4)))
	}
	switch {
	case e.chance(15):
		e.line("DESCRIPTION:%s", e.text(30+e.rng.IntN(120)))
	case e.chance(50):
		e.line("DESCRIPTION:%s", e.text(3+e.rng.IntN(25)))
	}
	if e.chance(25) {
		e.line("CATEGORIES:%s", e.one("Work", "Work,Travel", "Family,Präsentation,Home", "Personal"))
	}
	if e.chance(10) {
		e.line("CLASS:%s", e.one("PRIVATE", "CONFIDENTIAL", "PUBLIC"))
	}
	if e.chance(10) {
		e.line("URL:https://example.org/%s?q=a;b,c:d", e.uid[:6])
	}
	if e.chance(10) {
		e.line("X-MOZ-GENERATION:%d", e.rng.IntN(9))
		e.line(`X-CUSTOM-PROP;X-PARAM="a;b:c,d";LANGUAGE=de:%s`, e.text(4))
	}
	if e.chance(3) {
		e.line("ATTACH;FMTTYPE=image/jpeg;ENCODING=BASE64;VALUE=BINARY:%s", e.base64(2000))
	}
}

func (e *entry) meeting() {
	e.line("ORGANIZER;CN=%s:mailto:%s", e.name(), e.mail())
	for range 2 + e.rng.IntN(7) {
		e.line(`ATTENDEE;CN="%s";ROLE=%s;PARTSTAT=%s;CUTYPE=INDIVIDUAL;RSVP=TRUE:mailto:%s`, e.name(),
			e.one("REQ-PARTICIPANT", "OPT-PARTICIPANT"), e.one("ACCEPTED", "NEEDS-ACTION", "DECLINED", "TENTATIVE"), e.mail())
	}
}

func (e *entry) alarms() {
	for range max(0, e.rng.IntN(5)-2) {
		e.line("BEGIN:VALARM")
		e.line("ACTION:DISPLAY")
		e.line("DESCRIPTION:%s", e.text(3))
		e.line("TRIGGER:-PT%dM", 5*(1+e.rng.IntN(24)))
		e.line("END:VALARM")
	}
}

func (e *entry) task() {
	e.begin("VTODO")
	e.line("SUMMARY:%s", e.text(2+e.rng.IntN(6)))
	if e.chance(60) {
		e.when("DUE", 3, 0)
	}
	e.line("PRIORITY:%d", e.rng.IntN(10))
	if e.chance(40) {
		e.line("STATUS:COMPLETED")
		e.line("PERCENT-COMPLETE:100")
		e.line("COMPLETED:%s", e.stamp())
	} else {
		e.line("STATUS:%s", e.one("NEEDS-ACTION", "IN-PROCESS"))
		e.line("PERCENT-COMPLETE:%d", 10*e.rng.IntN(10))
	}
	if e.chance(20) {
		e.line("RELATED-TO;RELTYPE=PARENT:%s", e.uuid())
	}
	e.details()
	e.alarms()
	e.line("END:VTODO")
}

func (e *entry) journal() {
	e.begin("VJOURNAL")
	e.line("DTSTART;VALUE=DATE:%04d%02d%02d", e.year, e.month, e.day)
	e.line("SUMMARY:%s", e.text(4))
	e.line("DESCRIPTION:%s", e.text(40+e.rng.IntN(100)))
	if e.chance(30) {
		e.line("CATEGORIES:%s", e.one("Diary", "Diary,Travel"))
	}
	e.line("STATUS:%s", e.one("DRAFT", "FINAL"))
	e.line("END:VJOURNAL")
}
