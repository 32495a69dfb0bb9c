package davserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-vcard"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
	"github.com/emersion/go-webdav/carddav"

	"davbus.org/davbus/engine/davserver/davtest"
)

// go-webdav is a client that is not ours: it is strict where ours is lenient.

func asClient(t *testing.T, srv *davtest.Server) webdav.HTTPClient {
	return webdav.HTTPClientWithBasicAuth(srv.Client(t), "alice", "secret-a")
}

func TestGoWebdavIsContentWithCalendars(t *testing.T) {
	for _, unix := range []bool{false, true} {
		srv := davtest.New(t, davtest.Options{Unix: unix, User: "alice", Password: "secret-a"})
		srv.Calendar("home", "VEVENT", "VTODO")
		srv.AddressBook("friends")
		c, err := caldav.NewClient(asClient(t, srv), srv.URL)
		must(t, err)
		ctx := t.Context()
		principal, err := c.FindCurrentUserPrincipal(ctx)
		must(t, err)
		home, err := c.FindCalendarHomeSet(ctx, principal)
		must(t, err)
		calendars, err := c.FindCalendars(ctx, home)
		must(t, err)
		if len(calendars) != 1 || calendars[0].Path != "/alice/calendars/home/" || calendars[0].MaxResourceSize != 10<<20 ||
			strings.Join(calendars[0].SupportedComponentSet, " ") != "VEVENT VTODO" {
			t.Fatalf("found %+v", calendars)
		}
		path := calendars[0].Path
		parsed, err := ical.NewDecoder(strings.NewReader(event("u1", "one", "DTSTART:20260105T100000Z", "DTEND:20260105T110000Z"))).Decode()
		must(t, err)
		put, err := c.PutCalendarObject(ctx, path+"a.ics", parsed)
		must(t, err)
		got, err := c.GetCalendarObject(ctx, path+"a.ics")
		must(t, err)
		if got.ETag != put.ETag || put.ETag == "" {
			t.Errorf("put told the etag %q, get %q", put.ETag, got.ETag)
		}
		found, err := c.MultiGetCalendar(ctx, path, &caldav.CalendarMultiGet{Paths: []string{path + "a.ics"}, CompRequest: everything})
		must(t, err)
		if len(found) != 1 || found[0].ETag != put.ETag {
			t.Errorf("multiget gave %+v", found)
		}
		day := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
		for days, want := range map[int]int{0: 1, 1: 0} {
			q := &caldav.CalendarQuery{CompRequest: everything, CompFilter: caldav.CompFilter{Name: "VCALENDAR", Comps: []caldav.CompFilter{
				{Name: "VEVENT", Start: day.AddDate(0, 0, days), End: day.AddDate(0, 0, days+1)}}}}
			if found, err = c.QueryCalendar(ctx, path, q); err != nil || len(found) != want {
				t.Errorf("day %d: got %d items (%v), want %d", days, len(found), err, want)
			}
		}
		must(t, c.RemoveAll(ctx, path+"a.ics"))
		if _, err := c.GetCalendarObject(ctx, path+"a.ics"); err == nil {
			t.Error("the removed item is still there")
		}
	}
}

var everything = caldav.CalendarCompRequest{Name: "VCALENDAR", AllProps: true, AllComps: true}

func TestGoWebdavIsContentWithAddressBooks(t *testing.T) {
	srv := davtest.New(t, davtest.Options{User: "alice", Password: "secret-a", PageSize: 1})
	srv.AddressBook("friends")
	c, err := carddav.NewClient(asClient(t, srv), srv.URL)
	must(t, err)
	ctx := t.Context()
	must(t, c.HasSupport(ctx))
	principal, err := c.FindCurrentUserPrincipal(ctx)
	must(t, err)
	home, err := c.FindAddressBookHomeSet(ctx, principal)
	must(t, err)
	books, err := c.FindAddressBooks(ctx, home)
	must(t, err)
	if len(books) != 1 || books[0].Path != "/alice/contacts/friends/" || !books[0].SupportsAddressData("text/vcard", "4.0") {
		t.Fatalf("found %+v", books)
	}
	path := books[0].Path
	parsed, err := vcard.NewDecoder(strings.NewReader(card("u1", "Ada"))).Decode()
	must(t, err)
	_, err = c.PutAddressObject(ctx, path+"a.vcf", parsed)
	must(t, err)
	first, err := c.SyncCollection(ctx, path, &carddav.SyncQuery{})
	must(t, err)
	if len(first.Updated) != 1 || first.Updated[0].Path != path+"a.vcf" {
		t.Fatalf("the first sync told %+v", first)
	}
	must(t, c.RemoveAll(ctx, path+"a.vcf"))
	second, err := c.SyncCollection(ctx, path, &carddav.SyncQuery{SyncToken: first.SyncToken})
	must(t, err)
	if len(second.Deleted) != 1 || len(second.Updated) != 0 || second.Deleted[0] != path+"a.vcf" {
		t.Errorf("the second sync told %+v", second)
	}
	q := &carddav.AddressBookQuery{PropFilters: []carddav.PropFilter{{Name: "FN", TextMatches: []carddav.TextMatch{{Text: "ad"}}}}}
	_, err = c.PutAddressObject(ctx, path+"a.vcf", parsed)
	must(t, err)
	if found, err := c.QueryAddressBook(ctx, path, q); err != nil || len(found) != 1 {
		t.Errorf("the query found %d (%v), want one, whatever the case", len(found), err)
	}
}

func TestNobodyComesInWithoutTheLogin(t *testing.T) {
	srv := davtest.New(t, davtest.Options{User: "alice", Password: "secret-a"})
	p := newPeer(t, srv)
	p.want(401, "PROPFIND", "/", "", "Depth", "0")
	if a := p.want(307, "GET", "/.well-known/caldav", ""); a.Header.Get("Location") != "/" {
		t.Errorf("well-known leads to %q", a.Header.Get("Location"))
	}
	req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", srv.URL, nil)
	must(t, err)
	for password, want := range map[string]int{"secret-a": 200, "secret-b": 401, "": 401} {
		req.SetBasicAuth("alice", password)
		resp, err := p.client.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("password %q: status %d, want %d", password, resp.StatusCode, want)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
