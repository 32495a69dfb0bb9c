package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// listen serves one byte to each connection.
func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("!"))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l
}

func dialer(t *testing.T, via string, env Env) *Dialer {
	t.Helper()
	r, err := Parse(via)
	if err != nil {
		t.Fatal(err)
	}
	return &Dialer{Route: r, Env: env}
}

func says(t *testing.T, d *Dialer, addr, want string) {
	t.Helper()
	c, err := d.Dial(t.Context(), addr)
	if err != nil {
		t.Fatalf("%s: %v", d.Route, err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != want {
		t.Errorf("%s: read %q, %v", d.Route, got, err)
	}
}

func TestV12V15EachKindOfRouteLeadsToItsServer(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "s")
	listen(t, "unix", sock)
	tcp := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	env := Env{RuntimeDir: dir + "/", Home: dir}
	says(t, dialer(t, "", env), tcp, "!")
	says(t, dialer(t, "tcp:"+tcp, env), "nowhere.invalid:1", "!")
	for _, via := range []string{"unix:" + sock, "unix:%t/s", "unix:~/s"} {
		says(t, dialer(t, via, env), "nowhere.invalid:1", "!")
	}
	if runtime.GOOS == "linux" { // nobody else has sockets without a file
		name := fmt.Sprintf("@davbus-test-%d", os.Getpid())
		listen(t, "unix", name)
		says(t, dialer(t, "unix:"+name, env), "nowhere.invalid:1", "!")
	}
	says(t, dialer(t, "exec:printf 'a b'", env), "", "a b")
}

func TestAProgramGetsWhatIsSentAndEndsWithItsConnection(t *testing.T) {
	said := make(chan string, 10)
	d := dialer(t, `exec:sh -c 'printf "re" >&2; printf "ady\n%05000d\nlost" 0 >&2; cat; echo over'`, Env{Says: func(line string) { said <- line }})
	c, err := d.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "hello ")
	c.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello over\n" {
		t.Errorf("read %q, %v", got, err)
	}
	c.Close()
	if one, two := <-said, <-said; one != "ready" || len(two) != 4096 || len(said) != 0 {
		t.Errorf("it said %q and %d bytes, and %d more lines", one, len(two), len(said))
	}
	// One that does not end when it is asked to, and by itself only after half a minute.
	end := filepath.Join(t.TempDir(), "end")
	stubborn, err := dialer(t, `exec:sh -c 'trap "" TERM; echo x; for i in $(seq 600); do read y || sleep 0.05; done; : >`+end+`'`, Env{}).Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	stubborn.Read(make([]byte, 1))
	p := stubborn.(*execConn).cmd.Process
	stubborn.Close()
	if err := p.Signal(os.Interrupt); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the program lives on: %v", err)
	}
	if _, err := os.Stat(end); err == nil {
		t.Error("the program was left to come to its own end")
	}
}

func TestV13ARouteThatLeadsNowhereIsUnavailableAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for via, want := range map[string][2]string{
		"unix:" + dir + "/none":         {"stat", "start the server"},
		"unix:" + dir + "/file":         {"stat", "not a socket"},
		"unix:" + dead:                  {"connect", "nobody listens"},
		"unix:@davbus-test-" + dir[1:]:  {"connect", ""},
		"unix:%t/x":                     {"stat", "XDG_RUNTIME_DIR"},
		"tcp:" + closed.Addr().String(): {"connect", "refused"},
		"fd:missing":                    {"fd", "missing"},
		"exec:/no/such/program":         {"exec", "no such file"},
	} {
		c, err := dialer(t, via, Env{}).Dial(t.Context(), "x:1")
		u, ok := errors.AsType[*Unavailable](err)
		if !ok || u.Step != want[0] || !strings.Contains(err.Error(), want[1]) || !u.RouteUnavailable() {
			t.Errorf("%s: %v, %v", via, c, err)
		}
	}
	// A program that ends without a word shows at the first read.
	c, err := dialer(t, "exec:sh -c 'exit 3'", Env{}).Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	if u, ok := errors.AsType[*Unavailable](err); !ok || !strings.Contains(u.Error(), "exit status 3") {
		t.Errorf("a program that failed: %v", err)
	}
}

func TestV12APathThatGrowsTooLongIsToldSo(t *testing.T) {
	d := dialer(t, "unix:%t/"+strings.Repeat("x", 50), Env{RuntimeDir: "/" + strings.Repeat("r", 60)})
	if _, err := d.Dial(t.Context(), ""); !errors.As(err, new(*Invalid)) || !strings.Contains(err.Error(), "107") {
		t.Errorf("%v", err)
	}
	d.Env.RuntimeDir = "/" + strings.Repeat("r", MaxPath-52)
	if p, err := d.Path(); err != nil || len(p) != MaxPath {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}

func TestAProbeTellsTheStepsInOrder(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	listen(t, "unix", sock)
	var steps []string
	c, err := dialer(t, "unix:"+sock, Env{}).Probe(t.Context(), "", func(step, _ string, err error) {
		if err != nil {
			t.Error(step, err)
		}
		steps = append(steps, step)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := strings.Join(steps, " "); got != "stat connect uid" {
		t.Errorf("%s", got)
	}
}

func TestAWithdrawnDialIsNoFaultOfTheRoute(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	listen(t, "unix", sock)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, via := range []string{"unix:" + sock, "tcp:127.0.0.1:1", ""} {
		_, err := dialer(t, via, Env{}).Dial(ctx, "127.0.0.1:1")
		if err == nil || errors.As(err, new(*Unavailable)) {
			t.Errorf("%q: %v", via, err)
		}
	}
}
