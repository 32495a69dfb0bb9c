package webcal

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/storagetest"
)

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

func TestScenario89TheSameFileGivesTheSameRefs(t *testing.T) {
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

func TestScenario89ItIsReadOnlyAndCannotBeMadeOtherwise(t *testing.T) {
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
