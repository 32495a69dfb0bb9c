//go:build real

package davserver_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

// A person has a home without a past and the programs of the system.
type person struct {
	t    *testing.T
	home string
}

func newPerson(t *testing.T) person { return person{t, t.TempDir()} }

func (u person) write(name, text string) string {
	u.t.Helper()
	path := filepath.Join(u.home, name)
	must(u.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(u.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// run runs a program and gives what it said; it must end well.
func (u person) run(stdin string, name string, args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), name, args...)
	cmd.Dir = u.home
	cmd.Env = []string{"HOME=" + u.home, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC", "XDG_CONFIG_HOME=" + u.home + "/.config"}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func login() davtest.Options {
	return davtest.Options{User: "alice", Password: "secret-a", PageSize: 3}
}

func TestRealVdirsyncerSyncsBothWaysAndKhalReadsIt(t *testing.T) {
	srv, u := davtest.New(t, login()), newPerson(t)
	calendar, book := srv.Calendar("home"), srv.AddressBook("friends")
	for i := range 20 {
		calendar.Put(engine.Ref(fmt.Sprintf("server%d.ics", i)), []byte(event(fmt.Sprintf("server%d", i), fmt.Sprintf("from the server %d", i), "DTSTART:20260105T100000Z", "DTEND:20260105T110000Z")))
	}
	book.Put("ada.vcf", []byte(card("ada", "Ada")))
	u.write("cal/mine/x.ics", event("x", "from the folder", "DTSTART:20260105T120000Z"))
	u.write(".config/vdirsyncer/config", fmt.Sprintf(vdirsyncerConfig, u.home, u.home, srv.URL, u.home, srv.URL))
	sync := func() string { return u.run(strings.Repeat("y\n", 20), "/usr/bin/vdirsyncer", "sync") }
	u.run(strings.Repeat("y\n", 20), "/usr/bin/vdirsyncer", "discover")
	sync()
	mine := srv.Source.Storage("mine")
	if mine == nil || len(mine.Texts()) != 1 {
		t.Fatal("vdirsyncer did not make its calendar and fill it")
	}
	if n, _ := filepath.Glob(u.home + "/cal/home/*.ics"); len(n) != 20 {
		t.Errorf("20 events on the server, %d in the folder", len(n))
	}
	if n, _ := filepath.Glob(u.home + "/card/friends/*.vcf"); len(n) != 1 {
		t.Errorf("one contact on the server, %d in the folder", len(n))
	}
	srv.ResetLog()
	sync()
	if n := srv.Count("PUT", "DELETE", "GET"); n != 0 {
		t.Errorf("a second sync makes %d requests for items: %+v", n, srv.Log())
	}
	// One edit and one deletion on each side.
	calendar.Put("server1.ics", []byte(event("server1", "edited on the server", "DTSTART:20260105T100000Z")))
	calendar.Remove("server2.ics")
	must(t, os.Remove(u.home+"/cal/home/server3.ics"))
	u.write("cal/home/server4.ics", event("server4", "edited in the folder", "DTSTART:20260105T100000Z"))
	sync()
	texts := calendar.Texts()
	if _, there := texts["server3.ics"]; there || !strings.Contains(texts["server4.ics"], "in the folder") || len(texts) != 18 {
		t.Errorf("the server has %d events and not what the folder has", len(texts))
	}
	u.write(".config/khal/config", "[calendars]\n[[cal]]\npath = "+u.home+"/cal/*\ntype = discover\n[locale]\nlocal_timezone = UTC\ndefault_timezone = UTC\ntimeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\nlongdatetimeformat = %Y-%m-%d %H:%M\n[sqlite]\npath = "+u.home+"/khal.db\n")
	listed := u.run("", "/usr/bin/khal", "list", "2026-01-05", "1d")
	for text, want := range map[string]bool{"edited on the server": true, "edited in the folder": true, "from the server 5": true, "from the server 2": false, "from the server 3": false, "from the folder": true} {
		if strings.Contains(listed, text+"\n") != want {
			t.Errorf("khal lists %q: %v, want %v\n%s", text, !want, want, listed)
		}
	}
}

const vdirsyncerConfig = `[general]
status_path = "%s/status"
[pair cal]
a = "calhere"
b = "calthere"
collections = ["from a", "from b"]
[storage calhere]
type = "filesystem"
path = "%s/cal"
fileext = ".ics"
[storage calthere]
type = "caldav"
url = "%s/"
username = "alice"
password = "secret-a"
[pair card]
a = "cardhere"
b = "cardthere"
collections = ["from a", "from b"]
[storage cardhere]
type = "filesystem"
path = "%s/card"
fileext = ".vcf"
[storage cardthere]
type = "carddav"
url = "%s/"
username = "alice"
password = "secret-a"
`

func TestRealCurlWorksOverTheUnixSocket(t *testing.T) {
	opt := login()
	opt.Unix = true
	srv, u := davtest.New(t, opt), newPerson(t)
	srv.Calendar("home")
	const base = "http://anything.example/alice/calendars/home/"
	curl := func(args ...string) string {
		return u.run("", "/usr/bin/curl", append([]string{"-sS", "--unix-socket", srv.Socket, "-u", "alice:secret-a", "-w", "%{http_code}"}, args...)...)
	}
	text := event("u", "by curl")
	file := u.write("u.ics", text)
	if got := curl("-T", file, base+"u.ics"); got != "201" {
		t.Errorf("PUT: %s", got)
	}
	if got := curl("-T", file, "-H", "If-None-Match: *", base+"u.ics"); !strings.HasSuffix(got, "412") {
		t.Errorf("PUT again: %s", got)
	}
	if got := curl(base + "u.ics"); got != text+"200" {
		t.Errorf("GET: %q", got)
	}
	if got := curl("-T", "-", "-H", "Transfer-Encoding: chunked", base+"v.ics"); !strings.HasSuffix(got, "403") {
		t.Errorf("an empty chunked PUT: %s", got)
	}
	if got := curl("-X", "PROPFIND", "-H", "Depth: 1", base); !strings.HasSuffix(got, "207") || !strings.Contains(got, "home/u.ics") {
		t.Errorf("PROPFIND: %s", got)
	}
	if got := curl("-I", base+"u.ics"); !strings.Contains(got, fmt.Sprintf("Content-Length: %d\r\n", len(text))) || !strings.HasSuffix(got, "200") {
		t.Errorf("HEAD: %s", got)
	}
	if got := curl("-X", "DELETE", base+"u.ics"); got != "204" {
		t.Errorf("DELETE: %s", got)
	}
}

func TestRealCadaverListsStoresAndRemoves(t *testing.T) {
	srv, u := davtest.New(t, login()), newPerson(t)
	s := srv.Calendar("home")
	s.Put("old.ics", []byte(event("old", "old")))
	u.write(".netrc", "machine 127.0.0.1 login alice password secret-a\n")
	u.write("new.ics", event("new", "by cadaver"))
	out := u.run("cd alice/calendars/home\nls\nput new.ics\nget old.ics fetched.ics\ndelete old.ics\nls\nquit\n", "/usr/bin/cadaver", srv.URL+"/")
	texts := s.Texts()
	if len(texts) != 1 || texts["new.ics"] != event("new", "by cadaver") || !strings.Contains(out, "old.ics") || !strings.Contains(out, "new.ics") || strings.Contains(out, "failed") {
		t.Errorf("the calendar holds %v\n%s", texts, out)
	}
	if fetched, err := os.ReadFile(u.home + "/fetched.ics"); err != nil || string(fetched) != event("old", "old") {
		t.Errorf("cadaver fetched %q, %v", fetched, err)
	}
}

func TestRealPythonCaldavReadsAndWrites(t *testing.T) {
	srv, u := davtest.New(t, login()), newPerson(t)
	s := srv.Calendar("home")
	s.Put("weekly.ics", []byte(event("weekly", "weekly", "DTSTART:20260105T100000Z", "DTEND:20260105T110000Z", "RRULE:FREQ=WEEKLY")))
	script := u.write("client.py", pythonClient)
	out := u.run("", "/usr/bin/python3", script, srv.URL+"/")
	if !strings.HasSuffix(out, "content\n") {
		t.Errorf("python3-caldav says\n%s", out)
	}
	if s := srv.Source.Storage("made"); s == nil || len(s.Texts()) != 1 {
		t.Error("its calendar is not there with one item")
	}
}

const pythonClient = `import sys, datetime, caldav
from caldav.elements import dav
client = caldav.DAVClient(sys.argv[1], username="alice", password="secret-a")
me = client.principal()
home = [c for c in me.calendars() if str(c.url).endswith("/home/")]
assert len(home) == 1, me.calendars()
home = home[0]
def day(n): return datetime.datetime(2026, 1, n)
found = home.date_search(start=day(12), end=day(13), expand=False)
assert len(found) == 1 and "weekly" in found[0].data, found
assert home.date_search(start=day(13), end=day(14), expand=False) == []
made = me.make_calendar(name="Made here", cal_id="made")
assert made.get_properties([dav.DisplayName()])["{DAV:}displayname"] == "Made here"
def text(uid, kind, more): return "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y\nBEGIN:%s\nUID:%s\nDTSTAMP:20260101T000000Z\n%s\nEND:%s\nEND:VCALENDAR\n" % (kind, uid, more, kind)
e = made.save_event(text("e1", "VEVENT", "DTSTART:20260105T100000Z\nSUMMARY:one"))
made.save_todo(text("t1", "VTODO", "SUMMARY:do it"))
assert len(made.events()) == 1 and len(made.todos()) == 1
e.data = e.data.replace("one", "two")
e.save()
assert "two" in made.event_by_uid("e1").data
token = made.objects_by_sync_token(load_objects=True)
assert len(list(token)) == 2
made.todos()[0].delete()
changed = made.objects_by_sync_token(sync_token=token.sync_token)
assert len(list(changed)) == 1, list(changed)
try:
    made.event_by_uid("none")
    assert False
except caldav.error.NotFoundError:
    pass
print("content")
`
