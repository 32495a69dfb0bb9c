package service

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/service/config"
)

// specsOf are the parameters of this build's kinds.
func specsOf(kind string) ([]engine.ParamSpec, bool) {
	return (&program{plugins: newPlugins(dirs{}, nil)}).specs(kind)
}

func TestTheExamplesAreGoodConfiguration(t *testing.T) {
	c, err := config.Open(filepath.Join("..", "data", "config"), specsOf).Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Accounts) != 2 || len(c.Groups) != 1 || !reflect.DeepEqual(c.Daemon, config.DefaultDaemon()) {
		t.Errorf("got %+v", c)
	}
	std := engine.DefaultGroup()
	std.ID, std.Members, std.CreateMissing = "home", []string{"work", "local"}, []string{"local"}
	if !reflect.DeepEqual(c.Groups[0], std) {
		t.Errorf("the example says of its values that they are the defaults: %+v", c.Groups[0])
	}
	for _, a := range c.Accounts {
		kind := newKinds(dirs{}, nil, newPlugins(dirs{}, nil)).table()[a.Kind]
		if kind.Syntax != nil && kind.Syntax(a.Params) != nil {
			t.Errorf("%s: %v", a.ID, kind.Syntax(a.Params))
		}
	}
}

// TestThePageDocumentsEveryParameter: davbus-config(5), the files and
// GetParameters speak of the same keys.
func TestThePageDocumentsEveryParameter(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "data", "man", "davbus-config.5.scd"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	keys, _, _ := strings.Cut(string(page), "# SEE ALSO")
	for _, line := range strings.Split(keys, "\n") {
		if regexp.MustCompile(`^\*[a-z-]+\*`).MatchString(line) {
			for _, m := range regexp.MustCompile(`\*([a-z-]+)\*`).FindAllStringSubmatch(line, -1) {
				documented[m[1]] = true
			}
		}
	}
	used := map[string]bool{
		"log-level": true, "idle-exit-sec": true, "introduction-socket": true, "ocapn-socket": true, "content-apps": true, "display-name": true, "enabled": true, "members": true, "create-missing": true, "direction": true,
		"conflict-policy": true, "conflict-command": true, "read-only-policy": true, "interval-sec": true, "hold-items": true, "hold-percent": true,
	}
	for kind, k := range newKinds(dirs{}, nil, newPlugins(dirs{}, nil)).table() {
		for _, s := range k.Params {
			used[s.Name] = true
			if !s.Secret && !documented[s.Name] {
				t.Errorf("the parameter %s of %s is not in davbus-config(5)", s.Name, kind)
			}
			if s.Summary == "" || !slices.Contains([]string{"s", "b", "u", "as"}, s.Signature) {
				t.Errorf("the parameter %s of %s: %+v", s.Name, kind, s)
			}
		}
	}
	for name := range documented {
		if !used[name] {
			t.Errorf("davbus-config(5) documents %q, which no kind has", name)
		}
	}
}

func TestPlacesAreToldWithoutALogin(t *testing.T) {
	k := newKinds(dirs{home: "/home/me", session: "/run/user/7"}, nil, newPlugins(dirs{home: "/home/me", session: "/run/user/7"}, nil))
	for _, c := range []struct {
		url, via string
		want     keeper.Place
	}{
		{"https://h/p", "", keeper.Place{URL: "https://h/p", Transport: "tcp", Address: "h:443"}},
		{"http://h:5232/", "", keeper.Place{URL: "http://h:5232/", Transport: "tcp", Address: "h:5232"}},
		{"https://h/", "unix:%t/d.sock", keeper.Place{URL: "https://h/", Transport: "unix", Address: "/run/user/7/d.sock"}},
		{"unix:///p", "", keeper.Place{URL: "http://localhost/", Transport: "unix", Address: "/p"}},
		{"https://h/", "tcp:other:1", keeper.Place{URL: "https://h/", Transport: "tcp", Address: "other:1"}},
		{"example.org", "", keeper.Place{URL: "example.org", Transport: "tcp"}},
	} {
		if got := k.davPlace(engine.Params{"url": c.url, "via": c.via}); got != c.want {
			t.Errorf("%s by %q: got %+v", c.url, c.via, got)
		}
	}
}

func TestSyntaxOfURLsRoutesAndPaths(t *testing.T) {
	for _, c := range []struct {
		check func(engine.Params) error
		p     engine.Params
		fine  bool
	}{
		{davSyntax, engine.Params{"url": "https://h/p"}, true},
		{davSyntax, engine.Params{"url": "me@example.org"}, true},
		{davSyntax, engine.Params{"url": "example.org"}, true},
		{davSyntax, engine.Params{"url": "http://h/", "via": "unix:/s"}, true},
		{davSyntax, engine.Params{"url": "", "url-command": []string{"x"}}, true},
		{davSyntax, engine.Params{"url": ""}, false},
		{davSyntax, engine.Params{"url": "ftp://h/"}, false},
		{davSyntax, engine.Params{"url": "https://h/", "via": "carrier-pigeon"}, false},
		{davSyntax, engine.Params{"url": "unix:///a", "via": "unix:/b"}, false},
		{vdirSyntax, engine.Params{"path": "/p"}, true},
		{vdirSyntax, engine.Params{"path": "~/p"}, true},
		{vdirSyntax, engine.Params{"path": "%h/p"}, true},
		{vdirSyntax, engine.Params{"path": "p"}, false},
		{vdirSyntax, engine.Params{"path": "~me/p"}, false},
		{vdirSyntax, engine.Params{"path": ""}, false},
	} {
		if err := c.check(c.p); (err == nil) != c.fine {
			t.Errorf("%v: %v", c.p, err)
		}
	}
	k := newKinds(dirs{home: "/home/me"}, nil, newPlugins(dirs{home: "/home/me"}, nil))
	for path, want := range map[string]string{"~": "/home/me", "~/a/../b": "/home/me/b", "%h/x": "/home/me/x", "/a/": "/a", "/~/x": "/~/x"} {
		if got := k.vdirPath(engine.Params{"path": path}); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
