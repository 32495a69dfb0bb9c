//go:build real

package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is the whole daemon, run inside the test: it finds its bus and its
// folders by the environment, as davbusd does.
type rig struct {
	*testing.T
	lab.HomeDir
	bus    *lab.PrivateBus
	c      *client.Client
	log    syncBuffer
	leave  context.CancelFunc
	reload chan os.Signal
	ended  chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// home makes a fresh home and a bus, and nothing runs yet.
func home(t *testing.T) *rig {
	t.Helper()
	d := &rig{T: t, HomeDir: lab.Home(t), bus: lab.Bus(t)}
	for name, value := range map[string]string{
		"HOME": d.Dir, "XDG_CONFIG_HOME": d.Config, "XDG_STATE_HOME": d.State, "XDG_DATA_HOME": d.Share,
		"XDG_CACHE_HOME": d.Cache, "XDG_RUNTIME_DIR": d.Runtime, "DBUS_SESSION_BUS_ADDRESS": d.bus.Address,
	} {
		t.Setenv(name, value)
	}
	xdg.Reload()
	return d
}

// start runs the daemon until stop, or the end of the test.
func (d *rig) start() {
	d.Helper()
	ctx, leave := context.WithCancel(context.Background())
	ready, told, err := os.Pipe()
	if err != nil {
		d.Fatal(err)
	}
	d.leave, d.reload, d.ended = leave, make(chan os.Signal, 1), make(chan error, 1)
	ended, reload := d.ended, d.reload
	go func() {
		ended <- Run(ctx, Options{LogLevel: "debug", Log: &d.log, Ready: told, Reload: reload})
		close(ended)
	}()
	line := make([]byte, 16)
	n, err := ready.Read(line)
	ready.Close()
	if err != nil || string(line[:n]) != "READY=1\n" {
		d.Fatalf("it is not ready: %q %v\n%s", line[:n], err, d.log.String())
	}
	if d.c, err = client.Dial(d.Context()); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		if err := d.stop(); err != nil {
			d.Errorf("at the end: %v", err)
		}
		if d.Failed() {
			d.Logf("log:\n%s", d.log.String())
		}
	})
}

// stop ends the daemon as SIGTERM does. It may be called twice.
func (d *rig) stop() error {
	if d.c != nil {
		d.c.Close()
		d.c = nil
	}
	d.leave()
	select {
	case err := <-d.ended:
		return err
	case <-time.After(30 * time.Second):
		d.Fatalf("it does not end\n%s", d.log.String())
		return nil
	}
}

// must fails the test with an error.
func (d *rig) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatalf("%v\n%s", err, d.log.String())
	}
}

// account adds an account, the parameters in pairs.
func (d *rig) account(id, kind string, params ...any) {
	d.Helper()
	p := client.Options{}
	for i := 0; i < len(params); i += 2 {
		p[params[i].(string)] = params[i+1]
	}
	_, err := d.c.AddAccount(d.Context(), id, kind, p, nil)
	d.must(err)
}

// sync syncs and demands a result.
func (d *rig) sync(what, result string) client.Props {
	d.Helper()
	job, err := d.c.Sync(d.Context(), what, client.SyncOptions{})
	d.must(err)
	got, report, err := d.c.Wait(d.Context(), job)
	d.must(err)
	if got != result {
		p, _ := d.c.Job(d.Context(), job)
		d.Errorf("%s: %s %s, want %s\n%v", job, got, p.Str("ErrorMessage"), result, report.Plain())
	}
	return report
}

func (d *rig) write(path, text string) {
	d.Helper()
	path = filepath.Join(d.Dir, path)
	d.must(os.MkdirAll(filepath.Dir(path), 0o700))
	d.must(os.WriteFile(path, []byte(text), 0o600))
}

// files are the summaries of the events below a folder, by name.
func (d *rig) files(folder string) string {
	d.Helper()
	entries, err := os.ReadDir(filepath.Join(d.Dir, folder))
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(d.Dir, folder, e.Name()))
		d.must(err)
		_, after, ok := strings.Cut(string(text), "SUMMARY:")
		if line, _, _ := strings.Cut(after, "\r\n"); ok {
			all = append(all, line)
		}
	}
	return strings.Join(all, ", ")
}

