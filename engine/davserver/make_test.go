package davserver_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
)

const propsOf = `xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav" xmlns:i="http://apple.com/ns/ical/"`

func TestCalendarsAndAddressBooksAreMade(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	p := newPeer(t, srv)
	p.want(201, "MKCALENDAR", "/user/calendars/work/", `<c:mkcalendar `+propsOf+`><set><prop><displayname>Work &amp; play</displayname><i:calendar-color>#ff0000FF</i:calendar-color><c:supported-calendar-component-set><c:comp name="VTODO"/></c:supported-calendar-component-set></prop></set></c:mkcalendar>`)
	p.want(201, "MKCOL", "/user/contacts/friends", `<mkcol `+propsOf+`><set><prop><resourcetype><collection/><a:addressbook/></resourcetype><displayname>Friends</displayname></prop></set></mkcol>`)
	p.want(201, "MKCOL", "/user/calendars/home/", `<mkcol `+propsOf+`><set><prop><resourcetype><collection/><c:calendar/></resourcetype></prop></set></mkcol>`)
	p.want(201, "MKCALENDAR", "/user/calendars/bare/", "")
	got := parse(t, p.want(207, "PROPFIND", "/user/calendars/work/", ask("displayname", "i:calendar-color"), "Depth", "0").body).props()
	if got["/user/calendars/work/ displayname"] != "Work & play" || got["/user/calendars/work/ calendar-color"] != "#FF0000" {
		t.Errorf("the new calendar has %v", got)
	}
	p.want(403, "PUT", "/user/calendars/work/a.ics", event("u", "an event"))
	p.want(201, "PUT", "/user/calendars/work/a.ics", task("u", "a task"))
	p.want(201, "PUT", "/user/contacts/friends/a.vcf", card("u", "Ada"))
	p.want(201, "PUT", "/user/calendars/bare/a.ics", event("u", "an event"))
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"MKCALENDAR", "/user/calendars/work/", "", 405},
		{"MKCALENDAR", "/user/contacts/new/", "", 403},
		{"MKCALENDAR", "/user/calendars/a/b/", "", 404},
		{"MKCALENDAR", "/user/calendars/a/b", "", 403},
		{"MKCALENDAR", "/user/new/", "", 404},
		{"MKCOL", "/user/calendars/new/", "", 403},
		{"MKCOL", "/user/calendars/new/", `<mkcol ` + propsOf + `><set><prop><resourcetype><collection/><a:addressbook/></resourcetype></prop></set></mkcol>`, 403},
		{"MKCALENDAR", "/user/calendars/new/", "<x", 400},
		{"DELETE", "/user/calendars/work/", "", 403},
	} {
		if a := p.do(c.method, c.path, c.body); a.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d\n%s", c.method, c.path, a.StatusCode, c.status, a.body)
		}
	}
}

