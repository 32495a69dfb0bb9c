package webcal

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/storagetest"
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

func TestPromises(t *testing.T) {
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		text, err := item.Join([][]byte{storagetest.Text(kind, "a", "one"), storagetest.Text(kind, "b", "one")})
		if err != nil {
			t.Fatal(err)
		}
		storagetest.RunReadOnly(t, kind, func(tb testing.TB) engine.Storage {
			site := newSite(tb)
			site.serve(string(text))
			s := open(tb, site)
			storage, err := s.Open(look(tb, s))
			if err != nil {
				tb.Fatal(err)
			}
			return storage
		})
	}
}

func TestACalendarIsTakenApartIntoItems(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one"), event("b", "two"), event("a", "override"), event("", "three"), event("", "three")))
	s := open(t, site)
	c := look(t, s)
	if c.Kind != engine.Calendar || c.Name != "holidays" || c.Writable || c.Meta[engine.MetaName] != "Public, days" ||
		c.Meta[engine.MetaColor] != "#AABBCC" || strings.Contains(c.URL, "secret") || c.ID != "" {
		t.Errorf("%+v", c)
	}
	all := items(t, s)
	if len(all) != 3 {
		t.Fatalf("got %v", all)
	}
	a := string(all["a"].Text)
	if strings.Count(a, "BEGIN:VEVENT") != 2 || !strings.Contains(a, zone) || strings.Contains(a, "METHOD") || strings.Contains(a, "SUMMARY:two") {
		t.Errorf("a is %q", a)
	}
}

func TestContactsAreItemsToo(t *testing.T) {
	card := func(uid, name string) string {
		return "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:" + uid + "\r\nFN:" + name + "\r\nEND:VCARD\r\n"
	}
	site := newSite(t)
	site.serve(card("a", "Ann") + card("b", "Bob") + card("a", "Another Ann"))
	s := open(t, site)
	if c := look(t, s); c.Kind != engine.AddressBook {
		t.Errorf("%+v", c)
	}
	if all := items(t, s); len(all) != 3 || !strings.Contains(string(all["a"].Text), "FN:Ann") {
		t.Errorf("got %v: two cards of one UID are two items", all)
	}
}

func TestTheSameFileGivesTheSameRefs(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one"), event("", "two")))
	before := items(t, open(t, site))
	site.serve(strings.ReplaceAll(file(event("", "two"), event("a", "one")), "20260101T000000Z", "20261231T235959Z"))
	s := open(t, site)
	after := items(t, s)
	for ref, it := range before {
		if after[ref].Etag != it.Etag {
			t.Errorf("%q was %q, is %q", ref, it.Etag, after[ref].Etag)
		}
	}
	if len(before) != 2 || len(after) != 2 {
		t.Errorf("%d and %d items", len(before), len(after))
	}
}

func TestTheStateMovesWithTheItemsAndNotWithTheHour(t *testing.T) {
	site := newSite(t)
	s := open(t, site)
	state := func(text string) string {
		site.serve(text)
		return look(t, s).State
	}
	first := state(file(event("a", "one")))
	if first == "" || state(strings.ReplaceAll(file(event("a", "one")), "20260101T", "20261231T")) != first {
		t.Error("a new DTSTAMP moved the state")
	}
	if state(file(event("a", "two"))) == first {
		t.Error("a changed item did not move the state")
	}
	if state(strings.Replace(file(event("a", "one")), "Public", "Other", 1)) == first {
		t.Error("another name did not move the state")
	}
}

func TestACalendarAtRestIsAskedForOnceAndNotSentAgain(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one")))
	s := open(t, site)
	items(t, s)
	if n := site.requests.Load(); n != 1 {
		t.Errorf("%d requests for a look, a listing and a fetch", n)
	}
	sent := 0
	inner := site.answer
	site.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == "" {
			sent++
		}
		inner(w, r)
	}
	for range 3 {
		if len(items(t, s)) != 1 {
			t.Error("the items are gone")
		}
	}
	if n := site.requests.Load(); n != 4 || sent != 0 {
		t.Errorf("%d requests, %d of them without validators", n, sent)
	}
	if _, err := s.Look(t.Context(), true); err != nil || sent != 1 {
		t.Errorf("a fresh look sent validators: %v", err)
	}
	// A listing without a look before it asks.
	storage, _ := s.Open(look(t, s))
	for range 2 {
		for range storage.List(t.Context()) {
		}
	}
	if n := site.requests.Load(); n != 7 {
		t.Errorf("%d requests, want 7", n)
	}
}

