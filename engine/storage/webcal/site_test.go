package webcal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A site serves what a test sets.
type site struct {
	*httptest.Server
	answer   func(w http.ResponseWriter, r *http.Request)
	requests atomic.Int32
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// serve answers with a text and its validators.
func (s *site) serve(text string) {
	etag := fmt.Sprintf(`"%x"`, item.Sum([]byte(text)))
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
		fmt.Fprint(w, text)
	}
}

func open(t testing.TB, s *site) *Source {
	t.Helper()
	transport := &http.Transport{}
	source, err := New(Options{URL: s.URL + "/holidays.ics?key=secret", Client: transport, Close: transport.CloseIdleConnections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

const zone = "BEGIN:VTIMEZONE\r\nTZID:Z\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"

func event(uid, body string) string {
	if uid != "" {
		uid = "UID:" + uid + "\r\n"
	}
	return "BEGIN:VEVENT\r\n" + uid + "DTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Z:20260102T100000\r\nSUMMARY:" + body + "\r\nEND:VEVENT\r\n"
}

func file(parts ...string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:PUBLISH\r\nX-WR-CALNAME:Public\\, days\r\nX-APPLE-CALENDAR-COLOR:#AABBCCFF\r\n" +
		zone + strings.Join(parts, "") + "END:VCALENDAR\r\n"
}

func look(t testing.TB, s *Source) engine.Collection {
	t.Helper()
	found, err := s.Look(t.Context(), false)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	return found[0]
}

func items(t testing.TB, s *Source) map[engine.Ref]engine.Item {
	t.Helper()
	storage, err := s.Open(look(t, s))
	if err != nil {
		t.Fatal(err)
	}
	var refs []engine.Ref
	etags := map[engine.Ref]engine.Etag{}
	for h, err := range storage.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		refs, etags[h.Ref] = append(refs, h.Ref), h.Etag
	}
	all := map[engine.Ref]engine.Item{}
	for it, err := range storage.Fetch(t.Context(), append(refs, "not there")) {
		if err != nil || it.Etag != etags[it.Ref] {
			t.Fatal(it.Head, err)
		}
		all[it.Ref] = it
	}
	if len(all) != len(refs) {
		t.Errorf("listed %d items, fetched %d", len(refs), len(all))
	}
	return all
}
