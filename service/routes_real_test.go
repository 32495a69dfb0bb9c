//go:build real

package service

import (
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// Each step of a check is told, and the one that fails says what to do.
func TestRealCheckSaysStepByStepWhatIsWrongAndWhatToDo(t *testing.T) {
	d := home(t)
	server := davtest.New(t, davtest.Options{Unix: true, User: "me", Password: "right"})
	server.Calendar("work")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(d.Runtime, "dead"), Net: "unix"})
	d.must(err)
	dead.SetUnlinkOnClose(false)
	dead.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	closed.Close()
	d.write("pw", "right\n")
	d.write("bad", "wrong\n")
	d.start()
	well := client.Options{"url": "http://localhost/", "via": "unix:" + server.Socket, "username": "me", "password-command": []string{"cat", filepath.Join(d.Dir, "pw")}}
	_, err = d.c.AddAccount(t.Context(), "it", "dav", well, nil)
	d.must(err)
	for _, c := range []struct {
		name   string
		change client.Options
		steps  string // all that are told
		advice string
	}{
		{"well", nil, "stat connect uid options login principal collections collections", "1 found"},
		{"no socket", client.Options{"via": "unix:%t/none"}, "stat", "start the server"},
		{"dead socket", client.Options{"via": "unix:%t/dead"}, "stat connect", "the program that made it has ended"},
		{"no abstract socket", client.Options{"via": "unix:@davbus-test-none"}, "connect", "nobody listens"},
		{"nobody listens", client.Options{"via": "tcp:" + closed.Addr().String()}, "connect", "the server is down, or the port is another"},
		{"no descriptor", client.Options{"via": "fd:none"}, "connect", "no descriptor none was handed to the service"},
		{"no program", client.Options{"via": "exec:/no/such/program"}, "connect", "cannot start the program"},
		{"no TLS there", client.Options{"url": "https://localhost/"}, "stat connect uid tls", "no secure connection"},
		{"wrong password", client.Options{"password-command": []string{"cat", filepath.Join(d.Dir, "bad")}}, "stat connect uid options login", "check user name and password"},
	} {
		p := maps.Clone(well)
		maps.Copy(p, c.change)
		result, lines := d.checkWith("it", p)
		var steps []string
		for line := range strings.Lines(lines) {
			step, _, _ := strings.Cut(line, ":")
			steps = append(steps, step)
		}
		if got := strings.Join(steps, " "); got != c.steps || (result == "success") != (c.change == nil) {
			t.Errorf("%s: %s, steps %s, want %s\n%s", c.name, result, got, c.steps, lines)
		}
		if !strings.Contains(lines, c.advice) {
			t.Errorf("%s: %q is not in\n%s", c.name, c.advice, lines)
		}
	}
}

// The route of an account is changed while a job is in the middle of a request by
// the old one. The job ends as it began, the next one goes the new way, and
// nothing is lost.
func TestRealV13ARouteIsChangedWhileAJobRuns(t *testing.T) {
	d := home(t)
	server := davtest.New(t, davtest.Options{Unix: true})
	server.Calendar("work")
	other := filepath.Join(d.Runtime, "other")
	d.must(os.Link(server.Socket, other))
	d.write("pim/work/one.ics", vevent("one", "First"))
	d.start()
	d.account("server", "dav", "url", "http://localhost"+server.Home(engine.Calendar), "via", "unix:"+server.Socket)
	d.account("local", "vdir", "path", "~/pim")
	_, err := d.c.AddGroup(t.Context(), "home", []string{"server", "local"}, client.Options{})
	d.must(err)
	reached, release := make(chan bool, 100), make(chan bool)
	server.Always("PUT", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached <- true
			<-release
			next.ServeHTTP(w, r)
		})
	})
	job, err := d.c.Sync(t.Context(), "home", client.SyncOptions{})
	d.must(err)
	letGo := sync.OnceFunc(func() { close(release) })
	t.Cleanup(letGo)
	<-reached
	d.must(d.c.UpdateAccount(t.Context(), "server", client.Options{"via": "unix:%t/other"}, nil))
	d.must(os.Remove(server.Socket)) // nobody can go the old way from here on
	letGo()
	if result, report, err := d.c.Wait(t.Context(), job); err != nil || result != "success" {
		t.Errorf("the job that ran: %s, %v, %v", result, report.Plain(), err)
	}
	d.write("pim/work/two.ics", vevent("two", "Second"))
	d.sync("home", "success")
	if got := server.Count("PUT"); got != 2 || d.files("pim/work") != "First, Second" {
		t.Errorf("%d items were written to the server; the folder has %s", got, d.files("pim/work"))
	}
	var address string
	d.must(d.c.Get(t.Context(), client.AccountPath("server"), client.Name+".Account", "TransportAddress", &address))
	if address != other {
		t.Errorf("the account is said to be reached at %q", address)
	}
	// A route that leads nowhere stops this account, deletes nothing, and is left
	// again as easily.
	d.must(d.c.UpdateAccount(t.Context(), "server", client.Options{"via": "unix:%t/none"}, nil))
	d.sync("home", "failed")
	d.must(d.c.UpdateAccount(t.Context(), "server", client.Options{"via": "unix:%t/other"}, nil))
	d.sync("home", "success")
	if got := d.files("pim/work"); got != "First, Second" || server.Count("DELETE") != 0 {
		t.Errorf("the folder has %s", got)
	}
}

// V1, V16, V17: plain HTTPS with the authorities of the system and nothing else
// said, the URL and the user by commands, and a web calendar on a socket.
func TestRealV1V16V17TheSystemsAuthoritiesCommandsAndWebCalendars(t *testing.T) {
	d := home(t)
	server := davtest.New(t, davtest.Options{User: "me", Password: "right"})
	server.Calendar("work")
	server.AddressBook("people")
	to, err := url.Parse(server.URL)
	d.must(err)
	front := httptest.NewTLSServer(lab.EndBodies(httputil.NewSingleHostReverseProxy(to)))
	t.Cleanup(front.Close)
	d.write("system.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})))
	t.Setenv("SSL_CERT_FILE", filepath.Join(d.Dir, "system.pem"))
	l, err := net.Listen("unix", filepath.Join(d.Runtime, "feed"))
	d.must(err)
	feed := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/calendar")
		io.WriteString(w, vevent("one", r.URL.Path))
	})}}
	feed.Start()
	t.Cleanup(feed.Close)
	d.process(nil, self(t))
	d.dialled()

	d.account("it", "dav", "url-command", []string{"echo", front.URL + "/"}, "username-command", []string{"echo", "me"}, "password-command", []string{"echo", "right"})
	if result, lines := d.check("it"); result != "success" || !strings.Contains(lines, "tls: ok (TLS 1.3") || !strings.Contains(lines, "2 found") {
		t.Errorf("%s: %s", result, lines)
	}
	d.account("feed", "webcal", "url", "http://localhost/holidays.ics", "via", "unix:%t/feed")
	d.account("local", "vdir", "path", "~/pim", "kind", "calendar")
	_, err = d.c.AddGroup(t.Context(), "home", []string{"feed", "local"}, client.Options{"create-missing": []string{"local"}})
	d.must(err)
	d.sync("home", "success")
	got, err := filepath.Glob(filepath.Join(d.Dir, "pim", "*", "*.ics"))
	if err != nil || len(got) != 1 {
		t.Errorf("the folder has %v, %v", got, err)
	}
	if log := d.log.String(); strings.Contains(log, "right") {
		t.Errorf("the password is in the log:\n%s", log)
	}
}
