//go:build real

package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/transports/control"
)

// withFolder is a daemon with a folder "here", whose collection "work" has some
// events, and a client of its control socket.
func withFolder(t *testing.T, events ...string) (*rig, *asker) {
	d := home(t)
	d.must(os.MkdirAll(filepath.Join(d.Dir, "cal", "work"), 0o700))
	for _, uid := range events {
		d.write("cal/work/"+uid+".ics", vevent(uid, "Event "+uid))
	}
	d.start()
	a := d.asker()
	a.ask("Manager.AddAccount", map[string]any{"id": "here", "kind": "vdir", "parameters": map[string]any{"path": filepath.Join(d.Dir, "cal"), "kind": "calendar"}})
	a.done("Account.Discover", map[string]any{"object": "here"})
	return d, a
}

// An asker asks by the control socket.
type asker struct {
	*rig
	c *control.Client
}

func (d *rig) asker() *asker {
	d.Helper()
	c, err := control.Dial(filepath.Join(d.Runtime, "davbus", "control"))
	d.must(err)
	d.Cleanup(func() { c.Close() })
	return &asker{d, c}
}

func (a *asker) ask(method string, params map[string]any) map[string]any {
	a.Helper()
	var got map[string]any
	if err := a.c.Call(a.Context(), method, params, &got); err != nil {
		a.Fatalf("%s: %v", method, err)
	}
	return got
}

// done asks for a job and waits for its report.
func (a *asker) done(method string, params map[string]any) map[string]any {
	a.Helper()
	return a.ask("Job.Wait", map[string]any{"object": a.ask(method, params)["job"]})
}

// stream makes a stream and listens on it as is usual.
func (a *asker) stream(method, object string, options map[string]any, door map[string]any) (address, cookie, id string) {
	a.Helper()
	p := map[string]any{"object": object}
	for k, v := range options {
		p[k] = v
	}
	id = a.ask(method, p)["stream"].(string)
	l := map[string]any{"object": id, "address_type": "unix", "access_control": ""}
	for k, v := range door {
		l[k] = v
	}
	got := a.ask("Stream.Listen", l)
	return got["address"].(string), got["cookie"].(string), id
}

func TestRealT8T13ExportAndServeBySocatAndCurl(t *testing.T) {
	d, a := withFolder(t, "one")
	event := vevent("one", "Event one")
	path := a.ask("Shell.Export", map[string]any{"what": "here/work"})["address"].(string)
	if got := tool(t, "", "socat", "-u", "UNIX-CONNECT:"+path, "-"); got != event {
		t.Errorf("the export is %q", got)
	}
	path = a.ask("Shell.Serve", map[string]any{"what": "here/work"})["address"].(string)
	const at = "http://localhost/user/calendars/work/"
	if got := tool(t, "", "curl", "-sS", "--unix-socket", path, at+"one.ics"); got != event {
		t.Errorf("served: %q", got)
	}
	second := strings.ReplaceAll(event, "one", "two")
	tool(t, second, "curl", "-sS", "-f", "--unix-socket", path, "-T", "-", "-H", "Content-Type: text/calendar", at+"two.ics")
	if got, err := os.ReadFile(filepath.Join(d.Dir, "cal/work/two.ics")); err != nil || string(got) != second {
		t.Errorf("the folder has %q, %v", got, err)
	}
	if got := tool(t, "", "curl", "-sS", "--unix-socket", path, "-X", "PROPFIND", "-H", "Depth: 1", at); !strings.Contains(got, "two.ics") {
		t.Error(got)
	}
}

// answer is the line that an import ends with.
func answer(t *testing.T, line string) (a struct {
	Result, Error                          string
	Added, Modified, Removed, Failed, Held int
	Lines                                  []string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return a
}

func TestRealT8ImportBySocatIsOneJobAndACutOneChangesNothing(t *testing.T) {
	d, a := withFolder(t, "one", "two", "three")
	all := vevent("one", "New one") + vevent("four", "Event four") + "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:C\r\nEND:VCARD\r\n"
	into := func(options map[string]any, data string) string {
		t.Helper()
		path, _, _ := a.stream("Collection.Import", "here/work", options, nil)
		return tool(t, data, "socat", "-t30", "-", "UNIX-CONNECT:"+path)
	}
	if got := answer(t, into(map[string]any{"dry-run": true}, all)); got.Added != 1 || got.Modified != 1 || got.Failed != 1 || d.files("cal/work") != "Event one, Event three, Event two" {
		t.Errorf("a dry run: %+v, and the folder has %s", got, d.files("cal/work"))
	}
	for _, cut := range []string{all[:len(all)-5], vevent("one", "New one") + "BEGIN:VCAL"} {
		if got := answer(t, into(nil, cut)); got.Result != "failed" || !strings.Contains(got.Error, "nothing was changed") || d.files("cal/work") != "Event one, Event three, Event two" {
			t.Errorf("cut off: %+v, and the folder has %s", got, d.files("cal/work"))
		}
	}
	wrong := strings.Repeat("0", 64)
	if got := into(map[string]any{"sha256": wrong}, all); got != "" || d.files("cal/work") != "Event one, Event three, Event two" {
		t.Errorf("with a wrong hash: %q, and the folder has %s", got, d.files("cal/work"))
	}
	got := answer(t, into(nil, all))
	if got.Result != "partial" || got.Added != 1 || got.Modified != 1 || got.Failed != 1 || len(got.Lines) != 1 || !strings.Contains(got.Lines[0], "addressbook") {
		t.Errorf("%+v", got)
	}
	if now := d.files("cal/work"); now != "Event four, New one, Event three, Event two" {
		t.Errorf("the folder has %s", now)
	}
}

func TestRealT8ReplaceDeletesWhatDidNotCome(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("e%02d", i))
	}
	d, a := withFolder(t, names...)
	count := func() int { return len(strings.Split(d.files("cal/work"), ", ")) }
	into := func(options map[string]any, keep int) string {
		t.Helper()
		var data strings.Builder
		for _, uid := range names[:keep] {
			data.WriteString(vevent(uid, "Event "+uid))
		}
		path, _, _ := a.stream("Collection.Import", "here/work", options, nil)
		return tool(t, data.String(), "socat", "-t30", "-", "UNIX-CONNECT:"+path)
	}
	if got := answer(t, into(map[string]any{"replace": true}, 0)); got.Result != "failed" || count() != 20 {
		t.Errorf("nothing came: %+v, %d are left", got, count())
	}
	if got := answer(t, into(map[string]any{"replace": true}, 9)); got.Held != 11 || got.Removed != 0 || count() != 20 {
		t.Errorf("11 of 20: %+v, %d are left", got, count())
	}
	if got := answer(t, into(map[string]any{"replace": true, "confirm-deletions": 10}, 9)); got.Held != 11 || count() != 20 {
		t.Errorf("another number confirmed: %+v, %d are left", got, count())
	}
	if got := answer(t, into(map[string]any{"replace": true}, 10)); got.Result != "success" || got.Removed != 10 || count() != 10 {
		t.Errorf("10 of 20: %+v, %d are left", got, count())
	}
	if got := answer(t, into(map[string]any{"replace": true, "confirm-deletions": 9}, 1)); got.Removed != 9 || count() != 1 {
		t.Errorf("confirmed: %+v, %d are left", got, count())
	}
}
