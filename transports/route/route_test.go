package route

import (
	"errors"
	"strings"
	"testing"
)

func TestV11EverySpellingHasOneCanonicalForm(t *testing.T) {
	for via, want := range map[string]string{
		"":                              "",
		"unix:/run/x.sock":              "unix:/run/x.sock",
		"unix:///run/x.sock":            "unix:/run/x.sock",
		"unix:%t/x.sock":                "unix:%t/x.sock",
		"unix:~/x":                      "unix:~/x",
		"unix:@name":                    "unix:@name",
		"tcp:example.org:8443":          "tcp:example.org:8443",
		"tcp:[::1]:80":                  "tcp:[::1]:80",
		"fd:server":                     "fd:server",
		"exec:ssh -W %h:443 host":       "exec:ssh -W %h:443 host",
		`exec:  a  "b c" 'd"e' f\ g ""`: `exec:a 'b c' 'd"e' 'f g' ''`,
		`exec:a 'it'\''s' "\n\"\\"`:     `exec:a 'it'\''s' '\n"\'`,
	} {
		r, err := Parse(via)
		if err != nil {
			t.Errorf("%q: %v", via, err)
			continue
		}
		if r.String() != want {
			t.Errorf("%q is %q, want %q", via, r, want)
		}
		if again, err := Parse(r.String()); err != nil || again.String() != want {
			t.Errorf("%q is %q when read again, %v", want, again, err)
		}
		if r.Private() != (via != "") {
			t.Errorf("%q: private is %v", via, r.Private())
		}
	}
}

func TestWhatIsNoRouteIsRefusedWithAdvice(t *testing.T) {
	for _, via := range []string{
		"/run/x", "unix", "unix:", "unix:x", "unix:@", "unix:/x/", "unix://host/x", "unix:%h/x", "unix:/a\x00b", "unix:/a\nb",
		"unix:/" + strings.Repeat("x", MaxPath), "tcp:", "tcp:host", "tcp:host:", "tcp:host:0", "tcp:host:65536", "tcp:host:http", "tcp::80", "tcp:a/b:80",
		"fd:", "fd:a b", "fd:a:b", "exec:", "exec:  ", "exec:''", "exec:a 'b", `exec:a "b`, `exec:a\`, "ssh:host:22", "http://x",
	} {
		r, err := Parse(via)
		if !errors.As(err, new(*Invalid)) {
			t.Errorf("%q is %+v, %v", via, r, err)
		} else if !strings.Contains(err.Error(), "unix:/PATH") {
			t.Errorf("%q: %v does not say what a route is", via, err)
		}
	}
	if _, err := Parse("unix:/" + strings.Repeat("x", MaxPath-1)); err != nil {
		t.Errorf("a path of %d bytes: %v", MaxPath, err)
	}
}

func TestV11AURLWithASocketInItIsTakenApart(t *testing.T) {
	for _, c := range []struct{ raw, via, url, route string }{
		{"https://example.org/dav/", "", "https://example.org/dav/", ""},
		{"https://example.org/dav/", "unix:///p", "https://example.org/dav/", "unix:/p"},
		{"unix:///run/x.sock", "", "http://localhost/", "unix:/run/x.sock"},
		{"unix:/run/x.sock", "", "http://localhost/", "unix:/run/x.sock"},
		{"unix:%t/x.sock", "", "http://localhost/", "unix:%t/x.sock"},
		{"http+unix://%2Frun%2Fx.sock/dav/a%20b", "", "http://localhost/dav/a%20b", "unix:/run/x.sock"},
		{"unix+http://%2frun%2Fx.sock", "", "http://localhost/", "unix:/run/x.sock"},
		{"https+unix://%2Frun%2Fx.sock/", "", "https://localhost/", "unix:/run/x.sock"},
		{"HTTP+UNIX://@abs/p", "", "http://localhost/p", "unix:@abs"},
		{"http://unix:/run/x.sock:/dav/", "", "http://localhost/dav/", "unix:/run/x.sock"},
		{"http://unix:/run/x.sock", "", "http://localhost/", "unix:/run/x.sock"},
		{"http://unix:8080/dav", "", "http://unix:8080/dav", ""},
		{"http://unix.example.org/", "", "http://unix.example.org/", ""},
		{"alice@example.org", "", "alice@example.org", ""},
		{"unix:///p", "unix:/p", "http://localhost/", "unix:/p"},
	} {
		u, r, err := Split(c.raw, c.via)
		if err != nil || u != c.url || r != c.route {
			t.Errorf("%q via %q is %q via %q, %v; want %q via %q", c.raw, c.via, u, r, err, c.url, c.route)
		}
		if u2, r2, err := Split(u, r); err != nil || u2 != u || r2 != r {
			t.Errorf("%q via %q changes when split again: %q via %q, %v", u, r, u2, r2, err)
		}
	}
	for _, c := range [][2]string{{"unix:///p", "unix:/q"}, {"http+unix://host/x", ""}, {"http+unix://%zz/", ""}, {"http+unix:%2Fp", ""}, {"https://x/", "nonsense"}} {
		if u, r, err := Split(c[0], c[1]); err == nil {
			t.Errorf("%q via %q is %q via %q", c[0], c[1], u, r)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"", "unix:/p", "unix:%t/x", "unix:@a", "tcp:[::1]:80", "fd:x", `exec:a 'b' "c\\"`, "http+unix://%2Fp/x", "http://unix:/p:/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := Parse(s); err == nil {
			again, err := Parse(r.String())
			if err != nil || again.String() != r.String() || again.Kind != r.Kind || strings.Join(again.Argv, "\x00") != strings.Join(r.Argv, "\x00") {
				t.Errorf("%q is %+v and then %+v, %v", s, r, again, err)
			}
		}
		if u, via, err := Split(s, ""); err == nil {
			if u2, via2, err := Split(u, via); err != nil || u2 != u || via2 != via {
				t.Errorf("%q is %q via %q and then %q via %q, %v", s, u, via, u2, via2, err)
			}
		}
	})
}
