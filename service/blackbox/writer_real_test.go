//go:build real

package blackbox_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// Of many daemons that are started at once one serves; each other one says who is
// in its way, and ends. Half of them come to the same bus, half to the same state
// on a bus of their own: one lock of each kind is enough.
func TestScenario47OfTwentyDaemonsStartedAtOnceOneServes(t *testing.T) {
	h := newHouse(t, "home")
	h.config("accounts/a.yaml", "kind: vdir\npath: ~/a\n")
	h.config("accounts/b.yaml", "kind: vdir\npath: ~/b\n")
	h.config("groups/home.yaml", "members: [a, b]\ncreate-missing: [b]\ninterval-sec: 0\n")
	h.file("a/cal/x.ics", strings.ReplaceAll("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:x\nDTSTAMP:20260101T000000Z\nDTSTART:20260101T000000Z\nEND:VEVENT\nEND:VCALENDAR\n", "\n", "\r\n"))
	h.file("b/.keep", "")
	const daemons = 20
	buses := []*lab.PrivateBus{h.bus, lab.Bus(t)}
	var all []*lab.Program
	for n := range daemons {
		env := h.Env("DBUS_SESSION_BUS_ADDRESS=" + buses[n%2].Address)
		p, err := lab.Start(env, filepath.Join(bin, "davbusd"))
		h.must(err)
		all = append(all, p)
		t.Cleanup(func() { p.Stop(patience) })
	}
	left := func() (alive []*lab.Program) {
		for _, p := range all {
			if !p.Ended() {
				alive = append(alive, p)
			}
		}
		return alive
	}
	if !lab.Within(2*patience, func() bool { return len(left()) <= 1 }) || len(left()) != 1 {
		t.Fatalf("%d of %d daemons run", len(left()), daemons)
	}
	winner := left()[0]
	for n, p := range all {
		said := p.String()
		if p != winner && !strings.Contains(said, "another davbusd serves this session") && !strings.Contains(said, "another davbusd uses this state folder") {
			t.Errorf("number %d ended and does not say why: %s", n, said)
		}
		if p == winner {
			h.bus = buses[n%2]
		}
	}
	if !lab.Within(patience, h.answers) {
		t.Fatalf("the one that is left does not answer\n%v", winner)
	}
	// Tools work it at once, all of them through it.
	const tools = 8
	done := make(chan string, tools)
	for range tools {
		go func() {
			out, errs, code, err := h.tool("sync", "home")
			done <- fmt.Sprint(code, " ", out, errs, err)
		}()
	}
	for range tools {
		if got := <-done; !strings.HasPrefix(got, "0 ") {
			t.Errorf("a tool got %s", got)
		}
	}
	if names, err := filepath.Glob(filepath.Join(h.Dir, "b/cal/*.ics")); err != nil || len(names) != 1 {
		t.Errorf("made %v, %v", names, err)
	}
}

// A tool that waits for a job does not wait for a daemon that is not there.
func TestAToolEndsWhenTheDaemonIsKilled(t *testing.T) {
	h := newHouse(t, "home")
	asked, held := make(chan bool, 1), make(chan bool)
	t.Cleanup(func() { close(held) })
	srv := davtest.New(t, davtest.Options{})
	srv.Calendar("cal")
	srv.Always("", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case asked <- true:
			default:
			}
			select {
			case <-held:
			case <-r.Context().Done():
			}
		})
	})
	h.config("accounts/work.yaml", "kind: dav\nurl: "+srv.URL+"/\n")
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ninterval-sec: 0\n")
	h.file("pim/cal/x.ics", entry("x", "x"))
	h.start()
	ended := make(chan string, 1)
	go func() {
		out, errs, code, err := h.tool("sync", "home")
		ended <- fmt.Sprint(code, " ", out, errs, err)
	}()
	<-asked
	h.daemon.Kill()
	select {
	case got := <-ended:
		if !strings.HasPrefix(got, "1 ") || !strings.Contains(got, "davbus: davbusd has ended or was killed meanwhile") {
			t.Errorf("it said %s", got)
		}
	case <-time.After(patience):
		t.Error("it waits for a daemon that is dead")
	}
}
