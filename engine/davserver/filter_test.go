package davserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

func query(filter string) string {
	return `<c:calendar-query xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><getetag/></prop><c:filter><c:comp-filter name="VCALENDAR">` + filter + `</c:comp-filter></c:filter></c:calendar-query>`
}

func between(comp, start, end string) string {
	r := ""
	if start != "" {
		r += ` start="` + start + `"`
	}
	if end != "" {
		r += ` end="` + end + `"`
	}
	return query(`<c:comp-filter name="` + comp + `"><c:time-range` + r + `/></c:comp-filter>`)
}

// found lists the items that a report names.
func found(t testing.TB, p *peer, path, body string) string {
	t.Helper()
	var list []string
	for _, h := range parse(t, p.want(207, "REPORT", path, body).body).hrefs() {
		list = append(list, strings.TrimPrefix(h, path))
	}
	return strings.Join(list, " ")
}

// The period is 5 January 2026, UTC, from 10 to 12.
func TestTimeRangesAreThoseOfTheStandard(t *testing.T) {
	const from, to = "20260105T100000Z", "20260105T120000Z"
	for _, c := range []struct {
		comp, lines string
		want        bool
	}{
		{"VEVENT", "DTSTART:20260105T100000Z|DTEND:20260105T103000Z", true},
		{"VEVENT", "DTSTART:20260105T093000Z|DTEND:20260105T100000Z", false},
		{"VEVENT", "DTSTART:20260105T093000Z|DTEND:20260105T100001Z", true},
		{"VEVENT", "DTSTART:20260105T120000Z|DTEND:20260105T123000Z", false},
		{"VEVENT", "DTSTART:20260105T115959Z|DURATION:PT1H", true},
		{"VEVENT", "DTSTART:20260105T080000Z|DURATION:P1DT1S", true},
		{"VEVENT", "DTSTART:20260105T080000Z|DURATION:PT2H", false},
		{"VEVENT", "DTSTART:20260105T080000Z|DURATION:PT2H1S", true},
		{"VEVENT", "DTSTART:20260105T100000Z", true},
		{"VEVENT", "DTSTART:20260105T095959Z", false},
		{"VEVENT", "DTSTART;VALUE=DATE:20260105", true},
		{"VEVENT", "DTSTART;VALUE=DATE:20260104", false},
		{"VEVENT", "DTSTART;VALUE=DATE:20260104|DTEND;VALUE=DATE:20260106", true},
		{"VEVENT", "DTSTART;TZID=Europe/Berlin:20260105T113000|DTEND;TZID=Europe/Berlin:20260105T120000", true},
		{"VEVENT", "DTSTART;TZID=Europe/Berlin:20260105T103000|DTEND;TZID=Europe/Berlin:20260105T110000", false},
		{"VEVENT", "DTSTART;TZID=/example.org/1/Europe/Berlin:20260105T103000|DURATION:PT30M", false},
		{"VEVENT", "DTSTART;TZID=nowhere:20260105T230000", true}, // it may be
		{"VEVENT", "DTSTART;TZID=nowhere:20260106T020001", false},
		{"VEVENT", "DTSTART:what", true}, // it cannot be told
		{"VEVENT", "", false},
		// Recurring.
		{"VEVENT", "DTSTART:20200106T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY", true},
		{"VEVENT", "DTSTART:20200106T130000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY", false},
		{"VEVENT", "DTSTART:20200107T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY", false},
		{"VEVENT", "DTSTART:20200105T230000Z|DURATION:PT12H|RRULE:FREQ=WEEKLY;BYDAY=SU", true}, // reaches into it
		{"VEVENT", "DTSTART:20200106T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY;UNTIL=20260104T000000Z", false},
		{"VEVENT", "DTSTART:20251229T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY;COUNT=2", true},
		{"VEVENT", "DTSTART:20251222T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY;COUNT=2", false},
		{"VEVENT", "DTSTART:20200106T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY|EXDATE:20200113T100000Z,20260105T100000Z", false},
		{"VEVENT", "DTSTART:20200106T100000Z|DURATION:PT1H|RDATE:20210101T100000Z,20260105T110000Z", true},
		{"VEVENT", "DTSTART;TZID=Europe/Berlin:20250707T113000|DURATION:PT20M|RRULE:FREQ=WEEKLY", true}, // 9:30 UTC in summer, 10:30 in winter
		{"VEVENT", "DTSTART:20270101T100000Z|RRULE:FREQ=SECONDLY", false},
		{"VEVENT", "DTSTART:20200101T100000Z|RRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", true}, // not worked out
		{"VEVENT", "DTSTART:20200101T100000Z|RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", false},
		{"VEVENT", "DTSTART:20200101T100000Z|RRULE:FREQ=NEVER", true},
		// Overrides are times of their own, and take that of the master away.
		{"VEVENT", "DTSTART:20200106T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY|END:VEVENT|BEGIN:VEVENT|UID:u|RECURRENCE-ID:20260105T100000Z|DTSTART:20260105T140000Z", false},
		{"VEVENT", "DTSTART:20200107T100000Z|DURATION:PT1H|RRULE:FREQ=WEEKLY|END:VEVENT|BEGIN:VEVENT|UID:u|RECURRENCE-ID:20260106T100000Z|DTSTART:20260105T110000Z", true},
		{"VTODO", "", true},
		{"VTODO", "DTSTART:20260105T110000Z", true},
		{"VTODO", "DTSTART:20260105T090000Z", false},
		{"VTODO", "DTSTART:20260105T090000Z|DUE:20260105T100000Z", false},
		{"VTODO", "DTSTART:20260105T090000Z|DURATION:PT1H", true},
		{"VTODO", "DTSTART:20260105T090000Z|DUE:20260105T110000Z", true},
		{"VTODO", "DUE:20260105T120000Z", true},
		{"VTODO", "DUE:20260105T100000Z", false},
		{"VTODO", "DUE:20260104T110000Z|RRULE:FREQ=DAILY", true},
		{"VTODO", "DUE:20260105T120001Z", false},
		{"VTODO", "COMPLETED:20260105T120000Z", true},
		{"VTODO", "COMPLETED:20260105T095959Z", false},
		{"VTODO", "CREATED:20250105T095959Z|COMPLETED:20260105T110000Z", true},
		{"VTODO", "CREATED:20250105T095959Z|COMPLETED:20250105T110000Z", false},
		{"VTODO", "CREATED:20250105T120000Z", true},
		{"VTODO", "CREATED:20260105T120000Z", false},
		{"VJOURNAL", "DTSTART:20260105T110000Z", true},
		{"VJOURNAL", "DTSTART:20260105T090000Z", false},
		{"VJOURNAL", "DTSTART;VALUE=DATE:20260105", true},
		{"VJOURNAL", "", false},
	} {
		srv := davtest.New(t, davtest.Options{})
		text := strings.ReplaceAll(event("u", "s", strings.ReplaceAll(c.lines, "|", "\r\n")), "VEVENT", c.comp)
		srv.Calendar("home").Put("i", []byte(text))
		want := ""
		if c.want {
			want = "i"
		}
		if got := found(t, newPeer(t, srv), home, between(c.comp, from, to)); got != want {
			t.Errorf("%s %s: found %q, want %q", c.comp, c.lines, got, want)
		}
	}
}

