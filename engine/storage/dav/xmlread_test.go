package dav

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(doc string, lim limits) (got []*response, token string, err error) {
	token, err = readMultistatus(strings.NewReader(doc), lim, func(r *response) error {
		got = append(got, r)
		return nil
	})
	return got, token, err
}

func ms(inner string) string { return `<D:multistatus xmlns:D="DAV:">` + inner + `</D:multistatus>` }

func TestPropertiesGivenAndRefusedStandSideBySide(t *testing.T) {
	got, token, err := readAll(ms(`<D:response><D:href> /a%20b </D:href>
		<D:propstat><D:prop><D:getetag>"1"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
		<D:propstat><D:prop><D:displayname/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
		<D:propstat><D:prop><X:color xmlns:X="urn:x">red</X:color></D:prop></D:propstat></D:response>
		<D:response><D:href>/c</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
		<D:sync-token> t </D:sync-token>`), defaultLimits)
	if err != nil || len(got) != 2 || token != "t" {
		t.Fatal(got, token, err)
	}
	r := got[0]
	etag, ok := r.value("getetag")
	if r.href != "/a%20b" || etag != `"1"` || !ok || r.failed["displayname"] != 404 || r.prop("displayname") != nil || r.worst() != 404 {
		t.Errorf("%+v", r)
	}
	if c, ok := r.value("color"); c != "red" || !ok {
		t.Error("a property without a status is lost")
	}
	if got[1].status != 404 || got[1].worst() != 404 {
		t.Errorf("%+v", got[1])
	}
}

func TestNothingIsConcludedFromAHostileDocument(t *testing.T) {
	small := limits{bytes: 1 << 16, depth: 10, nodes: 20, attrs: 4}
	for name, doc := range map[string]string{
		"nothing":             "",
		"white space":         " \n ",
		"text":                "Hello world",
		"html":                "<!DOCTYPE html><html><body><p>x</body></html>",
		"another root":        `<error xmlns="DAV:"/>`,
		"cut in a tag":        `<multistatus><response><href>/a</hr`,
		"cut between tags":    `<multistatus><response><href>/a</href></response>`,
		"cut in a declared":   `<?xml version="1.0"`,
		"crossed tags":        `<multistatus><response><href></response></href></multistatus>`,
		"two roots":           `<multistatus/><multistatus/>`,
		"text behind":         `<multistatus/>x`,
		"an entity":           `<!DOCTYPE m [<!ENTITY a "aaaa">]><multistatus><response><href>&a;</href></response></multistatus>`,
		"an external one":     `<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]><multistatus><response><href>&a;</href></response></multistatus>`,
		"a declaration later": `<multistatus><!ELEMENT x><response></multistatus>`,
		"deep":                "<multistatus>" + strings.Repeat("<a>", 11) + strings.Repeat("</a>", 11) + "</multistatus>",
		"wide":                "<multistatus><response>" + strings.Repeat("<a/>", 21) + "</response></multistatus>",
		"many attributes":     `<multistatus><response a="" b="" c="" d="" e=""/></multistatus>`,
		"a strange charset":   `<?xml version="1.0" encoding="utf-16"?><multistatus/>`,
		"NUL":                 "\x00\x00\x00",
	} {
		got, token, err := readAll(doc, small)
		if !errors.As(err, new(*malformed)) {
			t.Errorf("%s: %v, %q, %v", name, got, token, err)
		}
	}
	if _, _, err := readAll(ms(strings.Repeat(" ", 1<<16)), small); !errors.As(err, new(*tooLarge)) {
		t.Errorf("a large document: %v", err)
	}
}

func TestTheLimitsOfADocumentAreExact(t *testing.T) {
	doc := ms("<D:response>" + strings.Repeat("<a/>", 19) + "</D:response>")
	lim := limits{bytes: int64(len(doc)), depth: 3, nodes: 20, attrs: 4}
	if _, _, err := readAll(doc, lim); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	for _, tight := range []limits{{lim.bytes - 1, 3, 20, 4}, {lim.bytes, 2, 20, 4}, {lim.bytes, 3, 19, 4}} {
		if _, _, err := readAll(doc, tight); err == nil {
			t.Errorf("%+v was not a limit", tight)
		}
	}
}

