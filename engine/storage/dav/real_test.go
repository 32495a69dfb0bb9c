//go:build real

package dav_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/web"
)

// A way is a real server and how it is reached.
type way struct {
	name  string
	start func(lab.T) *lab.Server
	unix  bool
}

// Each server by one way; the other way of each is in make check-all.
func TestRealServersKeepThePromisesOfAStorage(t *testing.T) {
	way{"radicale over TCP", lab.Radicale, false}.promises(t, engine.Calendar, engine.AddressBook)
	way{"xandikos over a Unix socket", lab.XandikosOnSocket, true}.promises(t, engine.Calendar, engine.AddressBook)
}

// many items are more than the first multiget asks for; each costs a real server its time.
const many = 100

func (w way) promises(t *testing.T, kinds ...string) {
	t.Run(w.name, func(t *testing.T) {
		server := w.start(t)
		socket := ""
		if w.unix {
			socket = server.Socket
		}
		s, _ := account(t, server.URL+"/", socket, lab.Alice, lab.AlicePassword)
		var n atomic.Int32
		for _, kind := range kinds {
			t.Run(kind, func(t *testing.T) {
				storagetest.Suite{Kind: kind, Many: many, Fresh: func(tb testing.TB) engine.Storage {
					return made(tb, s, fmt.Sprint("c", n.Add(1)), kind)
				}}.Run(t)
			})
		}
	})
}

// What each server must be asked, at most, counted by a proxy.
func TestRealServersAreAskedLittle(t *testing.T) {
	for _, c := range []struct {
		start             func(lab.T) *lab.Server
		first, look, next int
	}{
		{lab.Radicale, 1, 1, 1},
		{lab.Xandikos, 2, 2, 2}, // it gives no texts along with changes, and has two homes
	} {
		server := c.start(t)
		p := lab.CountingProxy(t, server.URL)
		s, client := account(t, p.URL+"/", "", lab.Alice, lab.AlicePassword)
		tally := &tally{p: p, c: client}
		st := made(t, s, "cal", engine.Calendar).(*dav.Storage)
		var ws []engine.Write
		for i := range 200 {
			ws = append(ws, create(fmt.Sprintf("e%04d", i), "one"))
		}
		outs, whole := apply(t, st, ws...)
		if whole != nil || slices.ContainsFunc(outs, func(o engine.Outcome) bool { return o.Err != nil }) {
			t.Fatal(whole, outs)
		}
		texts := func(d engine.Delta) int {
			var missing []engine.Ref
			for _, h := range d.Changed {
				if d.Texts[h.Ref] == nil {
					missing = append(missing, h.Ref)
				}
			}
			got, bad, err := fetch(t, st, missing...)
			if err != nil || len(bad) > 0 {
				t.Fatal(bad, err)
			}
			return len(d.Texts) + len(got)
		}
		tally.reset(t)
		d := changes(t, st, "")
		if n := texts(d); n != 200 || tally.count(t) != c.first {
			t.Errorf("%s: %d texts by %v", server.Name, n, p.Log())
		}
		tally.reset(t)
		if _, err := s.Look(t.Context(), false); err != nil || tally.count(t) != c.look {
			t.Errorf("%s: a look: %v, %v", server.Name, p.Log(), err)
		}
		edit := replace(headOf(t, st, outs[0].Head.Ref), "e0000", "one", "two")
		if o, whole := apply(t, st, edit, remove(outs[1].Head, "e0001", "one")); whole != nil || o[0].Err != nil || o[1].Err != nil {
			t.Fatal(o, whole)
		}
		tally.reset(t)
		d = changes(t, st, d.Token)
		if n := texts(d); d.Full || n != 1 || len(d.Gone) != 1 || tally.count(t) != c.next {
			t.Errorf("%s: %+v by %v", server.Name, d, p.Log())
		}
	}
}

// A tally counts requests by a proxy. An answer can be here before it is in the
// proxy's log, so it waits until the log has as many as the client knows of.
type tally struct {
	p    *lab.Proxy
	c    *web.Client
	base uint64
}

func (y *tally) count(t *testing.T) int {
	t.Helper()
	end, tick := time.NewTimer(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer end.Stop()
	defer tick.Stop()
	for uint64(len(y.p.Log())) < y.c.Stats().Requests-y.base {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("the proxy saw %d requests, the client made %d", len(y.p.Log()), y.c.Stats().Requests-y.base)
		}
	}
	return len(y.p.Log())
}

func (y *tally) reset(t *testing.T) {
	t.Helper()
	y.count(t)
	y.p.Reset()
	y.base = y.c.Stats().Requests
}

func TestARealServerThatDiesAndReturnsLosesNothing(t *testing.T) {
	for _, start := range []func(lab.T) *lab.Server{lab.Radicale, lab.XandikosOnSocket} {
		server := start(t)
		s, _ := account(t, server.URL+"/", server.Socket, lab.Alice, lab.AlicePassword)
		st := made(t, s, "cal", engine.Calendar)
		if outs, whole := apply(t, st, create("a", "one")); whole != nil || outs[0].Err != nil {
			t.Fatal(outs, whole)
		}
		server.Kill()
		_, err := list(t, st)
		wantKind(t, err, engine.Offline, engine.ConnectionLost)
		_, err = s.Look(t.Context(), true)
		wantKind(t, err, engine.Offline, engine.ConnectionLost)
		outs, whole := apply(t, st, create("b", "one"))
		wantKind(t, whole, engine.Offline, engine.ConnectionLost)
		if outs[0].Head.Ref != "" {
			t.Errorf("%s: a write to a dead server was yielded: %v", server.Name, outs)
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		if heads, err := list(t, st); err != nil || len(heads) != 1 {
			t.Errorf("%s: %v, %v", server.Name, heads, err)
		}
	}
}
