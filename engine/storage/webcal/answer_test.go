package webcal

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

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

func TestScenario89TheCharsetIsThatOfTheTextAndNotOfTheHeader(t *testing.T) {
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