func TestLastModifiedIsAValidatorToo(t *testing.T) {
	site := newSite(t)
	const then = "Fri, 02 Jan 2026 10:00:00 GMT"
	site.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") == then {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", then)
		fmt.Fprint(w, file(event("a", "one")))
	}
	s := open(t, site)
	items(t, s)
	site.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") != then {
			t.Errorf("asked with %v", r.Header)
		}
		w.WriteHeader(http.StatusNotModified)
	}
	if len(items(t, s)) != 1 {
		t.Error("the items are gone")
	}
}

// Whatever a server sends that is not a whole calendar, nothing looks deleted.
func TestWhatIsNoWholeCalendarIsAnErrorAndNeverAnEmptyOne(t *testing.T) {
	whole := file(event("a", "one"), event("b", "two"))
	send := func(status int, text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); fmt.Fprint(w, text) }
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   engine.Kind
	}{
		"a page to log in":          {send(200, "<!DOCTYPE html><html>BEGIN:VCALENDAR</html>"), engine.ServerNonconforming},
		"nothing":                   {send(200, ""), engine.ServerNonconforming},
		"a word":                    {send(200, "BEGIN:VCALENDAR"), engine.ServerNonconforming},
		"204":                       {send(204, ""), engine.ServerNonconforming},
		"206":                       {send(206, whole), engine.ServerNonconforming},
		"304 that nobody asked for": {send(304, ""), engine.ServerNonconforming},
		"a redirect":                {send(302, ""), engine.ServerNonconforming},
		"401":                       {send(401, ""), engine.AuthFailed},
		"403":                       {send(403, ""), engine.Forbidden},
		"404":                       {send(404, ""), engine.CollectionGone},
		"410":                       {send(410, ""), engine.CollectionGone},
		"500":                       {send(500, whole), engine.ServerError},
		"503":                       {send(503, ""), engine.ServerBusy},
		"cut before the end":        {send(200, strings.TrimSuffix(whole, "END:VCALENDAR\r\n")), engine.ServerNonconforming},
		"cut in an item":            {send(200, whole[:len(whole)-60]), engine.ServerNonconforming},
		"a calendar and a page":     {send(200, whole+"<html>"), engine.ServerNonconforming},
		"the connection breaks":     {breakOff(whole, "Content-Length: 9999\r\n"), engine.ConnectionLost},
		"it breaks between chunks":  {breakOff("5\r\nBEGIN\r\n", "Transfer-Encoding: chunked\r\n"), engine.ConnectionLost},
		"too large":                 {send(200, whole[:len(whole)-15]+strings.Repeat("x", largest)), engine.TooLarge},
		"too many lines":            {send(200, whole[:len(whole)-15]+strings.Repeat("\n", mostLines)+"END:VCALENDAR\r\n"), engine.TooLarge},
	} {
		site := newSite(t)
		site.serve(whole)
		s := open(t, site)
		storage, err := s.Open(look(t, s))
		if err != nil {
			t.Fatal(err)
		}
		site.answer = c.answer
		_, err = s.Look(t.Context(), true)
		if !engine.IsKind(err, c.want) {
			t.Errorf("%s: look gives %v, want kind %v", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "html")) {
			t.Errorf("%s: the error tells too much: %v", name, err)
		}
		s.new = false
		n, failed := 0, false
		for _, err := range storage.List(t.Context()) {
			if n++; err != nil {
				failed = true
			}
		}
		if !failed && name != "304 that nobody asked for" {
			t.Errorf("%s: the listing of %d items looks complete", name, n)
		}
		site.serve(whole)
		if len(items(t, s)) != 2 {
			t.Errorf("%s: afterwards the items are not there", name)
		}
	}
}

// breakOff sends headers and a body, and then nothing more.
func breakOff(text, header string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n%s", header, text)
		conn.Close()
	}
}

func TestALargeCalendarIsTakenUpToTheLimits(t *testing.T) {
	lines := file(event("a", "one"))
	lines = lines[:len(lines)-15] + strings.Repeat("\n", mostLines-strings.Count(lines, "\n")) + "END:VCALENDAR\r\n"
	long := file(event("a", ""))
	long = file(event("a", strings.Repeat("x", largest-len(long))))
	for _, text := range []string{lines, long} {
		site := newSite(t)
		site.answer = func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }
		if n := len(items(t, open(t, site))); n != 1 {
			t.Errorf("%d items", n)
		}
	}
}

