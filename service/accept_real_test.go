//go:build real

package service

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item/itemtest"
	"davbus.org/davbus/service/lab"
	"github.com/godbus/dbus/v5"
)

// servers are the real ones, each by both ways in.
var servers = []struct {
	name  string
	start func(lab.T) *lab.Server
	unix  bool
}{
	{"radicale over TCP", lab.Radicale, false}, {"radicale over a Unix socket", lab.Radicale, true},
	{"xandikos over TCP", lab.Xandikos, false}, {"xandikos over a Unix socket", lab.XandikosOnSocket, true},
}

// through adds the account "work" for a server, with a counting proxy between.
func (d *rig) through(server *lab.Server, unix bool) *lab.Proxy {
	d.Helper()
	target := server.URL
	if unix {
		target = server.Socket
	}
	proxy := lab.CountingProxy(d.T, target)
	d.write("pw", lab.AlicePassword+"\n")
	params := []any{"url", proxy.URL + "/", "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")}}
	if unix {
		params = append(params, "via", "unix:"+proxy.Socket)
	}
	d.account("work", "dav", params...)
	return proxy
}

func (d *rig) group(id string, members []string, o client.Options) {
	d.Helper()
	o["interval-sec"] = uint32(0) // only when asked
	_, err := d.c.AddGroup(d.Context(), id, members, o)
	d.must(err)
}

// judge asks other libraries than ours.
func (d *rig) judge(args ...string) {
	d.Helper()
	for i, a := range args[1:] {
		args[i+1] = filepath.Join(d.Dir, a)
	}
	out, err := exec.CommandContext(d.Context(), "/usr/bin/python3", append([]string{"testdata/judge.py"}, args...)...).CombinedOutput()
	if err != nil {
		d.Errorf("judge %v: %v\n%s", args, err, out)
	}
}

// fill writes items into the folders cal and ab below a folder.
func (d *rig) fill(folder string, events, cards int) {
	d.Helper()
	for _, k := range []struct {
		dir, ext, kind string
		n              int
	}{{"cal", ".ics", engine.Calendar, events}, {"ab", ".vcf", engine.AddressBook, cards}} {
		for i, it := range slices.DeleteFunc(itemtest.Gen(7, 3*k.n+20, k.kind), unlike)[:k.n] {
			d.write(filepath.Join(folder, k.dir, fmt.Sprintf("i%04d%s", i, k.ext)), string(it.Text))
		}
	}
}

// unlike is what servers do not give back as it is: two descriptions, which RFC 5545
// allows in a journal and Radicale refuses, and a card of version 4, which comes
// back from a server of version 3 as one of that.
func unlike(it itemtest.Item) bool {
	text := string(it.Text)
	return strings.Contains(text, "BEGIN:VJOURNAL") && strings.Count(text, "\nDESCRIPTION") > 1 || strings.Contains(text, "\nVERSION:4.0")
}

// list gives the items below a folder, sorted.
func (d *rig) list(folder string) []string {
	d.Helper()
	var all []string
	for _, pattern := range []string{"*/*.ics", "*/*.vcf"} {
		some, err := filepath.Glob(filepath.Join(d.Dir, folder, pattern))
		d.must(err)
		all = append(all, some...)
	}
	slices.Sort(all)
	return all
}

// stamps are the inode and mtime of everything below a folder.
func (d *rig) stamps(folder string) map[string]string {
	d.Helper()
	out := map[string]string{}
	d.must(filepath.Walk(filepath.Join(d.Dir, folder), func(path string, info os.FileInfo, err error) error {
		if err == nil {
			out[path] = fmt.Sprintf("%v %+v", info.ModTime(), info.Sys())
			out[path] = regexp.MustCompile(`Atim:\{[^}]*\}`).ReplaceAllString(out[path], "") // reading is no writing
		}
		return err
	}))
	return out
}

// hrefs are the items of a collection on the server, by its own listing.
func (d *rig) hrefs(server *lab.Server, collection string) []string {
	d.Helper()
	resp, err := server.Do(d.Context(), "PROPFIND", collection, `<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>`, "Depth", "1", "Content-Type", "application/xml")
	d.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.must(err)
	var out []string
	for _, m := range regexp.MustCompile(`<(?:[A-Za-z0-9]+:)?href>([^<]*\.(?:ics|vcf))</`).FindAllStringSubmatch(string(body), -1) {
		u, err := url.Parse(m[1])
		d.must(err)
		if !slices.Contains(out, u.EscapedPath()) {
			out = append(out, u.EscapedPath())
		}
	}
	slices.Sort(out)
	return out
}

