package davserver_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

// A reply is a multistatus as an independent reader sees it.
type reply struct {
	Responses []struct {
		Href   string `xml:"DAV: href"`
		Status string `xml:"DAV: status"`
		Error  struct {
			Inner string `xml:",innerxml"`
		} `xml:"DAV: error"`
		Propstat []struct {
			Status string `xml:"DAV: status"`
			Prop   struct {
				Props []struct {
					XMLName xml.Name
					Text    string `xml:",chardata"`
					Inner   string `xml:",innerxml"`
				} `xml:",any"`
			} `xml:"DAV: prop"`
		} `xml:"DAV: propstat"`
	} `xml:"DAV: response"`
	Token string `xml:"DAV: sync-token"`
}

func parse(t testing.TB, body string) reply {
	t.Helper()
	var r reply
	if err := xml.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("the answer is no XML: %v\n%s", err, body)
	}
	return r
}

// props gives "HREF {NAMESPACE}NAME" to the text of each property that is there.
func (r reply) props() map[string]string {
	m := map[string]string{}
	for _, resp := range r.Responses {
		for _, ps := range resp.Propstat {
			for _, p := range ps.Prop.Props {
				if strings.Contains(ps.Status, " 200 ") {
					m[resp.Href+" "+p.XMLName.Local] = p.Text
				} else {
					m[resp.Href+" "+p.XMLName.Local] = "! " + strings.Fields(ps.Status)[1]
				}
			}
		}
	}
	return m
}

func (r reply) hrefs() (list []string) {
	for _, resp := range r.Responses {
		h := resp.Href
		if resp.Status != "" {
			h += " " + strings.Fields(resp.Status)[1]
		}
		list = append(list, h)
	}
	return list
}

func ask(props ...string) string {
	return `<propfind xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav" xmlns:cs="http://calendarserver.org/ns/" xmlns:i="http://apple.com/ns/ical/"><prop><` +
		strings.Join(props, "/><") + `/></prop></propfind>`
}

func TestTheTreeCanBeWalkedFromTheRoot(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.Calendar("a b/c", "VEVENT")
	srv.AddressBook("friends")
	p := newPeer(t, srv)
	for path, want := range map[string]string{
		"/":                      "/ /user/",
		"/user/":                 "/user/ /user/calendars/ /user/contacts/",
		"/user/calendars":        "/user/calendars/ /user/calendars/a%20b%2Fc/",
		"/user/contacts/":        "/user/contacts/ /user/contacts/friends/",
		"/user/contacts/friends": "/user/contacts/friends/",
	} {
		got := parse(t, p.want(207, "PROPFIND", path, "", "Depth", "1").body)
		if strings.Join(got.hrefs(), " ") != want {
			t.Errorf("%s holds %v, want %s", path, got.hrefs(), want)
		}
	}
	p.want(404, "PROPFIND", "/user/elsewhere/", "", "Depth", "0")
	p.want(404, "PROPFIND", "/user/calendars/none/", "", "Depth", "0")
	p.want(404, "PROPFIND", "/user/calendars/a%20b%2Fc/none.ics", "", "Depth", "0")
	p.want(403, "PROPFIND", "/", "", "Depth", "infinity")
	p.want(400, "PROPFIND", "/", "<prop", "Depth", "0")
	p.want(400, "PROPFIND", "/", `<x xmlns="DAV:"/>`, "Depth", "0")
}