func TestAnEmptyCalendarIsEmpty(t *testing.T) {
	site := newSite(t)
	site.serve(file())
	if n := len(items(t, open(t, site))); n != 0 {
		t.Errorf("%d items", n)
	}
}

func TestTheCharsetIsThatOfTheTextAndNotOfTheHeader(t *testing.T) {
	want := "Frühstück – 5 €"
	for name, c := range map[string]struct{ charset, text string }{
		"as said":             {"utf-8", want},
		"UTF-8, said Latin-1": {"iso-8859-1", want},
		"said nothing":        {"", want},
		"Latin-1 as it is":    {"iso-8859-1", "Fr\xfchst\xfcck \x96 5 \x80"},
		"windows-1252":        {"windows-1252", "Fr\xfchst\xfcck \x96 5 \x80"},
	} {
		site := newSite(t)
		site.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/calendar; charset="+c.charset)
			fmt.Fprint(w, file(event("a", c.text)))
		}
		if got := string(items(t, open(t, site))["a"].Text); !strings.Contains(got, "SUMMARY:"+want+"\r\n") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for name, text := range map[string]string{
		"a mark": "\xef\xbb\xbf" + file(event("a", "one")), "bare line feeds": strings.ReplaceAll(file(event("a", "one")), "\r", ""),
		"UTF-16": "\xff\xfe" + strings.Join(strings.Split(file(event("a", "one")), ""), "\x00") + "\x00",
	} {
		site := newSite(t)
		site.serve(text)
		if got := string(items(t, open(t, site))["a"].Text); !strings.HasPrefix(got, "BEGIN:VCALENDAR\r\n") || !strings.Contains(got, "SUMMARY:one\r\n") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestItIsReadOnlyAndCannotBeMadeOtherwise(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one")))
	s := open(t, site)
	storage, _ := s.Open(look(t, s))
	n := 0
	for i, out := range storage.Apply(t.Context(), []engine.Write{{Verb: engine.Create}, {Verb: engine.Delete, Old: engine.Head{Ref: "a"}}}) {
		if n++; i < 0 || !engine.IsKind(out.Err, engine.ReadOnly) {
			t.Errorf("write %d: %v", i, out.Err)
		}
	}
	if _, err := s.Make(t.Context(), engine.Collection{Name: "x"}); n != 2 || !engine.IsKind(err, engine.NotSupported) {
		t.Errorf("%d outcomes, make: %v", n, err)
	}
}

func TestUnderACancelledContextNothingLooksComplete(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one")))
	s := open(t, site)
	storage, _ := s.Open(look(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Look(ctx, false)
	errs := []error{err, nil, nil}
	for _, errs[1] = range storage.List(ctx) {
	}
	for _, errs[2] = range storage.Fetch(ctx, []engine.Ref{"a"}) {
	}
	for i, err := range errs {
		if !engine.IsKind(err, engine.Cancelled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestAnotherAddressIsAnotherCalendar(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one")))
	c := look(t, open(t, site))
	for _, opt := range []Options{{URL: site.URL + "/other.ics"}, {URL: site.URL + "/holidays.ics?key=other"}, {URL: site.URL + "/holidays.ics?key=secret", User: "ann"}} {
		s, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(c); !engine.IsKind(err, engine.CollectionGone) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

func TestTheAddressIsAnAddress(t *testing.T) {
	for address, scheme := range map[string]string{
		"https://h/x": "https", "http://h/x": "http", "webcal://h/x": "https", "webcals://h/x": "https",
		"": "", "h/x": "", "ftp://h/x": "", "file:///etc/passwd": "", "https://u:p@h/x": "", "https://": "",
	} {
		s, err := New(Options{URL: address})
		if (err == nil) != (scheme != "") || err == nil && s.url.Scheme != scheme {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && !engine.IsKind(err, engine.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestCheckTellsItsSteps(t *testing.T) {
	site := newSite(t)
	site.serve(file(event("a", "one")))
	s := open(t, site)
	var steps []engine.Step
	if err := s.Check(t.Context(), func(st engine.Step) { steps = append(steps, st) }); err != nil || len(steps) != 1 || steps[0].Detail != "1 items" {
		t.Errorf("%v, %v", steps, err)
	}
	site.answer = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }
	if err := s.Check(t.Context(), func(st engine.Step) { steps = append(steps, st) }); err == nil || steps[1].Err == nil {
		t.Errorf("%v, %v", steps, err)
	}
}
