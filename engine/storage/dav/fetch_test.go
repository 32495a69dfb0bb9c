package dav_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

func TestFetchAnswersForEveryRefWhateverTheServerDoes(t *testing.T) {
	for name, c := range map[string]struct {
		fault davtest.Fault
		most  int // requests, for 100 of 100 items; 0 for any
	}{
		"a server that does as asked":  {nil, 1},
		"no query":                     {davtest.NoReport("calendar-query", 501), 4},
		"a query refused":              {davtest.NoReport("calendar-query", 403), 6},
		"queries that fail":            {davtest.NoReport("calendar-query", 500), 12},
		"queries that miss some":       {davtest.SilentCap("calendar-query", 30), 6},
		"no reports at all":            {all(davtest.NoReport("calendar-query", 501), davtest.NoReport("multiget", 501)), 0},
		"multigets refused":            {all(davtest.NoReport("calendar-query", 403), davtest.NoReport("multiget", 403)), 0},
		"multigets that fail":          {all(davtest.NoReport("calendar-query", 500), davtest.NoReport("multiget", 500)), 0},
		"too many are refused":         {all(davtest.NoReport("calendar-query", 501), davtest.RefuseMany(10)), 30},
		"a silent limit":               {all(davtest.NoReport("calendar-query", 501), davtest.SilentCap("multiget", 20)), 0},
		"texts left out":               {all(davtest.NoReport("calendar-query", 501), reports("multiget", dropTexts)), 0},
		"empty hrefs":                  {all(davtest.NoReport("calendar-query", 501), reports("multiget", func(b []byte) []byte { return hrefElement.ReplaceAll(b, []byte("<d:href></d:href>")) })), 0},
		"Latin-1 declared":             {reports("", func(b []byte) []byte { return bytes.Replace(b, []byte("utf-8"), []byte("ISO-8859-1"), 1) }), 0},
		"line ends that XML took":      {reports("", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("&#13;"), nil) }), 1},
		"every second one twice":       {davtest.Doubled(), 1},
		"etags left out":               {davtest.Etags(davtest.NoEtags), 1},
		"a chunked request is no list": {davtest.RefuseChunked(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 100, davtest.Options{})
			heads, err := list(t, st)
			if err != nil {
				t.Fatal(err)
			}
			m.Remove("e0050.ics")
			m.Put("e0051.ics", event("e0051", "caf\xe9 \x0b"))
			m.Put("e0052.ics", event("e0052", "café"))
			var refs []engine.Ref
			for ref := range heads {
				refs = append(refs, ref)
			}
			s.ResetLog()
			if c.fault != nil {
				s.Always("", c.fault)
			}
			texts, bad, err := fetch(t, st, refs...)
			if err != nil || len(bad) > 0 || len(texts) != 99 {
				t.Fatalf("fetched %d, bad %v, %v", len(texts), bad, err)
			}
			for ref, want := range m.Texts() {
				if texts[ref] != want {
					t.Errorf("%s: got %q, want %q", ref, texts[ref], want)
				}
			}
			// The one that is not valid in XML is fetched by itself, and the one that is gone.
			if c.most > 0 && s.Count() > c.most+2 {
				t.Errorf("%d requests, want at most %d: %s", s.Count(), c.most+2, methods(s))
			}
			if chunked := slices.ContainsFunc(s.Log(), func(r davtest.Request) bool { return r.Chunked }); chunked {
				t.Error("a request was chunked")
			}
		})
	}
}

