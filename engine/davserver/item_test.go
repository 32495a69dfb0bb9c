package davserver_test

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

func TestItemsComeBackByteForByte(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.Calendar("home")
	p := newPeer(t, srv)
	odd := event("u1", "folded\r\n  line; Grüße \U0001F600", "x-odd;P=\"a:b\":1 < 2 & \"3\"  ", "DTSTART:20260101T000000Z")
	a := p.want(201, "PUT", home+"a.ics", odd, "If-None-Match", "*")
	if got := p.want(200, "GET", home+"a.ics", ""); got.body != odd {
		t.Errorf("GET gave\n%q\nwant\n%q", got.body, odd)
	} else if got.Header.Get("ETag") != a.Header.Get("ETag") || a.Header.Get("ETag") == "" {
		t.Errorf("PUT told the etag %q and GET %q", a.Header.Get("ETag"), got.Header.Get("ETag"))
	}
	report := p.want(207, "REPORT", home, `<c:calendar-multiget xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><getetag/><c:calendar-data/></prop><href>/user/calendars/home/a.ics</href></c:calendar-multiget>`)
	if !strings.Contains(report.body, "&#13;\n") || !strings.Contains(report.body, "1 &lt; 2 &amp;") {
		t.Errorf("the report does not carry the text as it is:\n%s", report.body)
	}
}

func TestEveryWriteIsConditional(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.Calendar("home")
	p := newPeer(t, srv)
	etag := p.want(201, "PUT", home+"a.ics", event("u1", "one"), "If-None-Match", "*").Header.Get("ETag")
	p.want(412, "PUT", home+"a.ics", event("u1", "two"), "If-None-Match", "*")
	p.want(412, "PUT", home+"a.ics", event("u1", "two"), "If-Match", `"stale"`)
	p.want(412, "PUT", home+"a.ics", event("u1", "two"), "If-Match", "W/"+etag)
	p.want(412, "PUT", home+"b.ics", event("u2", "two"), "If-Match", "*")
	p.want(204, "PUT", home+"a.ics", event("u1", "two"), "If-Match", `"stale", `+etag)
	p.want(412, "DELETE", home+"a.ics", "", "If-Match", etag)
	p.want(204, "PUT", home+"a.ics", event("u1", "three"))
	p.want(204, "DELETE", home+"a.ics", "", "If-Match", "*")
	p.want(404, "DELETE", home+"a.ics", "")
}

func TestAnETagIsToldOnlyForBytesThatWereKept(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.Calendar("home").Rewrite = davtest.Rewritten
	srv.Calendar("kept").NoEtags = true
	p := newPeer(t, srv)
	if a := p.want(201, "PUT", home+"a.ics", event("u1", "one")); a.Header.Get("ETag") != "" {
		t.Errorf("a text that was rewritten has the ETag %q", a.Header.Get("ETag"))
	}
	const kept = "/user/calendars/kept/a.ics"
	etag := p.want(201, "PUT", kept, event("u1", "one")).Header.Get("ETag")
	if got := p.want(200, "GET", kept, "").Header.Get("ETag"); etag == "" || got != etag {
		t.Errorf("a storage without etags: PUT told %q, GET %q", etag, got)
	}
	p.want(412, "PUT", kept, event("u1", "two"), "If-Match", `"stale"`)
	p.want(204, "PUT", kept, event("u1", "two"), "If-Match", etag)
	p.want(412, "DELETE", kept, "", "If-Match", etag)
}

func TestRefusalsNameTheirCondition(t *testing.T) {
	srv := davtest.New(t, davtest.Options{MaxItem: 1000})
	srv.Calendar("home", "VEVENT")
	srv.AddressBook("friends")
	srv.Source.Add(engine.Collection{Name: "old", Kind: engine.AddressBook, Formats: []string{engine.VCard3}, Writable: true})
	p := newPeer(t, srv)
	p.want(201, "PUT", home+"a.ics", event("u1", "one"))
	fits := event("u2", "")
	fits = event("u2", strings.Repeat("x", 1000-len(fits)))
	for _, c := range []struct {
		name, path, body string
		status           int
		condition        string
	}{
		{"same UID elsewhere", home + "b.ics", event("u1", "one"), 409, "<c:no-uid-conflict><d:href>/user/calendars/home/a.ics</d:href></c:no-uid-conflict>"},
		{"a task where events are kept", home + "b.ics", task("u2", "t"), 403, "<c:supported-calendar-component/>"},
		{"a contact in a calendar", home + "b.ics", card("u2", "A"), 403, "<c:supported-calendar-data/>"},
		{"an event in an address book", "/user/contacts/friends/a.vcf", event("u2", "e"), 403, "<card:supported-address-data/>"},
		{"a contact in a version that is not taken", "/user/contacts/old/a.vcf", strings.Replace(card("u2", "A"), "3.0", "4.0", 1), 403, "<card:supported-address-data/>"},
		{"a contact in the version that is taken", "/user/contacts/old/b.vcf", card("u3", "A"), 201, ""},
		{"a contact in any version", "/user/contacts/friends/b.vcf", strings.Replace(card("u3", "A"), "3.0", "4.0", 1), 201, ""},
		{"no item", home + "b.ics", "hello", 403, "<c:valid-calendar-data/>"},
		{"half an item", home + "b.ics", event("u2", "x")[:60], 403, "<c:valid-calendar-data/>"},
		{"half a contact", "/user/contacts/friends/a.vcf", card("u2", "x")[:30], 403, "<card:valid-address-data/>"},
		{"two items", home + "b.ics", strings.Replace(event("u2", "x"), "END:VEVENT\r\n", "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:u3\r\nEND:VEVENT\r\n", 1), 403, "<c:valid-calendar-object-resource/>"},
		{"one byte too large", home + "b.ics", strings.Replace(fits, "xx", "xxx", 1), 413, "<c:max-resource-size/>"},
		{"just not too large", home + "b.ics", fits, 201, ""},
	} {
		a := p.do("PUT", c.path, c.body)
		if a.StatusCode != c.status || !strings.Contains(a.body, c.condition) {
			t.Errorf("%s: got %d\n%s\nwant %d with %s", c.name, a.StatusCode, a.body, c.status, c.condition)
		}
	}
	p.want(404, "PUT", "/user/calendars/none/a.ics", event("u9", "x"))
	p.want(403, "DELETE", home, "")
}