func TestPeriodsMayBeOpen(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.Put("a", []byte(event("a", "a", "DTSTART:20260101T100000Z")))
	s.Put("b", []byte(event("b", "b", "DTSTART:20260103T100000Z")))
	s.Put("c", []byte(event("c", "c", "DTSTART:20200103T100000Z", "RRULE:FREQ=YEARLY")))
	p := newPeer(t, srv)
	for body, want := range map[string]string{
		between("VEVENT", "20260102T000000Z", ""): "b c",
		between("VEVENT", "", "20260102T000000Z"): "a c",
		between("VEVENT", "", "20190102T000000Z"): "",
	} {
		if got := found(t, p, home, body); got != want {
			t.Errorf("found %q, want %q for %s", got, want, body)
		}
	}
	for _, bad := range []string{between("VEVENT", "", ""), between("VEVENT", "20260102", ""), between("VEVENT", "20260102T000000Z", "20260102T000000Z"),
		`<c:calendar-query xmlns:c="urn:ietf:params:xml:ns:caldav"/>`, strings.ReplaceAll(query(""), "VCALENDAR", "VEVENT"), query(`<c:comp-filter/>`)} {
		if a := p.want(403, "REPORT", home, bad); !strings.Contains(a.body, "<c:valid-filter/>") {
			t.Errorf("%s: %s", bad, a.body)
		}
	}
}

