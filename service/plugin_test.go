package service

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	sock "davbus.org/davbus/transports/private"
)

// describe writes descriptions of plugins below a folder.
func describe(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, "davbus", "plugins")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheUsersDescriptionOfAPluginComesBeforeTheSystems(t *testing.T) {
	user := describe(t, map[string]string{"a.yaml": "name: mine\ncommand: [mine]\n"})
	system := describe(t, map[string]string{"a.yaml": "name: theirs\ncommand: [theirs]\n", "b.yaml": "name: b\nsocket: \"%t/b\"\n"})
	found, faults := findPlugins([]string{user, system})
	if len(faults) > 0 || len(found) != 2 || found["a"].Name != "mine" || found["b"].Socket != "%t/b" {
		t.Errorf("found %+v, faults %v", found, faults)
	}
}

func TestADescriptionWithAFaultIsNamedAndHarmsNoOther(t *testing.T) {
	found, faults := findPlugins([]string{describe(t, map[string]string{
		"good.yaml": "command: [x]\n", "two.yaml": "command: [x]\nsocket: /y\n", "path.yaml": "socket: y\n",
		"key.yaml": "comand: [x]\n", "sign.yaml": "parameters: [{name: p, signature: x}]\n", "1.yaml": "command: [x]\n",
		"twice.yaml": "parameters: [{name: p, signature: s}, {name: p, signature: s}]\n", "via.yaml": "parameters: [{name: via, signature: s}]\n",
		"default.yaml": "parameters: [{name: p, signature: u, default: many}]\n", "secret.yaml": "parameters: [{name: p, signature: s, secret: true, default: x}]\n",
	})})
	if len(found) != 1 || len(faults) != 9 {
		t.Errorf("found %v, faults %v", found, faults)
	}
	for _, f := range faults {
		if f.err == nil || len(f.err.Error()) < 20 {
			t.Errorf("%s: %v", f.path, f.err)
		}
	}
}

func TestADefaultOfADescriptionHasTheTypeOfItsParameter(t *testing.T) {
	found, faults := findPlugins([]string{describe(t, map[string]string{
		"a.yaml": "parameters: [{name: n, signature: u, default: 3}, {name: b, signature: b, default: true}, {name: l, signature: as, default: [x, y]}, {name: s, signature: s, default: z}]\n",
	})})
	want := []any{uint32(3), true, []string{"x", "y"}, "z"}
	for i, q := range found["a"].Parameters {
		if !reflect.DeepEqual(q.Default, want[i]) {
			t.Errorf("%s: %#v", q.Name, q.Default)
		}
	}
	if len(faults) > 0 || len(found["a"].Parameters) != len(want) {
		t.Errorf("found %v, faults %v", found, faults)
	}
}

func TestTheTimesOfACallAreTheAccountsThenThePluginsThenTheProtocols(t *testing.T) {
	f := pluginFile{Timeouts: map[string]int64{"commit": 20, "read": 7}}
	got, err := timeoutsOf(f, engine.Params{"timeouts": []string{"commit=3"}})
	if err != nil || got["commit"] != 3*time.Second || got["read"] != 7*time.Second || got["finalize"] != 10*time.Second {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"commit", "commit=", "=3", "commit=0", "commit=-1", "commit=soon", "commit=99999999999"} {
		if _, err := timeoutsOf(f, engine.Params{"timeouts": []string{bad}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestAPluginIsReachedByAProgramOrASocketAndNothingElse(t *testing.T) {
	for via, fine := range map[string]bool{"": true, "exec:ssh h davbus plugin serve a": true, "unix:/p": true, "unix:%t/p": true,
		"tcp:h:1": false, "fd:x": false, "exec:": false, "carrier-pigeon": false} {
		if _, err := viaOf(engine.Params{"via": via}); (err == nil) != fine {
			t.Errorf("%q: %v", via, err)
		}
	}
}

func TestTheDescriptionsThatAreInstalledHaveNoFault(t *testing.T) {
	paths, err := filepath.Glob("../data/plugins/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		if _, err := readPlugin(strings.TrimSuffix(filepath.Base(path), ".yaml"), path); err != nil {
			t.Error(err)
		}
	}
}

// door is the socket that plugins come to; what becomes of each is told.
func door(t *testing.T, p *plugins) (path string, said <-chan error) {
	t.Helper()
	dir, err := sock.OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := dir.Listen("plugins", sock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan error, 10)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { l.Serve(ctx, func(ctx context.Context, c *sock.Conn) { out <- p.admit(ctx, c) }) })
	t.Cleanup(func() { stop(); work.Wait(); dir.Close() })
	return l.Path(), out
}

func TestTheDoorLetsInWhoHasAGoodCookieOnce(t *testing.T) {
	p := newPlugins(dirs{}, nil)
	path, said := door(t, p)
	enter := func(line string) net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	self := uint32(os.Getpid())
	cookie, good := p.newTicket("a", "", self)
	enter(cookie + "\nhello")
	came := <-good.came
	hello := make([]byte, 5)
	if _, err := io.ReadFull(came, hello); err != nil || string(hello) != "hello" {
		t.Errorf("what follows the cookie is %q, %v", hello, err)
	}
	came.Close()
	if err := <-said; err != nil {
		t.Errorf("let in, and then: %v", err)
	}

	others, _ := p.newTicket("a", "", self+1)
	old, late := p.newTicket("a", "", self)
	gone, _ := p.newTicket("a", ":1.7", self) // nobody of this name is registered
	late.until = time.Now().Add(-time.Second)
	for line, want := range map[string]string{
		cookie + "\n": "used already", "x\n": "none of ours", others + "\n": "was given to process", old + "\n": "too old",
		gone + "\n": "unregistered", strings.Repeat("x", maxCookie+1): "longer",
	} {
		enter(line)
		if err := <-said; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
