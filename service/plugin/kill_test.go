package plugin_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/service/plugin"
	child "davbus.org/davbus/transports/plugin"
)

// A lifeline is the stream between davbus and a plugin. It is cut at the message
// of a number, whichever side sends it: that message is not delivered any more.
type lifeline struct {
	mu   sync.Mutex
	sent int
	cut  int // 0: never
	ends []net.Conn
}

type end struct {
	net.Conn
	line *lifeline
}

// Write sends one message: each is written by one call.
func (e end) Write(p []byte) (int, error) {
	l := e.line
	l.mu.Lock()
	l.sent++
	cut := l.sent == l.cut
	if cut {
		for _, c := range l.ends {
			c.Close()
		}
	}
	l.mu.Unlock()
	return e.Conn.Write(p)
}

// A mortal is a plugin that keeps a calendar over its own death.
type mortal struct {
	source *memory.Source
	there  *memory.Storage
	line   *lifeline
	lives  sync.WaitGroup
}

func newMortal() *mortal {
	m := &mortal{source: new(memory.Source), line: new(lifeline)}
	m.there = m.source.Add(engine.Collection{Name: "cal", Kind: engine.Calendar, Writable: true})
	m.there.Sum = func(text []byte) engine.Sum { return item.Sum(text) }
	return m
}

type lasting struct{ *memory.Source }

func (lasting) Close() error { return nil }

func (m *mortal) account() *remote.Source {
	return remote.New(remote.Options{Account: "p", Host: host{}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		ours, theirs := net.Pipe()
		m.line.mu.Lock()
		m.line.ends = []net.Conn{ours, theirs}
		m.line.mu.Unlock()
		m.lives.Go(func() {
			// How it ends is what is tried.
			_ = plugin.Serve(end{theirs, m.line}, "mortal", func(engine.Params) (engine.Source, error) { return lasting{m.source}, nil })
		})
		return child.Attach(end{ours, m.line}, child.Options{Notify: to.Notify, Handle: to.Handle}), nil
	}})
}

// items are the names in a calendar, by UID.
func items(s *memory.Storage) map[string]string {
	all := map[string]string{}
	for _, text := range s.Texts() {
		info := item.Read([]byte(text))
		all[string(info.UID)] += info.Summary
	}
	return all
}

// killed brings two calendars into step, changes both, cuts the plugin off at
// one message of the next sync, and syncs again. It gives how many messages that
// sync had.
func killed(t *testing.T, at int) int {
	t.Helper()
	m := newMortal()
	there := m.there
	for i := range 6 {
		there.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "base"))
	}
	account := m.account()
	defer m.lives.Wait()
	defer account.Close()
	s := newSetIn(t, account, filled(0))
	here := s.members[1].Storage.(*memory.Storage)
	s.sync()

	there.Put("0", event("0", "edited there"))
	there.Put("new", event("new", "new there"))
	there.Remove("1")
	for ref, text := range here.Texts() {
		switch uid := item.Read([]byte(text)).UID; uid {
		case "2":
			here.Put(ref, event("2", "edited here"))
		case "3":
			here.Remove(ref)
		}
	}
	here.Put("mine", event("mine", "new here"))
	m.line.mu.Lock()
	m.line.sent, m.line.cut = 0, at
	m.line.mu.Unlock()
	s.try()
	m.line.mu.Lock()
	sent := m.line.sent
	m.line.cut = 0
	m.line.mu.Unlock()

	s.sync()
	want := map[string]string{"0": "edited there", "new": "new there", "2": "edited here", "mine": "new here", "4": "base", "5": "base"}
	for where, got := range map[string]map[string]string{"at the plugin": items(there), "here": items(here)} {
		if !maps.Equal(got, want) {
			t.Errorf("cut at message %d, %s: %v, want %v", at, where, got, want)
		}
	}
	if _, did := s.sync(); did.Added+did.Modified+did.Removed+did.Conflicts+did.Failed > 0 {
		t.Errorf("cut at message %d: the last run did %+v", at, did)
	}
	return sent
}

// A plugin may die at every message of a sync, before that message is heard: the
// next sync brings everything into step, nothing is lost and nothing is doubled.
func TestAPluginMayDieAtEveryMessageOfASync(t *testing.T) {
	messages := killed(t, 0)
	if messages < 20 {
		t.Fatalf("a sync has %d messages", messages)
	}
	for at := range messages {
		killed(t, at+1)
	}
}

// newSetIn has its ledger in memory.
func newSetIn(t testing.TB, sources ...engine.Source) *set {
	t.Helper()
	l, err := ledger.OpenMemory(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return newSet(t, l, sources...)
}
