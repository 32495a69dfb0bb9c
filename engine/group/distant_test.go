package group_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

// A distant place is a calendar on a server that is not ours; its owner has a
// client of his own.
type distant struct {
	*counting
	t        testing.TB
	identity string
	url      string
	client   http.RoundTripper
	touches  int
}

// distant tells whether a member is on a server that is not ours.
func (w *world) distant(member int) bool {
	_, is := w.places[member].(*distant)
	return is
}

func (d *distant) ask(method, name, body string, headers ...string) (status int, answer []byte) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+name, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := d.client.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// must asks for something that this server does for everybody.
func (d *distant) must(method, name, body string, headers ...string) []byte {
	d.t.Helper()
	status, answer := d.ask(method, name, body, headers...)
	if status/100 != 2 {
		d.t.Fatalf("%s %s: %d %s", method, name, status, answer)
	}
	return answer
}

func name(ref engine.Ref) string {
	if strings.Contains(string(ref), "/") || len(ref) > 200 {
		ref = engine.Ref(fmt.Sprintf("%x", ref[:1]))
	}
	return url.PathEscape(string(ref)) + ".ics"
}

func (d *distant) Put(ref engine.Ref, text []byte) engine.Head {
	d.t.Helper()
	d.must("PUT", name(ref), string(text), "Content-Type", "text/calendar; charset=utf-8")
	return engine.Head{}
}

func (d *distant) Remove(ref engine.Ref) { d.t.Helper(); d.must("DELETE", name(ref), "") }

// Touch stores the same again, written by another program.
func (d *distant) Touch(ref engine.Ref) {
	d.t.Helper()
	d.touches++
	before, rest, _ := strings.Cut(d.Texts()[ref], "PRODID:")
	_, after, _ := strings.Cut(rest, "\n")
	d.Put(ref, fmt.Appendf(nil, "%sPRODID:touched %d\r\n%s", before, d.touches, after))
}

const everything = `<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><C:calendar-data/></prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>`

func (d *distant) Texts() map[engine.Ref]string {
	d.t.Helper()
	var list struct {
		Responses []struct {
			Href string   `xml:"DAV: href"`
			Text []string `xml:"propstat>prop>calendar-data"`
		} `xml:"DAV: response"`
	}
	if err := xml.Unmarshal(d.must("REPORT", "", everything, "Depth", "1", "Content-Type", "application/xml"), &list); err != nil {
		d.t.Fatal(err)
	}
	texts := map[engine.Ref]string{}
	for _, r := range list.Responses {
		href, err := url.PathUnescape(r.Href)
		if err != nil || len(r.Text) != 1 {
			d.t.Fatalf("%+v: %v", r, err)
		}
		texts[engine.Ref(strings.TrimSuffix(path.Base(href), ".ics"))] = strings.ReplaceAll(strings.ReplaceAll(r.Text[0], "\r\n", "\n"), "\n", "\r\n")
	}
	return texts
}

var metaNames = map[engine.MetaKey]string{
	engine.MetaName: `displayname xmlns="DAV:"`, engine.MetaColor: `calendar-color xmlns="http://apple.com/ns/ical/"`,
}

func (d *distant) EditMeta(key engine.MetaKey, value string, set bool) {
	d.t.Helper()
	element := metaNames[key]
	tag, _, _ := strings.Cut(element, " ")
	if !set {
		value = "" // Xandikos breaks over a removal, and takes this for one
	}
	d.must("PROPPATCH", "", fmt.Sprintf(`<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><%s>%s</%s></D:prop></D:set></D:propertyupdate>`, element, value, tag), "Content-Type", "application/xml")
}
