package davserver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
)

func syncBody(token string, limit int, props ...string) string {
	body := `<sync-collection xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><sync-token>` + token + `</sync-token><sync-level>1</sync-level>`
	if limit > 0 {
		body += fmt.Sprintf("<limit><nresults>%d</nresults></limit>", limit)
	}
	return body + "<prop><getetag/><" + strings.Join(append(props, "resourcetype"), "/><") + "/></prop></sync-collection>"
}

// A follower keeps a copy of a collection by sync-collection alone.
type follower struct {
	p     *peer
	path  string
	limit int
	token string
	etags map[string]string
	pages int
}

// follow takes what changed; it tells the status of a refused token, else 207.
func (f *follower) follow() int {
	f.p.t.Helper()
	for {
		a := f.p.do("REPORT", f.path, syncBody(f.token, f.limit))
		if a.StatusCode != 207 {
			return a.StatusCode
		}
		f.pages++
		r, more := parse(f.p.t, a.body), false
		if f.etags == nil || f.token == "" {
			f.etags = map[string]string{}
		}
		props := r.props()
		for _, resp := range r.Responses {
			switch {
			case resp.Href == f.path && strings.Contains(resp.Status, "507") && strings.Contains(resp.Error.Inner, "number-of-matches-within-limits"):
				more = true
			case strings.Contains(resp.Status, "404"):
				delete(f.etags, resp.Href)
			default:
				f.etags[resp.Href] = props[resp.Href+" getetag"]
			}
		}
		if f.token = r.Token; f.token == "" {
			f.p.t.Fatal("no token came along")
		}
		if !more {
			return 207
		}
	}
}

// is checks the copy against the storage.
func (f *follower) is(s *memory.Storage) error {
	var want, got []string
	for ref := range s.Texts() {
		want = append(want, f.path+string(ref))
	}
	for href, etag := range f.etags {
		got = append(got, href)
		if etag == "" {
			return fmt.Errorf("%s has no etag", href)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the copy holds %v, the storage %v", got, want)
	}
	return nil
}

// Whatever happens to a collection, in whatever order: who follows it with
// tokens and in pages of any size has it.
func TestWhoFollowsWithTokensHasTheCollection(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		srv := davtest.New(t, davtest.Options{PageSize: rnd.IntN(3)})
		s := srv.Calendar("home")
		s.NoTokens = seed%3 == 1
		if seed%5 == 2 {
			s.NoTokens, s.NoEtags = true, true
		}
		p := newPeer(t, srv)
		fast, slow := &follower{p: p, path: home, limit: rnd.IntN(4)}, &follower{p: p, path: home}
		for step := range 40 {
			switch n := rnd.IntN(10); {
			case n < 5:
				s.Put(engine.Ref(fmt.Sprint(rnd.IntN(8))), []byte(event(fmt.Sprint(n), fmt.Sprint(step))))
			case n < 8:
				s.Remove(engine.Ref(fmt.Sprint(rnd.IntN(8))))
			case n < 9:
				slow.follow()
			default:
				p.do("PUT", home+fmt.Sprint(rnd.IntN(8)), event(fmt.Sprint("u", step), "put"))
			}
			if rnd.IntN(2) == 0 {
				if status := fast.follow(); status != 207 {
					t.Fatalf("seed %d step %d: status %d", seed, step, status)
				}
				if err := fast.is(s); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
			}
		}
		slow.follow()
		if err := slow.is(s); err != nil {
			t.Fatalf("seed %d, the slow one: %v", seed, err)
		}
	}
}

func TestAnUnmovedCollectionKeepsItsTokenAndTellsNothing(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.Put("a", []byte(event("a", "a")))
	p := newPeer(t, srv)
	f := &follower{p: p, path: home}
	f.follow()
	token := f.token
	r := parse(t, p.want(207, "REPORT", home, syncBody(token, 0)).body)
	if len(r.Responses) != 0 || r.Token != token {
		t.Errorf("nothing moved and it tells %v and %q, was %q", r.hrefs(), r.Token, token)
	}
	if got := parse(t, p.want(207, "PROPFIND", home, ask("sync-token"), "Depth", "0").body).props()[home+" sync-token"]; got != token {
		t.Errorf("PROPFIND tells the token %q, the report %q", got, token)
	}
}

func TestPagesAreNoLargerThanAsked(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	for i := range 7 {
		s.Put(engine.Ref(fmt.Sprint(i)), []byte(event(fmt.Sprint(i), "x")))
	}
	p := newPeer(t, srv)
	for limit, pages := range map[int]int{1: 7, 3: 3, 6: 2, 7: 1, 8: 1} {
		f := &follower{p: p, path: home, limit: limit}
		f.follow()
		if f.pages != pages || f.is(s) != nil {
			t.Errorf("limit %d: %d pages, want %d; %v", limit, f.pages, pages, f.is(s))
		}
	}
}