func vevent(uid, summary string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

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
	if !lab.Within(20*time.Second, func() bool { return d.files("a/cal") == "Second" }) {
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

func TestASecondDaemonIsRefusedBeforeItTouchesAnything(t *testing.T) {
	d := home(t)
	d.start()
	other := lab.Home(t)
	t.Setenv("XDG_STATE_HOME", other.State)
	xdg.Reload()
	err := Run(t.Context(), Options{Log: &syncBuffer{}})
	if err == nil || !strings.Contains(err.Error(), "another davbusd serves this session") {
		t.Errorf("on the same bus: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other.State, "davbus", "ledger.db")); err == nil {
		t.Error("it made a ledger")
	}
	t.Setenv("XDG_STATE_HOME", d.State)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", lab.Bus(t).Address)
	xdg.Reload()
	err = Run(t.Context(), Options{Log: &syncBuffer{}})
	if err == nil || !strings.Contains(err.Error(), "another davbusd uses this state folder") {
		t.Errorf("over the same state: %v", err)
	}
}

func TestALostBusEndsTheDaemonWithAnError(t *testing.T) {
	d := home(t)
	d.start()
	d.bus.Stop()
	select {
	case err := <-d.ended:
		if err == nil || !strings.Contains(err.Error(), "connection to the bus is lost") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it stays without a bus")
	}
}

func TestQuitAnswersFirstAndThenLeaves(t *testing.T) {
	d := home(t)
	d.start()
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Control.Quit", []any{map[string]dbus.Variant{}}))
	select {
	case err := <-d.ended:
		d.must(err)
	case <-time.After(20 * time.Second):
		t.Error("it does not leave")
	}
}

func TestAnIdleDaemonLeavesAndABusyOneDoesNot(t *testing.T) {
	d := home(t)
	d.write(".config/davbus/davbus.yaml", "idle-exit-sec: 1\n")
	d.start()
	select {
	case err := <-d.ended:
		d.must(err)
	case <-time.After(20 * time.Second):
		t.Fatal("it has nothing to do and stays")
	}
	d.write(".config/davbus/accounts/a.yaml", "kind: vdir\npath: ~/a\n")
	d.write(".config/davbus/accounts/b.yaml", "kind: vdir\npath: ~/b\n")
	d.write(".config/davbus/groups/g.yaml", "members: [a, b]\ninterval-sec: 0\n")
	d.start()
	select {
	case <-d.ended:
		t.Error("it watches two folders, and left")
	case <-time.After(3 * time.Second):
	}
}

func TestReloadTakesWhatPeopleWriteAndNamesWhatIsWrong(t *testing.T) {
	d := home(t)
	d.start()
	d.write(".config/davbus/accounts/a.yaml", "# mine\nkind: vdir\npath: ~/a\n")
	changed, err := d.c.Reload(t.Context(), false)
	if err != nil || len(changed) != 1 || changed[0] != "a" {
		t.Fatalf("changed %v, %v", changed, err)
	}
	d.must(d.c.UpdateAccount(t.Context(), "a", client.Options{"path": "/x"}, nil))
	text, err := os.ReadFile(filepath.Join(d.Config, "davbus/accounts/a.yaml"))
	if err != nil || string(text) != "# mine\nkind: vdir\npath: /x\n" {
		t.Errorf("%q, %v", text, err)
	}
	d.write(".config/davbus/accounts/b.yaml", "kind: vdir\npth: ~/a\n")
	_, err = d.c.Reload(t.Context(), false)
	if !client.HasName(err, "InvalidConfig") || !strings.Contains(err.Error(), "accounts/b.yaml:2:1") {
		t.Errorf("got %v", err)
	}
	var state string
	d.must(d.c.Get(t.Context(), client.Root, client.Name+".Control", "ConfigState", &state))
	if state != "invalid" {
		t.Errorf("ConfigState is %q after a reload that failed", state)
	}
	d.must(os.Remove(filepath.Join(d.Config, "davbus/accounts/b.yaml")))
	d.write(".config/davbus/accounts/a.yaml", "kind: vdir\npath: /y\n")
	err = d.c.UpdateAccount(t.Context(), "a", client.Options{"path": "/z"}, nil)
	if !client.HasName(err, "InvalidConfig") || !strings.Contains(err.Error(), "reload first") {
		t.Errorf("a file that was edited meanwhile: %v", err)
	}
	d.reload <- os.Interrupt // as SIGHUP does
	if !lab.Within(10*time.Second, func() bool { return strings.Contains(d.log.String(), "configuration reloaded") }) {
		t.Error("SIGHUP did not reload")
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
