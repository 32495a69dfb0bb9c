//go:build real && further

package blackbox_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/service/lab"
)

// A desk is a house whose folders are read and written by khal, khard and todoman,
// and kept in step with a real server.
type desk struct {
	*house
	server *lab.Server
	paths  []string // of the server's collections: events, tasks, people
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	server := lab.Radicale(t)
	h := newHouse(t, "desk")
	pim := filepath.Join(h.Dir, "pim")
	h.file(".config/khal/config", "[calendars]\n[[cal]]\npath = "+pim+"/work\n[locale]\nlocal_timezone = UTC\ndefault_timezone = UTC\ntimeformat = %H:%M\n"+
		"dateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\nlongdatetimeformat = %Y-%m-%d %H:%M\n")
	h.file(".config/khard/khard.conf", "[addressbooks]\n[[people]]\npath = "+pim+"/people.contacts\n[general]\neditor = true\nmerge_editor = true\n")
	h.file(".config/todoman/config.py", `path = "`+pim+`/tasks"`+"\n"+`date_format = "%Y-%m-%d"`+"\n"+`time_format = "%H:%M"`+"\n"+`default_list = "tasks"`+"\n")
	h.config("accounts/work.yaml", "kind: dav\nurl: "+server.URL+"/\nusername: "+lab.Alice+"\npassword-command: [cat, "+h.Dir+"/password]\n")
	h.file("password", lab.AlicePassword+"\n")
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ncreate-missing: [local]\ninterval-sec: 0\n")
	d := &desk{house: h, server: server}
	for _, name := range []string{"work", "tasks", "people.contacts"} {
		path, err := server.Make(t.Context(), name)
		h.must(err)
		d.paths = append(d.paths, path)
	}
	return d
}

// put writes an item on the server.
func (d *desk) put(path, kind, text string) {
	d.Helper()
	resp, err := d.server.Do(d.Context(), "PUT", path, text, "Content-Type", kind)
	d.must(err)
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		d.Fatalf("PUT %s: %s", path, resp.Status)
	}
}

// types runs a program as a person would, and fails with what it said.
func (d *desk) types(in string, args ...string) string {
	d.Helper()
	cmd := exec.CommandContext(d.Context(), args[0], args[1:]...)
	cmd.Env, cmd.Stdin = append(d.env(), "LC_ALL=C.UTF-8", "TZ=UTC"), strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// step syncs, and demands that exactly so many items moved and none is in doubt.
func (d *desk) step(want int) {
	d.Helper()
	if r := d.sync(); r.Result != "success" || r.changed() != want || r.Conflicts+r.Held != 0 {
		d.Fatalf("%d changes were expected: %+v\n%v", want, r, d.daemon)
	}
}

// served is all that the server has, read past davbus.
func (d *desk) served() string {
	d.Helper()
	var all bytes.Buffer
	for _, path := range d.paths {
		resp, err := d.server.Do(d.Context(), "GET", path, "")
		d.must(err)
		_, err = all.ReadFrom(resp.Body)
		d.must(err)
		resp.Body.Close()
	}
	return all.String()
}

// The programs that people use on folders show what the server has, and what they
// write, change and delete comes to the server.
func TestFurtherKhalKhardAndTodomanWorkTheFoldersOfAServer(t *testing.T) {
	d := newDesk(t)
	d.put(d.paths[0]+"lunch.ics", "text/calendar", entry("lunch", "Mittag mit Käthe"))
	d.put(d.paths[1]+"tax.ics", "text/calendar", strings.NewReplacer("VEVENT", "VTODO", "DTSTART:20260102T100000Z\r\n", "").Replace(entry("tax", "Steuer")))
	d.put(d.paths[2]+"ann.vcf", "text/vcard", "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ann\r\nFN:Ann Ährenfeld\r\nN:Ährenfeld;Ann;;;\r\nEMAIL:ann@example.org\r\nEND:VCARD\r\n")
	d.start()
	d.step(3)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"Mittag mit Käthe", []string{"khal", "list", "2026-01-02", "1d"}},
		{"Steuer", []string{"todoman", "list"}},
		{"Ann Ährenfeld", []string{"khard", "list"}},
	} {
		if out := d.types("", c.args...); !strings.Contains(out, c.want) {
			t.Errorf("%q does not show %q:\n%s", c.args, c.want, out)
		}
	}
	d.types("", "khal", "new", "-a", "cal", "2026-03-04", "09:00", "Zahnarzt")
	d.types("", "todoman", "new", "-l", "tasks", "Milch holen")
	d.types("First name: Bob\nLast name: Bär\nEmail:\n  work: bob@example.org\n", "khard", "new", "-a", "people", "--vcard-version", "3.0")
	d.step(3)
	d.types("", "todoman", "done", "1")
	d.types("", "khard", "remove", "--force", "Ann")
	d.step(2)
	served := d.served()
	for _, want := range []string{"Zahnarzt", "Milch holen", "Bob", "STATUS:COMPLETED"} {
		if !strings.Contains(served, want) {
			t.Errorf("the server lacks %q:\n%s", want, served)
		}
	}
	if strings.Contains(served, "ann@example.org") {
		t.Errorf("the server still has whom khard removed:\n%s", served)
	}
	d.step(0)
}
