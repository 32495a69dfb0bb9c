package davserver_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/storage/memory"
)

// What a request costs in a calendar of 10,000 events, without a network.
func BenchmarkRequests(b *testing.B) {
	src := &memory.Source{}
	s := src.Add(engine.Collection{Name: "home", Kind: engine.Calendar, Writable: true})
	var hrefs strings.Builder
	for i := range 10_000 {
		ref := fmt.Sprintf("%d.ics", i)
		s.Put(engine.Ref(ref), []byte(event(fmt.Sprint(i), "x", "DTSTART:20260105T100000Z", "RRULE:FREQ=WEEKLY", "DESCRIPTION:"+strings.Repeat("y", 900))))
		hrefs.WriteString("<href>" + home + ref + "</href>")
	}
	srv := davserver.New(davserver.Options{Backend: src})
	do := func(method, path, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("Depth", "1")
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, req)
		if w.Code >= 300 {
			b.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
		return w
	}
	_, rest, _ := strings.Cut(do("REPORT", home, syncBody("", 0)).Body.String(), "<d:sync-token>")
	token, _, _ := strings.Cut(rest, "<")
	for _, c := range []struct{ name, method, path, body string }{
		{"unmoved", "REPORT", home, syncBody(token, 0)},
		{"etags", "PROPFIND", home, ask("getetag")},
		{"everything", "REPORT", home, syncBody("", 0, "c:calendar-data")},
		{"multiget", "REPORT", home, `<c:calendar-multiget xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><c:calendar-data/></prop>` + hrefs.String() + `</c:calendar-multiget>`},
		{"week", "REPORT", home, between("VEVENT", "20270105T000000Z", "20270112T000000Z")},
		{"put", "PUT", home + "1.ics", event("1", "y")},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				do(c.method, c.path, c.body)
			}
		})
	}
}
