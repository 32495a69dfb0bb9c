//go:build real

package service

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item/itemtest"
	"davbus.org/davbus/service/lab"
)

// A place is one of several where a calendar is edited by hand.
type place interface {
	names() []string
	read(name string) []byte
	write(name string, text []byte)
	remove(name string)
}

type folderPlace struct {
	d      *rig
	folder string
}

func (p folderPlace) path(name string) string { return filepath.Join(p.d.Dir, p.folder, name) }
func (p folderPlace) names() []string {
	entries, err := os.ReadDir(filepath.Join(p.d.Dir, p.folder))
	p.d.must(err)
	var out []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".ics" {
			out = append(out, e.Name())
		}
	}
	return out
}
func (p folderPlace) read(name string) []byte {
	text, err := os.ReadFile(p.path(name))
	p.d.must(err)
	return text
}
func (p folderPlace) write(name string, text []byte) {
	p.d.must(os.WriteFile(p.path(name), text, 0o600))
}
func (p folderPlace) remove(name string) { p.d.must(os.Remove(p.path(name))) }

type serverPlace struct {
	d          *rig
	server     *lab.Server
	collection string
}

func (p serverPlace) names() []string         { return p.d.hrefs(p.server, p.collection) }
func (p serverPlace) read(name string) []byte { return p.d.get(p.server, name) }
func (p serverPlace) write(name string, text []byte) {
	if name[0] != '/' {
		name = p.collection + url.PathEscape(name)
	}
	if c := p.d.ask(p.server, "PUT", name, string(text)); c/100 != 2 {
		p.d.Fatalf("%s: PUT %s: %d\n%s", p.server.Name, name, c, text)
	}
}
func (p serverPlace) remove(name string) {
	if c := p.d.ask(p.server, "DELETE", name, ""); c/100 != 2 {
		p.d.Fatalf("%s: DELETE %s: %d", p.server.Name, name, c)
	}
}

func TestThreeMembersStayEqualThroughRandomEdits(t *testing.T) {
	const seed, rounds, each = 20261124, 20, 10
	t.Logf("seed %d", seed)
	d := home(t)
	rad, xan := lab.Radicale(t), lab.Xandikos(t)
	d.start()
	d.fill("pim", 60, 0)
	d.write("pw", lab.AlicePassword+"\n")
	password := []string{"cat", filepath.Join(d.Dir, "pw")}
	d.account("rad", "dav", "url", rad.URL+"/", "username", lab.Alice, "password-command", password)
	d.account("xan", "dav", "url", xan.URL+"/", "username", lab.Alice, "password-command", password)
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
	d.group("all", []string{"rad/cal", "xan/cal", "local/cal"}, client.Options{"create-missing": []string{"rad/cal", "xan/cal"}})
	d.sync("all", "success")

	places := []place{serverPlace{d, rad, rad.Calendar + "cal/"}, serverPlace{d, xan, xan.Calendar + "cal/"}, folderPlace{d, "pim/cal"}}
	rng := rand.New(rand.NewPCG(seed, 0))
	fresh := itemtest.Gen(seed, rounds*each*2, engine.Calendar)
	for round := range rounds {
		d.editSomewhere(rng, places, each, func() []byte {
			for {
				it := fresh[0]
				fresh = fresh[1:]
				if !unlike(it) {
					return it.Text
				}
			}
		})
		d.sync("all", "success")
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for i, p := range places {
		for n, name := range p.names() {
			d.write(fmt.Sprintf("dump%d/cal/%d.ics", i, n), string(p.read(name)))
		}
	}
	d.judge("same", "dump0", "dump1")
	d.judge("same", "dump0", "dump2")
	if n := len(d.list("dump0")); n == 0 || n == 60 {
		t.Errorf("%d items: nothing was added or removed", n)
	}
}

// editSomewhere makes edits, each of another item, at places drawn by chance.
func (d *rig) editSomewhere(rng *rand.Rand, places []place, n int, fresh func() []byte) {
	d.Helper()
	used := map[string]bool{}
	names := make([][]string, len(places))
	for i, p := range places {
		names[i] = p.names()
	}
	for done := 0; done < n; {
		i := rng.IntN(len(places))
		p := places[i]
		if rng.IntN(4) == 0 {
			p.write(fmt.Sprintf("new-%d.ics", rng.Uint32()), fresh())
			done++
			continue
		}
		name := names[i][rng.IntN(len(names[i]))]
		if used[p2(i, name)] {
			continue
		}
		text := p.read(name)
		if used[uidOf(text)] {
			continue
		}
		used[p2(i, name)], used[uidOf(text)] = true, true
		if rng.IntN(4) == 0 {
			p.remove(name)
		} else {
			p.write(name, itemtest.Edit(rng, text))
		}
		done++
	}
}

func p2(i int, name string) string { return fmt.Sprint(i, " ", name) }
