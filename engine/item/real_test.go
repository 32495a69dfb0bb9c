//go:build real

package item_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
	"davbus.org/davbus/service/lab"
)

// A dav is a collection at a real server, spoken to without any of our own DAV.
type dav struct {
	t      *testing.T
	server *lab.Server
	url    string
}

func newDav(t *testing.T, s *lab.Server, kind string) *dav {
	d := &dav{t, s, s.URL + s.Calendar + "sums/"}
	method, body := "MKCALENDAR", ""
	if kind == engine.AddressBook {
		d.url = s.URL + s.Contacts + "sums-of-cards/"
		method, body = "MKCOL", `<?xml version="1.0"?><mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype>`+
			`<collection/><C:addressbook/></resourcetype></prop></set></mkcol>`
	}
	if status, text := d.do(method, "", []byte(body)); status != http.StatusCreated {
		t.Fatalf("%s: %s gives %d %s", s.Name, method, status, text)
	}
	return d
}

func (d *dav) do(method, name string, body []byte) (int, []byte) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+name, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.SetBasicAuth(lab.Alice, lab.AlicePassword)
	switch {
	case strings.HasSuffix(name, ".ics"):
		req.Header.Set("Content-Type", "text/calendar; charset=utf-8")
	case strings.HasSuffix(name, ".vcf"):
		req.Header.Set("Content-Type", "text/vcard; charset=utf-8")
	case len(body) > 0:
		req.Header.Set("Content-Type", "application/xml")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, text
}

// through stores a text and reads it back; nil if the server refused it.
func (d *dav) through(name string, text []byte) []byte {
	status, _ := d.do("PUT", name, text)
	if status != http.StatusCreated && status != http.StatusNoContent {
		return nil
	}
	status, back := d.do("GET", name, nil)
	if status != http.StatusOK {
		d.t.Errorf("%s: GET %s after PUT gives %d", d.server.Name, name, status)
	}
	d.do("DELETE", name, nil)
	return item.CRLF(back)
}

// changed are the items of our corpus that a server gives back saying something
// else, and what it did to them. What it gave back becomes its mark, so this is
// nobody's edit; but each of them costs a look at the texts.
var changed = map[string]map[string]string{
	"radicale": {
		"card-4.vcf":                    "escapes the semicolon of GENDER",
		"card-groups.vcf":               "escapes the semicolon of an URL",
		"card-key.vcf":                  "escapes the semicolon of GEO",
		"card-many-types.vcf":           "drops a type without TYPE=",
		"card-names.vcf":                "cuts NICKNAME at its comma",
		"card-no-version.vcf":           "adds VERSION",
		"card-org.vcf":                  "drops an empty part at the end",
		"card-photo-data.vcf":           "cuts a picture at its comma",
		"card-photo-uri.vcf":            "cuts an address at its comma",
		"card-tabs-and-empties.vcf":     "drops an empty parameter",
		"event-bad-utf8.ics":            "takes it for Latin-1",
		"event-empty-values.ics":        "drops an empty parameter",
		"event-escapes.ics":             "cuts text at a bare comma, and takes back odd escapes",
		"event-folded-in-character.ics": "takes it for Latin-1",
		"event-latin1.ics":              "takes it for Latin-1",
		"event-new-properties.ics":      "cuts what it does not know at its comma",
		"event-no-version.ics":          "adds VERSION",
		"event-uid-bare-comma.ics":      "cuts a UID at its comma",
		"event-uid-parameter.ics":       "cuts text at a bare comma",
		"event-zone-quoted.ics":         "cuts X-LIC-LOCATION at its comma",
		"event-zone-twice.ics":          "cuts text at a bare comma",
		"made-cr-only.ics":              "takes CR for a line end",
	},
	"xandikos": {
		"broken-half-line.ics":          "mends it",
		"broken-wrong-end.ics":          "mends it",
		"calendar-1.0.ics":              "drops a rule of version 1.0",
		"event-bad-utf8.ics":            "drops what is not UTF-8",
		"event-categories.ics":          "takes the escape off a comma in a list",
		"event-escapes.ics":             "escapes what is not, and takes back odd escapes",
		"event-exdate-lists.ics":        "writes None for an empty EXDATE",
		"event-folded-in-character.ics": "drops what is not UTF-8",
		"event-latin1.ics":              "drops what is not UTF-8",
		"event-meeting.ics":             "escapes the semicolon of REQUEST-STATUS",
		"event-new-properties.ics":      "escapes the comma of an address",
		"event-no-sense-inside.ics":     "drops a line that makes no sense",
		"event-uid-backslash.ics":       "takes the escape off a backslash in a UID",
		"event-uid-bare-comma.ics":      "escapes a bare comma",
		"event-uid-parameter.ics":       "escapes a bare comma",
		"event-unclosed-quote.ics":      "drops a line whose quote has no end",
		"event-zone-twice.ics":          "escapes a bare comma",
	},
}

func TestSumOutlivesRealServers(t *testing.T) {
	const seed, each = 16, 60
	for _, start := range []func(lab.T) *lab.Server{lab.Radicale, lab.Xandikos} {
		server := start(t)
		rewritten, refusals := 0, 0
		for _, kind := range []string{engine.Calendar, engine.AddressBook} {
			d := newDav(t, server, kind)
			ending := map[string]string{engine.Calendar: ".ics", engine.AddressBook: ".vcf"}[kind]
			for n, it := range itemtest.Gen(seed, each, kind) {
				back := d.through(fmt.Sprintf("item%d%s", n, ending), it.Text)
				if back == nil || item.Sum(back) != item.Sum(it.Text) {
					t.Fatalf("%s, seed %d, %s %d:\n%s\ncame back as\n%s", server.Name, seed, kind, n, it.Text, back)
				}
				if !bytes.Equal(back, it.Text) {
					rewritten++
				}
			}
			for _, c := range itemtest.Corpus() {
				if !strings.HasSuffix(c.Name, ending) || len(c.Text) > 1<<18 {
					continue
				}
				back := d.through(c.Name, c.Text)
				why, known := changed[server.Name][c.Name]
				switch {
				case back == nil:
					refusals++
				case item.Same(back, c.Text) == known:
					t.Errorf("%s gave back %s, which is said to be changed: %q\n%s\nas\n%s\nby %s", server.Name, c.Name, why, c.Text, back, difference(c.Text, back))
				}
			}
		}
		t.Logf("%s wrote %d of %d generated items anew; all kept their sums. It refused %d items of the corpus and changed %d",
			server.Name, rewritten, 2*each, refusals, len(changed[server.Name]))
		if server.Name == "radicale" && rewritten < each {
			t.Errorf("a server that rewrites wrote only %d items anew: this proves nothing", rewritten)
		}
	}
}

// difference tells the lines that only one of two texts has.
func difference(a, b []byte) string {
	x, y := strings.Split(string(a), "\r\n"), strings.Split(string(b), "\r\n")
	var out []string
	for _, l := range x {
		if !slices.Contains(y, l) {
			out = append(out, "-"+l)
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) {
			out = append(out, "+"+l)
		}
	}
	return strings.Join(out, "\n")
}
