package davserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// Whatever a client sends: an answer, and only statuses that mean something.
func FuzzRequests(f *testing.F) {
	const all = `xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav"`
	for _, body := range []string{
		"", `<propfind ` + all + `><prop><getetag/><x:y xmlns:x="urn:x"/></prop></propfind>`, `<propfind ` + all + `><propname/></propfind>`,
		`<sync-collection ` + all + `><sync-token>data:,davbus/a/1/</sync-token><limit><nresults>1</nresults></limit><prop><c:calendar-data/></prop></sync-collection>`,
		`<c:calendar-multiget ` + all + `><prop><c:calendar-data/></prop><href>/user/calendars/home/a</href><href>%zz</href></c:calendar-multiget>`,
		`<c:calendar-query ` + all + `><prop><getetag/></prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"><c:time-range start="20260101T000000Z"/><c:prop-filter name="SUMMARY"><c:text-match>s</c:text-match></c:prop-filter></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>`,
		`<a:addressbook-query ` + all + `><a:filter test="allof"><a:prop-filter name="FN"><a:text-match match-type="equals">s</a:text-match></a:prop-filter></a:filter></a:addressbook-query>`,
		`<propertyupdate ` + all + `><set><prop><displayname>x</displayname></prop></set></propertyupdate>`,
		"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
	} {
		for i := range uint8(len(fuzzMethods)) {
			f.Add(i, "/user/calendars/home/", body)
		}
		f.Add(uint8(1), "/user/contacts/friends/a%2f", body)
	}
	f.Fuzz(func(t *testing.T, method uint8, path, body string) {
		src := &memory.Source{}
		src.Add(engine.Collection{Name: "home", Kind: engine.Calendar, Writable: true}).Put("a", []byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:s\r\nDTSTART;TZID=x:20260101T000000\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"))
		src.Add(engine.Collection{Name: "friends", Kind: engine.AddressBook, Writable: true}).Put("b", []byte("BEGIN:VCARD\r\nFN:s\r\nEND:VCARD\r\n"))
		req, err := http.NewRequest(fuzzMethods[int(method)%len(fuzzMethods)], "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Depth", string('0'+method&1))
		w := httptest.NewRecorder()
		New(Options{Backend: src}).ServeHTTP(w, req)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", req.Method, path, w.Code, w.Body)
		}
		if w.Code == http.StatusMultiStatus {
			if _, err := parseXML(w.Body.Bytes()); err != nil {
				t.Errorf("the answer is no XML: %v\n%s", err, w.Body)
			}
		}
	})
}

var fuzzMethods = [...]string{"PROPFIND", "REPORT", "PROPPATCH", "MKCALENDAR", "MKCOL", "PUT", "GET", "DELETE", "OPTIONS"}

// Whatever stands in an item: a filter comes to an end with yes or no.
func FuzzFilters(f *testing.F) {
	for _, lines := range []string{
		"DTSTART:20260101T000000Z\r\nRRULE:FREQ=HOURLY;INTERVAL=0;BYSETPOS=-1;BYDAY=-53MO", "DTSTART:00010101T000000\r\nDURATION:P99999W\r\nRRULE:FREQ=YEARLY",
		"DTSTART;TZID=a/b/c:20260101T000000\r\nRDATE;VALUE=PERIOD:20260101T000000Z/PT1H,\r\nEXDATE:x", "DUE:20260101\r\nDURATION:-P1W", "TRIGGER:P\r\nDTSTART",
	} {
		f.Add("VEVENT", lines)
		f.Add("VTODO", lines)
	}
	f.Fuzz(func(t *testing.T, comp, lines string) {
		text := "BEGIN:VCALENDAR\r\nBEGIN:" + comp + "\r\n" + lines + "\r\nEND:" + comp + "\r\nEND:VCALENDAR\r\n"
		s := New(Options{})
		for _, name := range []string{"VEVENT", "VTODO"} {
			body, err := parseXML([]byte(`<q xmlns="` + calNS + `"><filter><comp-filter name="VCALENDAR"><comp-filter name="` + name + `"><time-range start="20260101T000000Z" end="20270101T000000Z"/></comp-filter></comp-filter></filter></q>`))
			if err != nil {
				t.Fatal(err)
			}
			flt, err := s.filterOf(body, engine.Calendar)
			if err != nil {
				t.Fatal(err)
			}
			flt.finds([]byte(text))
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("data:,davbus/a/1/b%2Fc")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMark(s)
		if !ok {
			return
		}
		if again, ok := parseMark(m.String()); !ok || again != m {
			t.Errorf("%q became %+v and then %+v", s, m, again)
		}
	})
}