func TestTimesWithoutAZoneAreThoseOfTheServersZone(t *testing.T) {
	zone := time.FixedZone("east", 5*3600)
	for where, want := range map[*time.Location]string{nil: "", zone: "a"} {
		srv := davtest.New(t, davtest.Options{Zone: where})
		srv.Calendar("home").Put("a", []byte(event("a", "a", "DTSTART:20260105T160000")))
		if got := found(t, newPeer(t, srv), home, between("VEVENT", "20260105T100000Z", "20260105T120000Z")); got != want {
			t.Errorf("in %v found %q, want %q", where, got, want)
		}
	}
}

func TestComponentsPropertiesAndParametersAreFiltered(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.Put("event", []byte(event("e", "Straße, nord", "CATEGORIES:Work", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@example.org",
		"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT5M", "END:VALARM")))
	s.Put("plain", []byte(event("p", `a\, b`)))
	s.Put("task", []byte(task("t", "Do it", "STATUS:NEEDS-ACTION")))
	s.Put("bad", []byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=x\r\n"))
	p := newPeer(t, srv)
	prop := func(comp, prop, inner string) string {
		return `<c:comp-filter name="` + comp + `"><c:prop-filter name="` + prop + `">` + inner + `</c:prop-filter></c:comp-filter>`
	}
	match := func(attr, text string) string { return `<c:text-match ` + attr + `>` + text + `</c:text-match>` }
	for filter, want := range map[string]string{
		"":                                 "event plain task",
		`<c:comp-filter name="VEVENT"/>`:   "event plain",
		`<c:comp-filter name="vtodo"/>`:    "task",
		`<c:comp-filter name="VJOURNAL"/>`: "",
		`<c:comp-filter name="VEVENT"><c:is-not-defined/></c:comp-filter>`:                                                           "task",
		`<c:comp-filter name="VEVENT"><c:comp-filter name="VALARM"/></c:comp-filter>`:                                                "event",
		`<c:comp-filter name="VEVENT"><c:comp-filter name="VALARM"><c:is-not-defined/></c:comp-filter></c:comp-filter>`:              "plain",
		prop("VTODO", "COMPLETED", "<c:is-not-defined/>"):                                                                            "task",
		prop("VTODO", "STATUS", "<c:is-not-defined/>"):                                                                               "",
		prop("VEVENT", "SUMMARY", match("", "STRASSE")):                                                                              "",
		prop("VEVENT", "SUMMARY", match("", "STRAßE")):                                                                               "event",
		prop("VEVENT", "SUMMARY", match(`collation="i;octet"`, "straße")):                                                            "",
		prop("VEVENT", "SUMMARY", match("", "a, b")):                                                                                 "plain",
		prop("VEVENT", "SUMMARY", match(`negate-condition="yes"`, "a, b")):                                                           "event",
		prop("VEVENT", "ATTENDEE", match("", "b@example")+`<c:param-filter name="PARTSTAT">`+match("", "needs")+`</c:param-filter>`): "",
		prop("VEVENT", "ATTENDEE", match("", "a@example")+`<c:param-filter name="PARTSTAT">`+match("", "needs")+`</c:param-filter>`): "event",
		prop("VEVENT", "ATTENDEE", `<c:param-filter name="ROLE"><c:is-not-defined/></c:param-filter>`):                               "event",
		prop("VEVENT", "DTSTAMP", `<c:time-range start="20260101T000000Z" end="20260101T000001Z"/>`):                                 "event plain",
		prop("VEVENT", "DTSTAMP", `<c:time-range start="20260101T000001Z"/>`):                                                        "",
	} {
		// What cannot be read is found by every filter.
		want = strings.TrimSpace("bad " + want)
		if got := found(t, p, home, query(filter)); got != want {
			t.Errorf("%s\nfound %q, want %q", filter, got, want)
		}
	}
	if a := p.want(403, "REPORT", home, query(prop("VEVENT", "SUMMARY", match(`collation="i;x"`, "a")))); !strings.Contains(a.body, "<c:supported-collation/>") {
		t.Error(a.body)
	}
}

func TestContactsAreFiltered(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.AddressBook("friends")
	s.Put("ada", []byte(card("a", "Ada Lovelace", "item1.EMAIL;TYPE=WORK:ada@example.org", "TEL;CELL:1")))
	s.Put("bob", []byte(card("b", "Bob", "EMAIL:bob@example.com")))
	s.Put("bad", []byte("BEGIN:VCARD\r\nTEL;"))
	p := newPeer(t, srv)
	const path = "/user/contacts/friends/"
	ask := func(test, filters string) string {
		return `<a:addressbook-query xmlns:a="urn:ietf:params:xml:ns:carddav" xmlns="DAV:"><prop><getetag/></prop><a:filter` + test + `>` + filters + `</a:filter></a:addressbook-query>`
	}
	fn := func(how, text string) string {
		return `<a:prop-filter name="FN"><a:text-match match-type="` + how + `">` + text + `</a:text-match></a:prop-filter>`
	}
	email := `<a:prop-filter name="EMAIL"><a:text-match>example</a:text-match></a:prop-filter>`
	for body, want := range map[string]string{
		ask("", ""):                                                              "ada bob",
		ask("", fn("contains", "LOVE")):                                          "ada",
		ask("", fn("equals", "bob")):                                             "bob",
		ask("", fn("starts-with", "lace")):                                       "",
		ask("", fn("ends-with", "lace")):                                         "ada",
		ask("", fn("equals", "bob")+email):                                       "ada bob",
		ask(` test="allof"`, fn("equals", "bob")+email):                          "bob",
		ask("", `<a:prop-filter name="ITEM1.EMAIL"/>`):                           "ada",
		ask("", `<a:prop-filter name="TEL"><a:is-not-defined/></a:prop-filter>`): "bob",
		ask("", `<a:prop-filter name="EMAIL" test="allof"><a:text-match>ada</a:text-match><a:text-match>com</a:text-match></a:prop-filter>`): "",
		ask("", `<a:prop-filter name="EMAIL"><a:text-match>ada</a:text-match><a:text-match>com</a:text-match></a:prop-filter>`):              "ada bob",
		ask("", `<a:prop-filter name="TEL"><a:param-filter name="TYPE"><a:text-match>cell</a:text-match></a:param-filter></a:prop-filter>`):  "ada",
	} {
		got := strings.Fields(found(t, p, path, body))
		got = slices.DeleteFunc(got, func(ref string) bool { return ref == "bad" })
		if strings.Join(got, " ") != want {
			t.Errorf("%s\nfound %q, want %q", body, got, want)
		}
	}
	limited := strings.Replace(ask("", ""), "</a:addr", "<a:limit><a:nresults>2</a:nresults></a:limit></a:addr", 1)
	if got := found(t, p, path, limited); got != " 507 ada bad" {
		t.Errorf("limited to two it found %q", got)
	}
}

func TestAQueryOverManyItemsGivesEachOnce(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	for i := range 500 {
		s.Put(engine.Ref(fmt.Sprintf("%03d", i)), []byte(event(fmt.Sprint(i), fmt.Sprint(i%2))))
	}
	got := strings.Fields(found(t, newPeer(t, srv), home, query(`<c:comp-filter name="VEVENT"><c:prop-filter name="SUMMARY"><c:text-match>1</c:text-match></c:prop-filter></c:comp-filter>`)))
	if len(got) != 250 || got[0] != "001" || got[249] != "499" {
		t.Errorf("found %d: %v", len(got), got)
	}
}
