//go:build real && further && linux

package blackbox_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/service/lab"
)

// A blow kills the daemon at its n-th call of a system call. Calls are counted by
// thread, so that not every n is reached.
type blow struct {
	call string
	n    int
}

// few are the blows of make check-all. With DAVBUS_KILLS=N the first N calls of each
// kind are tried, until syncs come through.
var few = []blow{{"renameat2", 1}, {"renameat2", 4}, {"unlinkat", 2}, {"fsync", 3}, {"pwrite64", 9}, {"sendto,write", 40}}

// The shipped daemon is killed in the middle of a mixed sync of 30 items, by
// strace at a system call. The next daemon finds everything, whole and once.
func TestFurtherAKillAtASystemCallLosesNothing(t *testing.T) {
	blows := few
	if each, err := strconv.Atoi(os.Getenv("DAVBUS_KILLS")); err == nil {
		blows = nil
		for _, call := range []string{"renameat2", "unlinkat", "fsync", "fdatasync", "pwrite64", "openat", "write"} {
			for n := 1; n <= each; n++ {
				blows = append(blows, blow{call, n})
			}
		}
	}
	killed, tried, through, spent := 0, 0, map[string]int{}, spending()
	for _, b := range blows {
		if spent() {
			break
		}
		if tried++; through[b.call] > 3 {
			continue // no thread comes so far
		}
		if struck(t, b) {
			killed, through[b.call] = killed+1, 0
		} else {
			through[b.call]++
		}
		if t.Failed() {
			t.Fatalf("reproduce: kill at %s number %d", b.call, b.n)
		}
	}
	if t.Logf("%d kills, 0 violations; %d of %d blows considered", killed, tried, len(blows)); killed < 3 {
		t.Errorf("only %d of %d blows met the daemon", killed, len(blows))
	}
}

// struck gives whether the daemon was killed.
func struck(t *testing.T, b blow) bool {
	srv := davtest.New(t, davtest.Options{})
	work := srv.Calendar("cal")
	h := newHouse(t, fmt.Sprint(b.call, " ", b.n))
	h.config("accounts/work.yaml", "kind: dav\nurl: "+srv.URL+"/\n")
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ninterval-sec: 0\n")
	want := map[string]string{}
	name := func(n int) string { return fmt.Sprintf("u%02d", n) }
	put := func(n int, text string) {
		want[name(n)] = text
		if n%2 == 0 {
			h.file("pim/cal/"+name(n)+".ics", entry(name(n), text))
		} else {
			work.Put(engine.Ref(name(n)+".ics"), []byte(entry(name(n), text)))
		}
	}
	for n := range 22 {
		put(n, "first")
	}
	h.start()
	h.sync()
	h.must(h.daemon.Stop(patience))
	for n := range 4 { // deletions on either side, then edits, then new ones
		delete(want, name(n))
		if n%2 == 0 {
			h.must(os.Remove(filepath.Join(h.Dir, "pim/cal", name(n)+".ics")))
		} else {
			work.Remove(engine.Ref(name(n) + ".ics"))
		}
	}
	for n := 4; n < 30; n++ {
		if n < 16 || n >= 22 {
			put(n, "second")
		}
	}
	h.under = []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + b.call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", b.call, b.n)}
	h.start()
	h.tool("sync", "home") // whatever comes of it
	met := lab.Within(0, h.daemon.Ended)
	h.daemon.Kill()
	h.under = nil
	h.start()
	for range 3 {
		if r := h.sync(); r.Result == "success" && r.changed() == 0 {
			break
		}
	}
	h.holds(work, want)
	h.must(h.daemon.Stop(patience))
	return met
}

// holds demands that both sides have exactly what is wanted, and nothing is left
// over.
func (h *house) holds(work *memory.Storage, want map[string]string) {
	h.Helper()
	here, there := map[string]string{}, map[string]string{}
	entries, err := os.ReadDir(filepath.Join(h.Dir, "pim/cal"))
	h.must(err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(h.Dir, "pim/cal", e.Name()))
		h.must(err)
		h.add(here, e.Name(), string(text))
	}
	for ref, text := range work.Texts() {
		h.add(there, string(ref), text)
	}
	if !maps.Equal(here, want) || !maps.Equal(there, want) {
		h.Errorf("%s: in the folder %v\non the server %v\nwant %v", h.name, here, there, want)
	}
	if out, _, _ := h.davbus("conflicts"); out != "There are no conflicts.\n" {
		h.Errorf("%s: %s", h.name, out)
	}
}

func (h *house) add(all map[string]string, name, text string) {
	h.Helper()
	uid := uidOf.FindStringSubmatch(text)
	if uid == nil || text != entry(uid[1], "first") && text != entry(uid[1], "second") {
		h.Errorf("%s: %s holds %q", h.name, name, text)
		return
	}
	if _, twice := all[uid[1]]; twice {
		h.Errorf("%s: %s is there twice", h.name, uid[1])
	}
	all[uid[1]] = "first"
	if text == entry(uid[1], "second") {
		all[uid[1]] = "second"
	}
}