func TestALimitOfTheServerIsLearnedOnce(t *testing.T) {
	s, _, st, _ := filled(t, 100, davtest.Options{})
	s.Always("", all(davtest.NoReport("calendar-query", 501), davtest.RefuseMany(10)))
	heads, err := list(t, st)
	if err != nil {
		t.Fatal(err)
	}
	refs := slices.Collect(maps.Keys(heads))
	for round := range 3 {
		s.ResetLog()
		if texts, bad, err := fetch(t, st, refs...); err != nil || len(bad) > 0 || len(texts) != 100 {
			t.Fatalf("fetched %d, bad %v, %v", len(texts), bad, err)
		}
		refused := slices.ContainsFunc(s.Log(), func(r davtest.Request) bool { return r.Status == 403 })
		if round > 0 && (refused || s.Count() > 20) {
			t.Errorf("round %d took %s", round, methods(s))
		}
	}
}

func TestOneBadItemIsItsOwnProblem(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"403":        davtest.Status(403),
		"500":        davtest.Status(500),
		"a web page": davtest.HTML200(),
		"nothing":    davtest.Answer(200, "text/calendar", ""),
		"too soon":   davtest.Answer(200, "text/calendar", "  \r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s, _, st, _ := filled(t, 10, davtest.Options{})
			s.Always("REPORT", davtest.Edit(func(b []byte) []byte { // no text of it comes in a report
				return bytes.Replace(b, []byte("UID:e0003"), []byte("UID:e0003\uFFFD"), 1)
			}))
			s.When(-1, func(r davtest.Request) bool { return strings.HasSuffix(r.Path, "/e0003.ics") }, fault)
			var refs []engine.Ref
			for i := range 10 {
				refs = append(refs, engine.Ref(fmt.Sprintf("e%04d.ics", i)))
			}
			texts, bad, err := fetch(t, st, refs...)
			if err != nil || len(texts) != 9 || len(bad) != 1 || bad["e0003.ics"] == nil {
				t.Errorf("fetched %d, bad %v, %v", len(texts), bad, err)
			}
		})
	}
}

func TestABrokenServerEndsAFetchSoon(t *testing.T) {
	// Of 1,000 items none is asked for once a first answer says that it is no use;
	// a refused login is two requests, without it and with it.
	for _, c := range []struct {
		name  string
		fault davtest.Fault
		kind  engine.Kind
		want  int
		most  int
	}{
		{"500 to everything", davtest.Status(500), engine.ServerError, 1000, 70},
		{"cut to everything", davtest.Reset(), engine.ConnectionLost, 1000, 30},
		{"401 to a query", davtest.Status(401), engine.AuthFailed, 1000, 2},
		{"401 to batches", davtest.Status(401), engine.AuthFailed, 400, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, st, _ := filled(t, 1000, davtest.Options{})
			heads, err := list(t, st)
			if err != nil {
				t.Fatal(err)
			}
			refs := slices.Collect(maps.Keys(heads))
			s.ResetLog()
			s.Always("", c.fault)
			texts, _, err := fetch(t, st, refs[:c.want]...)
			wantKind(t, err, c.kind)
			if len(texts) != 0 || s.Count() > c.most {
				t.Errorf("%d texts, %d requests", len(texts), s.Count())
			}
		})
	}
}

// all puts faults around each other.
func all(faults ...davtest.Fault) davtest.Fault {
	return func(next http.Handler) http.Handler {
		for _, f := range faults {
			next = f(next)
		}
		return next
	}
}

var (
	hrefElement = regexp.MustCompile(`<d:href>[^<]*</d:href>`)
	textElement = regexp.MustCompile(`(?s)<c:calendar-data>.*?</c:calendar-data>`)
)

func dropTexts(b []byte) []byte { return textElement.ReplaceAll(b, nil) }

// reports edits the answers to reports whose body contains a word.
func reports(word string, with func([]byte) []byte) davtest.Fault {
	return requests(func(r *http.Request, body []byte) bool {
		return r.Method == "REPORT" && bytes.Contains(body, []byte(word))
	}, davtest.Edit(with))
}

// requests lets a fault happen to those that match.
func requests(match func(r *http.Request, body []byte) bool, fault davtest.Fault) davtest.Fault {
	return func(next http.Handler) http.Handler {
		faulty := fault(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if match(r, body) {
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
