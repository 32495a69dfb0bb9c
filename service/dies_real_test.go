//go:build real

package service

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

func TestAServerThatDiesInTheMiddleOfASync(t *testing.T) {
	for _, s := range servers[1:3] {
		t.Run(s.name, func(t *testing.T) {
			d := home(t)
			server := s.start(t)
			d.start()
			d.fill("pim", 60, 10)
			proxy := d.through(server, s.unix)
			d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
			d.account("copy", "vdir", "path", filepath.Join(d.Dir, "copy"))
			d.group("home", []string{"work", "local"}, client.Options{"create-missing": []string{"work"}})
			d.group("second", []string{"work", "copy"}, client.Options{"create-missing": []string{"copy"}})
			var once sync.Once
			puts := 0
			var mu sync.Mutex
			proxy.Before(func(_ int, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == "PUT" {
					if puts++; puts == 25 {
						once.Do(server.Kill)
					}
				}
			})
			job, err := d.c.Sync(t.Context(), "home", client.SyncOptions{})
			d.must(err)
			result, _, err := d.c.Wait(t.Context(), job)
			d.must(err)
			if result == "success" {
				t.Fatal("the server died, and all is well")
			}
			if n := len(d.list("pim")); n != 70 {
				t.Fatalf("%d of 70 items are in the folder after the server died", n)
			}
			d.must(server.Restart())
			// The account is tried again when asked, whatever its patience says.
			d.sync("home", "success")
			d.sync("second", "success")
			d.judge("same", "pim", "copy")
			var there []string
			for _, c := range []string{server.Calendar + "cal/", server.Contacts + "ab/"} {
				there = append(there, d.hrefs(server, c)...)
			}
			if len(there) != 70 {
				t.Errorf("%d items on the server, want 70", len(there))
			}
			d.atRest(proxy)
		})
	}
}

func TestAnEditGoesOutWithinSecondsAndOneComesInAtTheNextInterval(t *testing.T) {
	d := home(t)
	server := lab.Radicale(t)
	d.start()
	d.fill("pim", 3, 0)
	d.through(server, false)
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
	_, err := d.c.AddGroup(t.Context(), "home", []string{"work", "local"}, client.Options{"create-missing": []string{"work"}, "interval-sec": uint32(3)})
	d.must(err)
	d.sync("home", "success")
	d.write("pim/cal/by-hand.ics", vevent("by-hand", "Written by hand"))
	served := func() string {
		all := ""
		for _, href := range d.hrefs(server, server.Calendar+"cal/") {
			all += string(d.get(server, href))
		}
		return all
	}
	if !lab.Within(patience, func() bool { return strings.Contains(served(), "Written by hand") }) {
		t.Error("an edit in the folder did not reach the server")
	}
	if c := d.ask(server, "PUT", server.Calendar+"cal/there.ics", vevent("there", "Written there")); c != 201 {
		t.Fatal(c)
	}
	if !lab.Within(patience, func() bool { return strings.Contains(d.files("pim/cal"), "Written there") }) {
		t.Error("a change on the server did not arrive")
	}
}
