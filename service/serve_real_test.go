//go:build real

package service

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// inStep is a daemon that keeps a calendar "work" of a server and a folder in
// step, with three events.
func inStep(t *testing.T) (*rig, *asker, *lab.Server) {
	server := lab.Radicale(t)
	d := home(t)
	d.start()
	path, err := server.Make(t.Context(), "work")
	d.must(err)
	for i, month := range []string{"january", "march", "may"} {
		text := strings.Replace(vevent(month, "In "+month), "20260102T", fmt.Sprintf("2026%02d15T", 2*i+1), 1)
		resp, err := server.Do(t.Context(), "PUT", path+month+".ics", text, "Content-Type", "text/calendar")
		d.must(err)
		resp.Body.Close()
	}
	d.write("pw", lab.AlicePassword+"\n")
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")})
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
	_, err = d.c.AddGroup(t.Context(), "home", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}, "interval-sec": uint32(0)})
	d.must(err)
	d.sync("home", "success")
	return d, d.asker(), server
}

// onServer is everything that a server has of Alice's calendar.
func (d *rig) onServer(server *lab.Server) string {
	d.Helper()
	resp, err := server.Do(d.Context(), "GET", "/alice/work/", "")
	d.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.must(err)
	return string(body)
}

// person runs a program with a home folder of its own.
func (d *rig) person(in, name string, args ...string) string {
	d.Helper()
	cmd := exec.CommandContext(d.Context(), name, args...)
	cmd.Dir = filepath.Join(d.Dir, "person")
	d.must(os.MkdirAll(cmd.Dir, 0o700))
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC"}
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestRealT13ClientsWorkOffTheServerAndAllIsInStepWhenItIsBack(t *testing.T) {
	d, a, server := inStep(t)
	server.Kill()
	// By the server's own name: what serves is the folder that is kept in step.
	address, cookie, _ := a.stream("Collection.Serve", "work/work", nil, map[string]any{"address_type": "tcp"})
	python := func(args ...string) string {
		return tool(t, "", "/usr/bin/python3", append([]string{"testdata/caldavcal.py", "http://" + address + "/", "me", cookie, "work"}, args...)...)
	}
	if got := python("between", "2026-03-01", "2026-04-01"); got != "In march\n" {
		t.Errorf("between: %q", got)
	}
	d.write("person/.netrc", "machine 127.0.0.1 login me password "+cookie+"\n")
	d.write("person/cadaver.ics", vevent("cadaver", "By cadaver"))
	d.write("person/cal/work/folder.ics", vevent("folder", "By vdirsyncer"))
	d.write("person/.config/vdirsyncer/config", fmt.Sprintf(syncerConfig, filepath.Join(d.Dir, "person"), address, cookie))
	var wg sync.WaitGroup // two at a time, and none of them loses
	wg.Go(func() { python("add", "py", "By python", "2026-03-20"); python("edit", "march", "Edited by python") })
	wg.Go(func() {
		out := d.person("cd user/calendars/work\nput cadaver.ics\nls\nquit\n", "/usr/bin/cadaver", "http://"+address+"/")
		if !strings.Contains(out, "cadaver.ics") || strings.Contains(out, "failed") {
			t.Errorf("cadaver: %s", out)
		}
	})
	wg.Wait()
	wg.Go(func() {
		d.person("y\ny\n", "/usr/bin/vdirsyncer", "discover")
		d.person("", "/usr/bin/vdirsyncer", "sync")
	})
	wg.Go(func() {
		d.person("", "curl", "-sS", "-f", "-u", "me:"+cookie, "-X", "DELETE", "http://"+address+"/user/calendars/work/may.ics")
	})
	wg.Wait()
	const want = "By cadaver, By python, By vdirsyncer, Edited by python, In january"
	if got := python("names"); got != strings.ReplaceAll(want, ", ", "\n")+"\n" {
		t.Errorf("served: %q", got)
	}
	if names, _ := os.ReadDir(filepath.Join(d.Dir, "person/cal/work")); len(names) < 5 {
		t.Errorf("vdirsyncer brought %v", names)
	}
	d.must(server.Restart())
	d.sync("home", "success")
	on := d.onServer(server)
	for _, summary := range append(strings.Split(want, ", "), "-In may", "-In march") {
		gone := strings.HasPrefix(summary, "-")
		if strings.Contains(on, "SUMMARY:"+strings.TrimPrefix(summary, "-")) == gone {
			t.Errorf("%s is wrong on the server:\n%s", summary, on)
		}
	}
	if r := d.sync("home", "success"); r.Int("added")+r.Int("modified")+r.Int("removed") != 0 {
		t.Errorf("a second run did something: %v", r.Plain())
	}
	d.hidden("")
}

const syncerConfig = `[general]
status_path = "%[1]s/status"
[pair cal]
a = "here"
b = "there"
collections = ["work"]
[storage here]
type = "filesystem"
path = "%[1]s/cal"
fileext = ".ics"
[storage there]
type = "caldav"
url = "http://%[2]s/"
username = "me"
password = "%[3]s"
`

func TestRealT8ImportedItemsAndDeletionsReachTheServer(t *testing.T) {
	d, a, server := inStep(t)
	var many strings.Builder
	for i := range 20 {
		many.WriteString(vevent(fmt.Sprint("many", i), fmt.Sprint("Many ", i)))
	}
	into := func(options map[string]any, data string) string {
		t.Helper()
		path, _, id := a.stream("Collection.Import", "work/work", options, nil)
		got := tool(t, data, "socat", "-t30", "-", "UNIX-CONNECT:"+path)
		_ = id
		return got
	}
	if got := answer(t, into(nil, many.String())); got.Result != "success" || strings.Count(d.onServer(server), "SUMMARY:Many") != 20 {
		t.Errorf("%+v\n%s", got, d.onServer(server))
	}
	// What does not come goes from the folder; at the server the guard holds it.
	got := answer(t, into(map[string]any{"replace": true}, vevent("many0", "Many 0")))
	if got.Removed != 22 || got.Held != 22 || strings.Count(d.onServer(server), "SUMMARY:") != 23 {
		t.Errorf("%+v\n%s", got, d.onServer(server))
	}
	job, err := d.c.ConfirmDeletions(t.Context(), "home", false, nil)
	d.must(err)
	_, _, err = d.c.Wait(t.Context(), job)
	d.must(err)
	if n := len(strings.Split(d.files("pim/work"), ", ")); n != 23 {
		t.Errorf("refused, and the folder has %d", n)
	}
}