func TestMetadataIsSetAllOrNothing(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.EditMeta(engine.MetaOrder, "1", true)
	p := newPeer(t, srv)
	patch := func(inner string) string {
		return `<propertyupdate ` + propsOf + `>` + inner + `</propertyupdate>`
	}
	set := func(props string) string { return "<set><prop>" + props + "</prop></set>" }
	meta := func() string {
		m, err := s.Meta(t.Context())
		must(t, err)
		var list []string
		for _, k := range engine.MetaKeys {
			if v, ok := m[k]; ok {
				list = append(list, string(k)+"="+v)
			}
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct{ body, told, meta string }{
		{set("<displayname>A</displayname><i:calendar-color>#00ff00</i:calendar-color><c:calendar-description>D</c:calendar-description><i:calendar-order> 7 </i:calendar-order>"),
			"200 200 200 200", "display-name=A color=#00FF00 description=D order=7"},
		{"<remove><prop><displayname/></prop></remove>" + set("<i:calendar-order>8</i:calendar-order>"), "200 200", "color=#00FF00 description=D order=8"},
		{set("<displayname>B</displayname><x:y xmlns:x='urn:x'/>"), "403 424", "color=#00FF00 description=D order=8"},
		{set("<displayname>B</displayname><i:calendar-color>red</i:calendar-color>"), "403 424", "color=#00FF00 description=D order=8"},
		{set("<displayname>B</displayname><i:calendar-order>x</i:calendar-order>"), "403 424", "color=#00FF00 description=D order=8"},
		{set("<displayname>B</displayname><a:addressbook-description>x</a:addressbook-description>"), "403 424", "color=#00FF00 description=D order=8"},
		{set("<getetag>B</getetag>"), "403", "color=#00FF00 description=D order=8"},
	} {
		a := p.want(207, "PROPPATCH", home, patch(c.body))
		var told []string
		for _, ps := range parse(t, a.body).Responses[0].Propstat {
			for range ps.Prop.Props {
				told = append(told, strings.Fields(ps.Status)[1])
			}
		}
		if strings.Join(told, " ") != c.told || meta() != c.meta {
			t.Errorf("%s\ntold %v, want %s; has %s, want %s", c.body, told, c.told, meta(), c.meta)
		}
	}
	p.want(400, "PROPPATCH", home, "<x/>")
	p.want(403, "PROPPATCH", "/user/", patch(""))
	// What the storage cannot keep undoes what came before it.
	s.Unkept = map[engine.MetaKey]bool{engine.MetaColor: true}
	a := p.want(207, "PROPPATCH", home, patch(set("<displayname>C</displayname><i:calendar-color>#000000</i:calendar-color>")))
	if meta() != "color=#00FF00 description=D order=8" || !strings.Contains(a.body, "403") {
		t.Errorf("after a half refused change there is %s\n%s", meta(), a.body)
	}
}

// A failure of the storage is never an empty or half answer.
func TestAStorageThatFailsIsNotAnEmptyCollection(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.NoTokens = true
	for _, ref := range []engine.Ref{"a", "b"} {
		s.Put(ref, []byte(event(string(ref), "x")))
	}
	failing, kind := "", engine.StorageError
	s.Before = func(c memory.Call) error {
		if c.Name == failing {
			return engine.Fail(kind, c.Name, string(c.Ref), "")
		}
		return nil
	}
	p := newPeer(t, srv)
	multiget := `<c:calendar-multiget xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><c:calendar-data/></prop><href>` + home + `a</href></c:calendar-multiget>`
	failing = "list"
	p.want(500, "PROPFIND", home, "", "Depth", "1")
	p.want(500, "REPORT", home, syncBody("", 0))
	p.want(500, "PUT", home+"c", event("c", "c"))
	for k, status := range map[engine.Kind]int{engine.Busy: 503, engine.ReadOnly: 403, engine.QuotaExceeded: 507, engine.CollectionGone: 404, engine.TooLarge: 413, engine.InvalidItem: 403} {
		kind = k
		p.want(status, "DELETE", home+"a", "")
	}
	failing, kind = "fetch", engine.StorageError
	req := func(body string) error {
		resp, err := p.client.Do(request(t, "REPORT", srv.URL+home, body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 207 {
			return errors.New(resp.Status)
		}
		_, err = io.ReadAll(resp.Body)
		return err
	}
	if err := req(multiget); err == nil {
		t.Error("a multiget of items that cannot be read ended well")
	}
	p.want(500, "GET", home+"a", "")
	failing = ""
	if err := req(multiget); err != nil {
		t.Error(err)
	}
}

func TestWhoWaitsForACollectionGivesUpWithHisRequest(t *testing.T) {
	src := &memory.Source{}
	s := src.Add(engine.Collection{Name: "home", Kind: engine.Calendar, Writable: true})
	s.Put("a", []byte(event("a", "a")))
	inside, release := make(chan struct{}), make(chan struct{})
	s.Before = func(c memory.Call) error {
		if c.Name == "fetch" && c.Ref == "" && c.N == 0 {
			close(inside)
			<-release
		}
		return nil
	}
	srv := davserver.New(davserver.Options{Backend: src})
	ask := func(ctx context.Context, method, path string) int {
		req := request(t, method, "http://localhost"+path, "").WithContext(ctx)
		req.Header.Set("Depth", "1")
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, req)
		return w.Code
	}
	first, second := make(chan int, 1), make(chan int, 1)
	go func() { first <- ask(t.Context(), "GET", home+"a") }()
	<-inside
	// The tree is not held up.
	if status := ask(t.Context(), "PROPFIND", "/user/"); status != 207 {
		t.Errorf("the tree answers %d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looks := src.Looks()
	go func() { second <- ask(ctx, "GET", home+"a") }()
	for src.Looks() == looks { // it is past everything that looks at its context
		runtime.Gosched()
	}
	cancel()
	select {
	case status := <-second:
		if status != 503 {
			t.Errorf("the second request got %d", status)
		}
	case <-time.After(30 * time.Second):
		t.Error("a request that has ended still waits")
	}
	close(release)
	if status := <-first; status != 200 {
		t.Errorf("the first request got %d", status)
	}
}
