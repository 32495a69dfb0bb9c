//go:build real

package service

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// A rig is the whole daemon, run inside the test: it finds its bus and its
// folders by the environment, as davbusd does.
// home makes a fresh home and a bus, and nothing runs yet.
// start runs the daemon until stop, or the end of the test.
// stop ends the daemon as SIGTERM does. It may be called twice.
// must fails the test with an error.
// account adds an account, the parameters in pairs.
// sync syncs and demands a result.
// files are the summaries of the events below a folder, by name.
func TestTwoFoldersAreKeptInStepOverTheBus(t *testing.T) {
	d := home(t)
	d.start()
	d.write("a/cal/one.ics", vevent("one", "First"))
	d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"))
	d.account("b", "vdir", "path", "~/b/deep")
	_, err := d.c.AddGroup(t.Context(), "home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	d.must(err)
	if r := d.sync("home", "success"); r.Int("added") != 1 {
		t.Errorf("report %v", r.Plain())
	}
	if got := d.files("b/deep/cal"); got != "First" {
		t.Errorf("got %q", got)
	}
	// An edit arrives by itself.
	d.write("b/deep/cal/one.ics", vevent("one", "Second"))
	if !lab.Within(patience, func() bool { return d.files("a/cal") == "Second" }) {
		t.Errorf("an edit did not arrive: %q", d.files("a/cal"))
	}
	// A restart remembers what was in step: a deletion is a deletion.
	before, err := d.c.Job(t.Context(), "/org/davbus/Sync1/job/1")
	d.must(err)
	d.must(d.stop())
	d.must(os.Remove(filepath.Join(d.Dir, "a/cal/one.ics")))
	d.start()
	d.sync("", "success")
	if got := d.files("b/deep/cal"); got != "" {
		t.Errorf("deleted in one folder, and the other has %q", got)
	}
	var jobs []client.Props
	jobs, err = d.c.History(t.Context(), "home", 10)
	d.must(err)
	if first := jobs[len(jobs)-1]; first.Int("id") != 1 || first.Int("added") != 1 || before.Str("Result") != "success" || jobs[0].Int("id") <= 1 {
		t.Errorf("history %v", first.Plain())
	}
}

func TestTheSmallestSessionWithARealServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(lab.T) *lab.Server
		unix  bool
	}{
		{"radicale over TCP", lab.Radicale, false}, {"radicale over a Unix socket", lab.Radicale, true},
		{"xandikos over TCP", lab.Xandikos, false}, {"xandikos over a Unix socket", lab.XandikosOnSocket, true},
	} {
		t.Run(c.name, func(t *testing.T) { smallestSession(t, c.start(t), c.unix) })
	}
}

func smallestSession(t *testing.T, server *lab.Server, unix bool) {
	d := home(t)
	d.start()
	path, err := server.Make(t.Context(), "work")
	d.must(err)
	for i := range 3 {
		resp, err := server.Do(t.Context(), "PUT", path+fmt.Sprint("s", i, ".ics"), vevent(fmt.Sprint("s", i), fmt.Sprint("server ", i)), "Content-Type", "text/calendar")
		d.must(err)
		resp.Body.Close()
		if resp.StatusCode != 201 && resp.StatusCode != 204 {
			t.Fatalf("PUT: %s", resp.Status)
		}
	}
	d.write("pw", lab.AlicePassword+"\n")
	params := []any{"url", server.URL + "/", "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")}}
	if unix {
		params = append(params, "via", "unix:"+server.Socket)
	}
	d.account("work", "dav", params...)
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
	_, err = d.c.AddGroup(t.Context(), "home", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}})
	d.must(err)
	var result string
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Shell.SyncAndWait", []any{"home"}, &result))
	if got := d.files("pim/work"); result != "success" || got != "server 0, server 1, server 2" {
		t.Errorf("%s: %q", result, got)
	}
	d.write("pim/work/mine.ics", vevent("mine", "folder"))
	resp, err := server.Do(t.Context(), "DELETE", path+"s0.ics", "")
	d.must(err)
	resp.Body.Close()
	d.sync("home", "success")
	resp, err = server.Do(t.Context(), "GET", path+"mine.ics", "")
	d.must(err)
	var body bytes.Buffer
	body.ReadFrom(resp.Body)
	resp.Body.Close()
	if got := d.files("pim/work"); got != "folder, server 1, server 2" || !strings.Contains(body.String(), "SUMMARY:folder") {
		t.Errorf("folder %q, on the server: %s", got, body.String())
	}
	r := d.sync("home", "success")
	if r.Int("added")+r.Int("modified")+r.Int("removed") != 0 {
		t.Errorf("a second run did something: %v", r.Plain())
	}
	if strings.Contains(d.log.String(), lab.AlicePassword) {
		t.Error("the password is in the log")
	}
	d.checkAccount(server)
}