func TestTokensThatAreNotOursAreRefused(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	srv.Calendar("other").Put("x", []byte(event("x", "x")))
	s.Put("a", []byte(event("a", "a")))
	p := newPeer(t, srv)
	f, other := &follower{p: p, path: home}, &follower{p: p, path: "/user/calendars/other/"}
	f.follow()
	other.follow()
	good, newest := f.token, strings.Split(f.token, "/")
	newest[2] = "99"
	for _, token := range []string{"x", "data:,davbus/x/1/", other.token, strings.Join(newest, "/"), good + "/1", "data:,davbus/x/1/" + newest[3] + "9"} {
		a := p.want(403, "REPORT", home, syncBody(token, 0))
		if !strings.Contains(a.body, "<d:valid-sync-token/>") {
			t.Errorf("token %q: %s", token, a.body)
		}
	}
	p.want(207, "REPORT", home, syncBody(good, 0))
	p.want(400, "REPORT", home, strings.Replace(syncBody("", 1), ">1</nres", ">0</nres", 1))
}

func TestARestartForgetsTokensUnlessTheStorageKeepsThem(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	tracked, listed := srv.Calendar("home"), srv.Calendar("listed")
	listed.NoTokens = true
	p := newPeer(t, srv)
	f, g := &follower{p: p, path: home}, &follower{p: p, path: "/user/calendars/listed/"}
	for _, s := range []*memory.Storage{tracked, listed} {
		s.Put("a", []byte(event("a", "a")))
		s.Put("b", []byte(event("b", "b")))
	}
	f.follow()
	g.follow()
	must(t, srv.Restart())
	p.client.CloseIdleConnections()
	tracked.Remove("a")
	tracked.Put("c", []byte(event("c", "c")))
	srv.ResetLog()
	if status := f.follow(); status != 207 || f.is(tracked) != nil || srv.Count() != 1 {
		t.Errorf("over a storage with tokens: status %d, %v, %d requests", status, f.is(tracked), srv.Count())
	}
	if status := g.follow(); status != 403 {
		t.Errorf("over a storage without tokens an old token gives %d, want 403", status)
	}
	// Another collection in the same place is not the old one gone on.
	must(t, srv.Restart())
	p.client.CloseIdleConnections()
	list, err := srv.Source.Look(t.Context(), true)
	must(t, err)
	for _, c := range list {
		srv.Source.Drop(c.Identity)
	}
	again := srv.Calendar("home")
	for i := range 9 {
		again.Put(engine.Ref(fmt.Sprint(i)), []byte(event(fmt.Sprint(i), "x")))
	}
	if status := f.follow(); status != 403 {
		t.Errorf("a token of a collection that was replaced gives %d, want 403", status)
	}
}

func TestTextsComeAlongWhereAskedAndOnlyIfXMLCanCarryThem(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	s.Put("good.ics", []byte(event("a", "a")))
	s.Put("bell.ics", []byte(event("b", "ring \x07")))
	s.Put("latin.ics", []byte(event("c", "Gr\xfc\xdfe")))
	s.Put("broken.ics", []byte("BEGIN:VCALENDAR"))
	p := newPeer(t, srv)
	got := parse(t, p.want(207, "REPORT", home, syncBody("", 0, "c:calendar-data")).body).props()
	for name, want := range map[string]string{"good.ics": event("a", "a"), "bell.ics": "! 404", "latin.ics": "! 404", "broken.ics": "BEGIN:VCALENDAR"} {
		if data := got[home+name+" calendar-data"]; data != want {
			t.Errorf("%s came as %q, want %q", name, data, want)
		}
		if got[home+name+" getetag"] == "" {
			t.Errorf("%s has no etag", name)
		}
	}
	if a := p.want(200, "GET", home+"latin.ics", ""); a.body != event("c", "Gr\xfc\xdfe") {
		t.Errorf("what XML cannot carry is read by GET as %q", a.body)
	}
}

func TestMultigetAnswersForEveryHref(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	s := srv.Calendar("home")
	for i := range 200 {
		s.Put(engine.Ref(fmt.Sprintf("a %d.ics", i)), []byte(event(fmt.Sprint(i), "x")))
	}
	s.Before = func(c memory.Call) error {
		if c.Name == "fetch" && c.Ref == "a 3.ics" {
			return engine.Fail(engine.StorageError, "read", "a 3.ics", "")
		}
		return nil
	}
	p := newPeer(t, srv)
	body := `<c:calendar-multiget xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><getetag/><c:calendar-data/></prop><href>/user/calendars/other/x</href>`
	for i := range 202 {
		body += fmt.Sprintf("<href>%s%s/user/calendars/home/a%%20%d.ics</href>", strings.Repeat(" ", i%2), strings.Repeat(srv.URL, i%3/2), i)
	}
	r := parse(t, p.want(207, "REPORT", home, body+"</c:calendar-multiget>").body)
	status := map[string]int{}
	for _, h := range r.hrefs() {
		_, code, _ := strings.Cut(h, " ")
		status[code]++
	}
	if status[""] != 199 || status["404"] != 3 || status["500"] != 1 || len(status) != 3 {
		t.Errorf("answered %v, want 199 items, 3 missing, 1 unreadable", status)
	}
}
