package dav_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/dav"
)

// A web is a fake internet: hosts with pages, each page the properties of one
// resource. What is asked is noted as "METHOD URL depth".
type fakeWeb struct {
	mu    sync.Mutex
	pages map[string]string // by URL: props of it and, after "\n", lines "HREF PROPS" of its members; or "302 URL"; or "401"
	asked []string
	trust []string
}

func (w *fakeWeb) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := req.Method + " " + req.URL.String()
	if req.Method == "PROPFIND" {
		line += " " + req.Header.Get("Depth")
	}
	w.asked = append(w.asked, line)
	page, ok := w.pages[req.URL.String()]
	rec := httptest.NewRecorder()
	switch {
	case !ok && req.URL.Hostname() == "nowhere.example":
		return nil, &net.DNSError{Name: "nowhere.example", IsNotFound: true}
	case !ok:
		rec.WriteHeader(404)
	case strings.HasPrefix(page, "302 "):
		to, _ := req.URL.Parse(page[4:])
		if to.Host != req.URL.Host {
			return nil, &redirect{to}
		}
		next := req.Clone(req.Context())
		next.URL = to
		w.mu.Unlock()
		resp, err := w.RoundTrip(next)
		w.mu.Lock()
		return resp, err
	case len(page) == 3:
		var status int
		fmt.Sscan(page, &status)
		rec.WriteHeader(status)
	case req.Method == "OPTIONS":
		rec.Header().Set("DAV", "1, calendar-access")
	default:
		own, rest, _ := strings.Cut(page, "\n")
		rec.WriteHeader(207)
		fmt.Fprint(rec, `<multistatus xmlns="DAV:">`, respond(req.URL.EscapedPath(), own))
		if req.Header.Get("Depth") == "1" {
			for m := range strings.SplitSeq(strings.TrimSpace(rest), "\n") {
				if href, props, ok := strings.Cut(strings.TrimSpace(m), " "); ok {
					fmt.Fprint(rec, respond(href, props))
				}
			}
		}
		fmt.Fprint(rec, `</multistatus>`)
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

func respond(href, props string) string {
	return "<response><href>" + href + "</href><propstat><prop>" + props + "</prop><status>HTTP/1.1 200 OK</status></propstat></response>"
}

type redirect struct{ to *url.URL }

func (e *redirect) Error() string        { return "redirected to " + e.to.String() }
func (e *redirect) RedirectTo() *url.URL { return e.to }

// dns is a Resolver of fixed answers.
type dns struct {
	srv map[string]*net.SRV
	txt map[string][]string
}

func (d dns) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if s := d.srv["_"+service+"._"+proto+"."+name]; s != nil {
		return "", []*net.SRV{s}, nil
	}
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (d dns) LookupTXT(_ context.Context, name string) ([]string, error) { return d.txt[name], nil }

const (
	folder    = "<resourcetype><collection/></resourcetype>"
	calendar  = "<resourcetype><collection/><calendar/></resourcetype>"
	book      = "<resourcetype><collection/><addressbook/></resourcetype>"
	principal = "<current-user-principal><href>/p/</href></current-user-principal>"
	homes     = "<calendar-home-set><href>/c/</href></calendar-home-set><addressbook-home-set><href>/a/</href></addressbook-home-set>"
)

func TestDiscoveryFindsTheCollectionsFromWhateverIsGiven(t *testing.T) {
	const h = "https://dav.example.org"
	two := map[string]string{
		h + "/p/": homes,
		h + "/c/": folder + "\n/c/work/ " + calendar + "\n/c/inbox/ <resourcetype><collection/><schedule-inbox/></resourcetype>",
		h + "/a/": folder + "\n/a/friends/ " + book,
	}
	with := func(more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range two {
			out[k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for name, c := range map[string]struct {
		url   string
		kinds []string
		dns   dav.Resolver
		pages map[string]string
		want  string
	}{
		"a url whose resource names the principal": {h + "/", nil, nil, with(h+"/", principal), "work friends"},
		"a url without a path":                     {h, nil, nil, with(h+"/", principal), "work friends"},
		"the principal itself":                     {h + "/p/", nil, nil, two, "work friends"},
		"only one kind":                            {h + "/p/", []string{"calendar"}, nil, two, "work"},
		"only the other":                           {h + "/p/", []string{"addressbook"}, nil, two, "friends"},
		"a home":                                   {h + "/c/", nil, nil, two, "work"},
		"a calendar":                               {h + "/c/work", nil, nil, with(h+"/c/work", calendar, h+"/c/work/", calendar), "work"},
		"an address book":                          {h + "/a/friends/", nil, nil, with(h+"/a/friends/", book), "friends"},
		"a sub-path": {h + "/remote.php/dav", nil, nil, map[string]string{
			h + "/remote.php/dav":               "<current-user-principal><href>/remote.php/dav/principals/u/</href></current-user-principal>",
			h + "/remote.php/dav/principals/u/": "<calendar-home-set><href>/remote.php/dav/calendars/u/</href></calendar-home-set>",
			h + "/remote.php/dav/calendars/u/":  folder + "\n/remote.php/dav/calendars/u/x/ " + calendar,
		}, "x"},
		"a page where nothing is, with .well-known": {h + "/", nil, nil, with(h+"/", "200", h+"/.well-known/caldav", "302 /dav/", h+"/.well-known/carddav", "302 /dav/", h+"/dav/", principal), "work friends"},
		"only the .well-known of contacts":          {h + "/", nil, nil, with(h+"/.well-known/carddav", "302 /dav/", h+"/dav/", principal), "work friends"},
		"several homes": {h + "/p/", nil, nil, map[string]string{
			h + "/p/":  "<calendar-home-set><href>/c/</href><href>" + h + ":443/c2/</href><href>/c%2F/../../</href></calendar-home-set>",
			h + "/c/":  folder + "\n/c/work/ " + calendar,
			h + "/c2/": folder + "\n/c2/team/ " + calendar + "\n/c2/work/ " + calendar,
		}, "work team work"},
		"one home for both": {h + "/p/", nil, nil, map[string]string{
			h + "/p/": "<calendar-home-set><href>/h/</href></calendar-home-set><addressbook-home-set><href>/h/</href></addressbook-home-set>",
			h + "/h/": folder + "\n/h/work/ " + calendar + "\n/h/friends/ " + book,
		}, "work friends"},
		"a bare domain with SRV and TXT": {"example.org", nil, dns{
			map[string]*net.SRV{"_caldavs._tcp.example.org": {Target: "dav.example.org.", Port: 443}, "_carddavs._tcp.example.org": {Target: "dav.example.org.", Port: 443}},
			map[string][]string{"_caldavs._tcp.example.org": {"path=/start"}},
		}, with(h+"/start", principal, h+"/.well-known/carddav", "302 /dav/", h+"/dav/", principal), "work friends"},
		"user@domain with .well-known": {"alice@example.org", nil, dns{}, map[string]string{
			"https://example.org/.well-known/caldav": "302 /cal/", "https://example.org/cal/": calendar,
		}, "cal"},
		"a .well-known on a host of the same domain": {"alice@example.org", nil, dns{}, with(
			"https://example.org/.well-known/caldav", "302 "+h+"/dav/", "https://example.org/.well-known/carddav", "302 "+h+"/dav/", h+"/dav/", principal), "work friends"},
		"another port by SRV": {"example.org", []string{"calendar"}, dns{map[string]*net.SRV{"_caldavs._tcp.example.org": {Target: "dav.example.org.", Port: 8443}}, nil},
			map[string]string{h + ":8443/.well-known/caldav": "302 /x/", h + ":8443/x/": calendar}, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &fakeWeb{pages: c.pages}
			s, err := dav.New(dav.Options{URL: c.url, Kinds: c.kinds, Resolver: c.dns, Client: w, Trust: func(u *url.URL) { w.trust = append(w.trust, u.Host) }})
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Look(t.Context(), false)
			if err != nil {
				t.Fatalf("%v; asked %q", err, w.asked)
			}
			var names []string
			for _, f := range found {
				names = append(names, f.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("found %q, want %q; asked %q", got, c.want, w.asked)
			}
			for _, l := range w.asked {
				if !strings.Contains(l, " "+h) && !strings.Contains(l, " https://example.org/") {
					t.Errorf("asked %s", l)
				}
			}
		})
	}
}

func TestDiscoveryGoesNowhereThatThePersonDidNotName(t *testing.T) {
	const h = "https://dav.example.org"
	evil := "https://dav.evil.example"
	for name, c := range map[string]struct {
		url   string
		dns   dav.Resolver
		pages map[string]string
		kind  engine.Kind
		says  string
	}{
		"a principal elsewhere":    {h + "/", nil, map[string]string{h + "/": "<current-user-principal><href>" + evil + "/p/</href></current-user-principal>"}, engine.ServerNonconforming, evil},
		"a home elsewhere":         {h + "/", nil, map[string]string{h + "/": principal, h + "/p/": "<calendar-home-set><href>" + evil + "/c/</href></calendar-home-set>"}, engine.ServerNonconforming, evil},
		"a redirect elsewhere":     {h + "/", nil, map[string]string{h + "/.well-known/caldav": "302 " + evil + "/"}, engine.ServerNonconforming, evil},
		"SRV elsewhere":            {"example.org", dns{map[string]*net.SRV{"_caldavs._tcp.example.org": {Target: "dav.evil.example.", Port: 443}}, nil}, map[string]string{}, engine.ServerNonconforming, "dav.evil.example"},
		"a well-known elsewhere":   {"example.org", dns{}, map[string]string{"https://example.org/.well-known/caldav": "302 " + evil + "/"}, engine.ServerNonconforming, evil},
		"a well-known without TLS": {"example.org", dns{}, map[string]string{"https://example.org/.well-known/caldav": "302 http://dav.example.org/"}, engine.ServerNonconforming, "http://dav.example.org"},
		"a file":                   {h + "/", nil, map[string]string{h + "/": "<current-user-principal><href>file:///etc/passwd</href></current-user-principal>"}, engine.ServerNonconforming, ""},
		"a login":                  {h + "/", nil, map[string]string{h + "/": "401"}, engine.AuthFailed, "password"},
		"nothing at all":           {h + "/", nil, map[string]string{}, engine.NotFound, "check the url"},
		"no such host":             {"https://nowhere.example/", nil, nil, engine.HostNotFound, "nowhere.example"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &fakeWeb{pages: c.pages}
			s, err := dav.New(dav.Options{URL: c.url, Resolver: c.dns, Client: w, Trust: func(u *url.URL) { w.trust = append(w.trust, u.Host) }})
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Look(t.Context(), false)
			wantKind(t, err, c.kind)
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if len(found) > 0 {
				t.Errorf("found %v", found)
			}
			for _, l := range w.asked {
				if strings.Contains(l, "evil") || strings.Contains(l, " http:") {
					t.Errorf("asked %s", l)
				}
			}
			if slices.ContainsFunc(w.trust, func(h string) bool { return strings.Contains(h, "evil") }) {
				t.Errorf("trusted %q", w.trust)
			}
		})
	}
}

func TestAUrlThatMakesNoSenseIsRefusedAtOnce(t *testing.T) {
	for _, u := range []string{"", "ftp://example.org/", "https:///x", "a b", "user@", "example.org/dav", "https://[::1"} {
		if _, err := dav.New(dav.Options{URL: u}); !engine.IsKind(err, engine.Invalid) {
			t.Errorf("%q: %v", u, err)
		}
	}
}