func TestNamedPropertiesAreTheirsOrMissing(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.Source.Add(engine.Collection{Name: "home", Kind: engine.Calendar, Components: []string{"VTODO"}, Writable: true, Meta: engine.Meta{
		engine.MetaName: "Tom & Ann\r\n\x01", engine.MetaColor: "#00FF00", engine.MetaOrder: "3"}})
	srv.Source.Storage("home").Put("t.ics", []byte(task("u", "t")))
	p := newPeer(t, srv)
	body := ask("displayname", "resourcetype", "getetag", "sync-token", "cs:getctag", "c:calendar-description", "i:calendar-color", "i:calendar-order",
		"c:supported-calendar-component-set", "c:max-resource-size", "getcontenttype", "getcontentlength", "x xmlns='urn:x'")
	got := parse(t, p.want(207, "PROPFIND", home, body, "Depth", "1").body).props()
	for name, want := range map[string]string{
		"displayname": "Tom & Ann\r\n\uFFFD", "calendar-color": "#00FF00", "calendar-order": "3", "calendar-description": "! 404",
		"max-resource-size": "10485760", "getetag": "! 404", "x": "! 404", "getcontentlength": "! 404",
	} {
		if got[home+" "+name] != want {
			t.Errorf("%s of the collection is %q, want %q", name, got[home+" "+name], want)
		}
	}
	for name, want := range map[string]string{
		"getetag": `"1"`, "getcontenttype": "text/calendar; charset=utf-8", "getcontentlength": fmt.Sprint(len(task("u", "t"))),
		"displayname": "! 404", "sync-token": "! 404", "resourcetype": "",
	} {
		if got[home+"t.ics "+name] != want {
			t.Errorf("%s of the item is %q, want %q", name, got[home+"t.ics "+name], want)
		}
	}
	if token := got[home+" sync-token"]; token == "" || token != got[home+" getctag"] {
		t.Errorf("the token is %q, the ctag %q", token, got[home+" getctag"])
	}
	if b := p.do("PROPFIND", home, body, "Depth", "0").body; !strings.Contains(b, `<c:comp name="VTODO"/></c:supported`) || !strings.Contains(b, "<d:collection/><c:calendar/>") {
		t.Errorf("components or type are missing in\n%s", b)
	}
	minimal := p.want(207, "PROPFIND", home, body, "Depth", "0", "Prefer", "return=minimal").body
	if strings.Contains(minimal, "404") || !strings.Contains(minimal, "#00FF00") {
		t.Errorf("a minimal answer is\n%s", minimal)
	}
}

func TestAllpropAndPropnameTellTheSameNames(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	srv.AddressBook("friends").Put("a.vcf", []byte(card("u", "A")))
	p := newPeer(t, srv)
	names := func(body string) (list []string) {
		for name := range parse(t, p.want(207, "PROPFIND", "/user/contacts/friends/", body, "Depth", "1").body).props() {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	all, none, only := names(`<propfind xmlns="DAV:"><allprop/></propfind>`), names(""), names(`<propfind xmlns="DAV:"><propname/></propfind>`)
	if len(all) < 15 || !slices.Equal(all, none) || !slices.Equal(all, only) {
		t.Errorf("allprop tells\n%v\nno body\n%v\npropname\n%v", all, none, only)
	}
	with := names(`<propfind xmlns="DAV:"><allprop/><include><x xmlns="urn:x"/></include></propfind>`)
	if len(with) != len(all)+2 {
		t.Errorf("include adds nothing: %v", with)
	}
}

func TestPrivilegesSayWhatIsRefused(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		srv := davtest.New(t, davtest.Options{ReadOnly: readOnly})
		srv.Calendar("home").ReadOnly = !readOnly
		srv.Calendar("free")
		p := newPeer(t, srv)
		for name, writable := range map[string]bool{"home": false, "free": !readOnly} {
			path := "/user/calendars/" + name + "/"
			told := strings.Contains(p.want(207, "PROPFIND", path, ask("current-user-privilege-set"), "Depth", "0").body, "write-content")
			status := p.do("PUT", path+"a.ics", event("u", "s")).StatusCode
			if told != writable || (status == 201) != writable || !writable && status != 403 {
				t.Errorf("%s (server read-only %v): told writable %v, PUT gave %d", name, readOnly, told, status)
			}
			if status := p.do("PROPPATCH", path, `<propertyupdate xmlns="DAV:"><set><prop><displayname>x</displayname></prop></set></propertyupdate>`).StatusCode; (status == 207) != writable {
				t.Errorf("%s: PROPPATCH gave %d", name, status)
			}
		}
		want := 201
		if readOnly {
			want = 403
		}
		p.want(want, "MKCALENDAR", "/user/calendars/new/", "")
	}
}

func TestXMLNestsAndSpreadsWithinLimitsOnly(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	p := newPeer(t, srv)
	nested := func(n int) string {
		return `<propfind xmlns="DAV:"><prop>` + strings.Repeat("<x>", n-2) + strings.Repeat("</x>", n-2) + `</prop></propfind>`
	}
	p.want(207, "PROPFIND", "/", nested(256), "Depth", "0")
	p.want(400, "PROPFIND", "/", nested(257), "Depth", "0")
	wide := func(n int) string {
		return `<propfind xmlns="DAV:"><allprop/>` + strings.Repeat("<x/>", n-2) + `</propfind>`
	}
	p.want(207, "PROPFIND", "/", wide(1<<18), "Depth", "0")
	p.want(400, "PROPFIND", "/", wide(1<<18+1), "Depth", "0")
}