// checkAccount reads what Check and the properties of an account tell.
func (d *rig) checkAccount(server *lab.Server) {
	job, err := d.c.Check(d.Context(), "work")
	d.must(err)
	result, report, err := d.c.Wait(d.Context(), job)
	d.must(err)
	if result != "success" || report.Int("collections") < 1 || len(report.Strs("capabilities")) == 0 {
		d.Errorf("check: %s %v", result, report.Plain())
	}
	var all map[string]dbus.Variant
	d.must(d.c.Call(d.Context(), client.AccountPath("work"), "org.freedesktop.DBus.Properties.GetAll", []any{client.Name + ".Account"}, &all))
	p := client.Props(all)
	if p.Str("State") != "idle" || p.Str("SecretState") != "command" || p.Str("Url") != server.URL+"/" || p.Time("LastSuccessUSec").IsZero() {
		d.Errorf("account %v", p.Plain())
	}
}

func TestAWebCalendarGoesIntoAStoreAndAFolder(t *testing.T) {
	d := home(t)
	d.start()
	served := vevent("one", "Published")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/calendar")
		io.WriteString(w, served)
	}))
	defer web.Close()
	d.account("feed", "webcal", "url", web.URL+"/holidays.ics?token=hunter2")
	d.account("keep", "store")
	d.account("pim", "vdir", "path", "~/pim")
	_, err := d.c.AddGroup(t.Context(), "g", []string{"feed", "keep", "pim"}, client.Options{"create-missing": []string{"keep", "pim"}})
	d.must(err)
	if r := d.sync("g", "success"); r.Int("added") != 2 {
		t.Errorf("%v", r.Plain())
	}
	var folders []os.DirEntry
	folders, err = os.ReadDir(filepath.Join(d.Dir, "pim"))
	d.must(err)
	if len(folders) != 1 || d.files("pim/"+folders[0].Name()) != "Published" {
		t.Errorf("%v", folders)
	}
	if _, err := os.Stat(filepath.Join(d.Share, "davbus/store/keep.db")); err != nil {
		t.Error(err)
	}
	// It is read-only: an edit in the folder reaches the store and not the web,
	// and nothing calls that an error.
	served = vevent("one", "Moved")
	d.sync("g", "success")
	if got := d.files("pim/" + folders[0].Name()); got != "Moved" {
		t.Errorf("got %q", got)
	}
	var url string
	d.must(d.c.Get(t.Context(), client.AccountPath("feed"), client.Name+".Account", "Url", &url))
	if url != web.URL+"/holidays.ics" {
		t.Errorf("Url is %q: what is behind the question mark is often a secret", url)
	}
}

// TestStoppedInTheMiddleOfASyncItConvergesAfterwards: SIGTERM lets the running
// write end, and the next run brings what is left, nothing twice.
func TestStoppedInTheMiddleOfASyncItConvergesAfterwards(t *testing.T) {
	server := lab.Radicale(t)
	proxy := lab.CountingProxy(t, server.URL)
	d := home(t)
	d.start()
	path, err := server.Make(t.Context(), "work")
	d.must(err)
	const all = 30
	for i := range all {
		d.write(fmt.Sprintf("pim/work/%02d.ics", i), vevent(fmt.Sprintf("u%02d", i), fmt.Sprintf("item %02d", i)))
	}
	d.write("pw", lab.AlicePassword)
	d.account("work", "dav", "url", proxy.URL+"/", "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")})
	d.account("local", "vdir", "path", "~/pim")
	_, err = d.c.AddGroup(t.Context(), "home", []string{"work", "local"}, nil)
	d.must(err)
	var puts atomic.Int32
	proxy.Before(func(n int, r *http.Request) {
		if r.Method == http.MethodPut && puts.Add(1) == 5 {
			d.leave()
		}
	})
	_, err = d.c.Sync(t.Context(), "home", client.SyncOptions{})
	d.must(err)
	select {
	case err := <-d.ended:
		d.must(err)
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop while it syncs")
	}
	if n := puts.Load(); n < 5 || n == all {
		t.Errorf("%d items were sent; it was stopped at the fifth", n)
	}
	proxy.Before(nil)
	d.start()
	d.sync("home", "success")
	d.sync("home", "success")
	resp, err := server.Do(t.Context(), "PROPFIND", path, "", "Depth", "1")
	d.must(err)
	var body bytes.Buffer
	body.ReadFrom(resp.Body)
	resp.Body.Close()
	if n := strings.Count(body.String(), ".ics</"); n != all {
		t.Errorf("%d items on the server, want %d", n, all)
	}
	if n := strings.Count(d.files("pim/work"), "item"); n != all {
		t.Errorf("%d items in the folder, want %d", n, all)
	}
}
