//go:build real

package service

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// An audience sees daemons come and go, by the bus's own word.
type audience struct {
	mu    sync.Mutex
	came  int
	left  int
	gone  chan string // unique names of those that have given up the name
	drain bool        // send each SIGTERM when it has given up the name
}

// watch has it told until the test ends.
func (a *audience) watch(d *rig) {
	d.Helper()
	a.gone = make(chan string, 1000)
	conn, err := dbus.Connect(d.bus.Address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	d.must(err)
	signals := make(chan *dbus.Signal, 1000)
	conn.Signal(signals)
	d.must(conn.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, client.Name)))
	told := make(chan struct{})
	go func() {
		defer close(told)
		processes := map[string]*os.Process{}
		for s := range signals {
			if s.Name == "org.freedesktop.DBus.NameOwnerChanged" && s.Body[0] == client.Name {
				a.tell(conn, processes, s.Body[1].(string), s.Body[2].(string))
			}
		}
	}()
	d.Cleanup(func() { conn.Close(); <-told })
}

func (a *audience) tell(conn *dbus.Conn, processes map[string]*os.Process, before, now string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now != "" {
		a.came++
		var pid uint32
		if a.drain && conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, now).Store(&pid) == nil {
			processes[now], _ = os.FindProcess(int(pid)) // the very process, whoever has its number later
		}
	}
	if before != "" {
		a.left++
		if p := processes[before]; p != nil {
			_ = p.Signal(syscall.SIGTERM) // it may have ended
			p.Release()
		}
		a.gone <- before
	}
}

func (a *audience) seen() (came, left int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.came, a.left
}

// edge makes calls from four programs at once, each time when the daemon has had
// nothing to do for just as long as it stays: the pause before the calls becomes
// shorter when the daemon had left by then, and longer when it had not. Every call
// must be answered.
func (d *rig) edge(calls, atOnce, restarts int, stays time.Duration, a *audience) {
	d.Helper()
	a.watch(d)
	var programs []*client.Client
	for range 4 {
		c, err := client.Dial(d.Context())
		d.must(err)
		d.Cleanup(func() { c.Close() })
		programs = append(programs, c)
	}
	pause, step, owner := stays, stays/8, ""
	made, lost := 0, 0
	for left := 0; (made < calls || left < restarts) && lost == 0; _, left = a.seen() {
		answers := make(chan *dbus.Call, 4*atOnce)
		for range atOnce {
			for _, c := range programs {
				c.Conn().Object(client.Name, client.Root).Go("org.freedesktop.DBus.Properties.Get", 0, answers, client.Name+".Manager", "Version")
			}
		}
		for range cap(answers) {
			if answer := <-answers; answer.Err != nil {
				lost++
				d.Errorf("a call was lost: %v", answer.Err)
			}
			made++
		}
		now := d.owner()
		if now != owner && now != "" {
			pause -= step
		} else {
			pause += step
		}
		owner = now
		<-time.After(pause)
	}
	came, left := a.seen()
	d.Logf("%d calls, %d lost; %d daemons came, %d left", made, lost, came, left)
	log, err := os.ReadFile(filepath.Join(d.Dir, "log"))
	d.must(err)
	if n := strings.Count(string(log), "nothing to do; leaving"); n < restarts || n < left {
		d.Errorf("%d daemons left, %d of them because there was nothing to do", left, n)
	}
	if strings.Contains(string(log), "another davbusd") {
		d.Error("one was in the way of another")
	}
}

func TestNoneOfAThousandCallsIsLostWhileIdleDaemonsLeave(t *testing.T) {
	const stays = 50 * time.Millisecond
	activated(t, stays.String()).edge(1000, 25, 3, stays, &audience{})
}

// held syncs a calendar from a server that does not answer before let is called.
func (d *rig) held() (let func()) {
	d.Helper()
	asked, answer := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask()
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, vevent("one", "Last"))
	}))
	d.Cleanup(web.Close)
	let = sync.OnceFunc(func() { close(answer) })
	d.Cleanup(let)
	d.account("feed", "webcal", "url", web.URL+"/")
	d.account("pim", "vdir", "path", "~/pim")
	d.group("home", []string{"feed", "pim"}, client.Options{"create-missing": []string{"pim"}, "interval-sec": uint32(0)})
	_, err := d.c.Sync(d.Context(), "home", client.SyncOptions{})
	d.must(err)
	<-asked
	return let
}

// A call that finds no daemon any more, because the one that leaves ends its last
// job without the name: the next one is started for it, waits for the first, and
// answers.
func TestACallThatComesWhileTheDaemonEndsItsLastJobIsTheNextOnes(t *testing.T) {
	d := activated(t, "")
	let := d.held()
	first := d.owner()
	a := &audience{}
	a.watch(d)
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Control.Quit", []any{map[string]dbus.Variant{}}))
	if gone := <-a.gone; gone != first {
		t.Fatalf("%s left, not %s", gone, first)
	}
	call := d.c.Conn().Object(client.Name, client.Root).Go("org.freedesktop.DBus.Properties.Get", 0, make(chan *dbus.Call, 1), client.Name+".Manager", "Version")
	lock := filepath.Join(d.State, "davbus", "lock")
	if !lab.Within(patience, func() bool { return len(call.Done) > 0 || holders(lock) == 2 }) {
		t.Fatal("no second daemon comes")
	}
	let()
	<-call.Done
	d.must(call.Err)
	if now := d.owner(); now == "" || now == first {
		t.Errorf("%q answers, and %q was asked to leave", now, first)
	}
	d.gone(first)
	if folders, _ := filepath.Glob(filepath.Join(d.Dir, "pim/*/*.ics")); len(folders) != 1 {
		t.Errorf("the last job was not ended: %v", folders)
	}
}

func TestSIGTERMAfterQuitWaitsForNoJob(t *testing.T) {
	d := home(t)
	d.start()
	d.held()
	a := &audience{}
	a.watch(d)
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Control.Quit", []any{map[string]dbus.Variant{}}))
	<-a.gone // it has given up the name, and ends its job
	d.must(d.stop())
}

// holders is how many processes have a file open.
func holders(path string) (n int) {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && to == path {
			n++
		}
	}
	return n
}