func (d *rig) get(server *lab.Server, path string) []byte {
	d.Helper()
	resp, err := server.Do(d.Context(), "GET", path, "")
	d.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.must(err)
	if resp.StatusCode != http.StatusOK {
		d.Fatalf("GET %s: %s", path, resp.Status)
	}
	return body
}

func (d *rig) ask(server *lab.Server, method, path, body string) int {
	d.Helper()
	kind := "text/calendar; charset=utf-8"
	if strings.HasSuffix(path, ".vcf") {
		kind = "text/vcard; charset=utf-8"
	}
	resp, err := server.Do(d.Context(), method, path, body, "Content-Type", kind)
	d.must(err)
	resp.Body.Close()
	return resp.StatusCode
}

func TestFiveHundredItemsUpAndDownAndAtRest(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			d := home(t)
			server := s.start(t)
			d.start()
			d.fill("pim", 400, 100)
			proxy := d.through(server, s.unix)
			d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
			d.account("copy", "vdir", "path", filepath.Join(d.Dir, "copy"))
			d.group("home", []string{"work", "local"}, client.Options{"create-missing": []string{"work"}})
			d.group("second", []string{"work", "copy"}, client.Options{"create-missing": []string{"copy"}})
			d.sync("home", "success")
			d.sync("second", "success")
			d.judge("same", "pim", "copy")

			d.disturb(server)
			d.sync("home", "success")
			d.sync("second", "success")
			d.judge("same", "pim", "copy")
			if n := len(d.list("pim")); n != 500-25-25 {
				t.Errorf("%d items are left of 500, and 50 were deleted", n)
			}
			d.atRest(proxy)
		})
	}
}

// disturb edits 5 % and deletes 5 % on each side, each item on one side only.
func (d *rig) disturb(server *lab.Server) {
	d.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var there []string
	for _, c := range []string{server.Calendar + "cal/", server.Contacts + "ab/"} {
		there = append(there, d.hrefs(server, c)...)
	}
	rng.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
	uid := regexp.MustCompile(`(?m)^UID:(.*?)\r?$`)
	uids := map[string]bool{}
	for _, href := range there[:50] {
		text := d.get(server, href)
		uids[uid.FindString(string(text))] = true
		if len(uids)%2 == 0 {
			if c := d.ask(server, "DELETE", href, ""); c/100 != 2 {
				d.Fatalf("DELETE %s: %d", href, c)
			}
		} else if c := d.ask(server, "PUT", href, string(itemtest.Edit(rng, text))); c/100 != 2 {
			d.Fatalf("PUT %s: %d", href, c)
		}
	}
	n, here := 0, d.list("pim")
	rng.Shuffle(len(here), func(i, j int) { here[i], here[j] = here[j], here[i] })
	for _, path := range here {
		text, err := os.ReadFile(path)
		d.must(err)
		if uids[uid.FindString(string(text))] || n == 50 {
			continue
		}
		if n++; n%2 == 0 {
			d.must(os.Remove(path))
		} else {
			d.must(os.WriteFile(path, itemtest.Edit(rng, text), 0o600))
		}
	}
}

// atRest demands that syncs of what is in step transfer and write nothing: by
// what went through the proxy and by the files themselves.
func (d *rig) atRest(proxy *lab.Proxy) {
	d.Helper()
	// A folder that was made is looked at once more: nothing of that is counted.
	d.must(d.c.Call(d.Context(), client.Root, client.Name+".Manager.Pause", []any{uint32(0), map[string]dbus.Variant{}}))
	d.sync("home", "success") // it may learn of its own writes
	d.sync("second", "success")
	before := d.stamps("pim")
	proxy.Reset()
	d.sync("home", "success")
	for _, r := range proxy.Log() {
		if r.Method != "PROPFIND" && r.Method != "OPTIONS" || r.Out > 20_000 {
			d.Errorf("at rest: %s %s, %d bytes", r.Method, r.Path, r.Out)
		}
	}
	if n := proxy.Count(); n > 2 {
		d.Errorf("at rest: %d requests", n)
	}
	if after := d.stamps("pim"); !maps.Equal(before, after) {
		d.Error("at rest: a file or folder was written")
	}
}