func TestAnErrorOfTheConnectionStaysOne(t *testing.T) {
	doc := ms(`<D:response><D:href>/a</D:href></D:response>`)
	for n := range len(doc) {
		r := io.MultiReader(strings.NewReader(doc[:n]), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := readMultistatus(r, defaultLimits, func(*response) error { return nil }); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestBytesThatXMLForbidsAreMarkedAndHurtNobodyElse(t *testing.T) {
	for name, bad := range map[string]string{
		"control": "\x0b", "NUL": "\x00", "escape": "\x1b", "a reference": "&#11;", "in hex": "&#x0B;", "a surrogate": "&#xD800;",
		"Latin-1": "caf\xe9", "cut UTF-8": "\xe4\xb8", "U+FFFE": "\uFFFE", "surrogates in UTF-8": "\xed\xa0\x80",
	} {
		got, _, err := readAll(ms(`<D:response><D:href>/a</D:href><D:propstat><D:prop><x>one `+bad+` two</x></D:prop></D:propstat></D:response><D:response><D:href>/b</D:href></D:response>`), defaultLimits)
		if err != nil || len(got) != 2 {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		if v, _ := got[0].value("x"); !strings.Contains(v, replaced) || !strings.HasPrefix(v, "one ") || !strings.HasSuffix(v, " two") {
			t.Errorf("%s: %q", name, v)
		}
	}
	for _, good := range []string{"&#228;", "&#xE4;", "&#13;", "&lt;", "a & b"[:1], "ä中🔥", "\t\n"} {
		got, _, err := readAll(ms(`<D:response><D:href>`+"x"+good+`</D:href></D:response>`), defaultLimits)
		if err != nil || strings.Contains(got[0].href, replaced) {
			t.Errorf("%q: %v, %v", good, got, err)
		}
	}
}

// The cleaner works in pieces; where they are cut must not matter.
func TestWhereADocumentIsCutInPiecesDoesNotMatter(t *testing.T) {
	doc := "\xef\xbb\xbf \n<?xml version='1.0' encoding='UTF-8'?>" + ms(`<D:response><D:href>/ä中🔥&#228;&#11;`+"\x0b\xe9"+strings.Repeat("x", 70)+`&amp;</D:href></D:response>`)
	want := ""
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(doc), "bytes": iotest.OneByteReader(strings.NewReader(doc)),
		"halves": iotest.HalfReader(strings.NewReader(doc)), "EOF with data": iotest.DataErrReader(strings.NewReader(doc)),
	} {
		var href string
		if _, err := readMultistatus(r, defaultLimits, func(r *response) error { href = r.href; return nil }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want == "" {
			want = "/ä中🔥ä" + strings.Repeat(replaced, 3) + strings.Repeat("x", 70) + "&"
		}
		if href != want {
			t.Errorf("%s: %q, want %q", name, href, want)
		}
	}
}

func TestItemTextsAreNotTakenFromAForeignCharset(t *testing.T) {
	doc := "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + ms("<D:response><D:href>/caf\xe9</D:href></D:response>")
	got, _, err := readAll(doc, defaultLimits)
	if err != nil || len(got) != 1 || got[0].href != "/café" || !got[0].foreign {
		t.Errorf("%+v, %v", got, err)
	}
	if got, _, _ := readAll(strings.Replace(doc, "ISO-8859-1", "UTF-8", 1), defaultLimits); got[0].foreign {
		t.Error("UTF-8 is not foreign")
	}
}

func TestStatusLinesAndEtagsAreReadKindly(t *testing.T) {
	for line, want := range map[string]int{
		"HTTP/1.1 200 OK": 200, "HTTP/2 404": 404, "200": 200, " HTTP/1.1 507 Insufficient Storage\n": 507, "": 0, "OK": 0, "HTTP/1.1 99 x": 0, "HTTP/1.1 600": 0, "HTTP/1.1 2000": 0,
	} {
		if got := statusOf(line); got != want {
			t.Errorf("%q is %d, want %d", line, got, want)
		}
	}
	for etag, want := range map[string]string{
		`"a"`: `"a"`, `a`: `"a"`, ` "a" `: `"a"`, `W/"a"`: `"a"`, `w/"a"`: `"a"`, `"a-gzip"`: `"a"`, `"a;gzip"`: `"a"`, "": "", `""`: "", `W/""`: "", "\"a\nb\"": `"ab"`, `"a b"`: `"ab"`, `"W/a"`: `"W/a"`,
	} {
		if got := string(cleanEtag(etag)); got != want {
			t.Errorf("%q is %q, want %q", etag, got, want)
		}
	}
}

func FuzzMultistatus(f *testing.F) {
	for _, s := range []string{ms(""), ms("<D:response><D:href>/a</D:href><D:status>HTTP/1.1 404</D:status></D:response>"), "<!DOCTYPE html>", "\xef\xbb\xbf<?xml encoding='latin1'?><a/>", ms("&#11;\x00\xff")} {
		f.Add(s)
	}
	lim := limits{bytes: 1 << 16, depth: 16, nodes: 64, attrs: 8}
	f.Fuzz(func(t *testing.T, doc string) {
		got, token, err := readAll(doc, lim)
		again, token2, err2 := []*response(nil), "", error(nil)
		token2, err2 = readMultistatus(iotest.OneByteReader(strings.NewReader(doc)), lim, func(r *response) error {
			again = append(again, r)
			return nil
		})
		if (err == nil) != (err2 == nil) || token != token2 && err == nil || err == nil && len(got) != len(again) {
			t.Errorf("whole: %d %q %v; in bytes: %d %q %v", len(got), token, err, len(again), token2, err2)
		}
		if err == nil && !strings.Contains(doc, "multistatus") {
			t.Errorf("%q was taken for a multistatus", doc)
		}
	})
}

func FuzzHref(f *testing.F) {
	for _, s := range []string{"/c/a.ics", "http://h/c/%2e%2e/x", "a%2Fb", "/c/%", "//evil/c/x", "/c/a?b#c", "/c/%00"} {
		f.Add(s)
	}
	base := mustURL("https://h/c/")
	f.Fuzz(func(t *testing.T, href string) {
		u, err := resolve(base, href)
		if err != nil {
			return
		}
		if u.Host != "h" || u.Scheme != "https" {
			t.Fatalf("%q leads to %s", href, u)
		}
		ref, spelled := refOf(base, u)
		if ref == "" {
			return
		}
		for _, sp := range []string{spelled, spell(ref)} {
			m := member(base, sp)
			back, _ := refOf(base, m)
			if back != ref || !strings.HasPrefix(m.EscapedPath(), "/c/") || strings.Contains(m.EscapedPath()[3:], "/") {
				t.Errorf("%q is %q, spelled %q, and becomes %q at %s", href, ref, sp, back, m.EscapedPath())
			}
		}
	})
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
