package callers

import (
	"fmt"
	"os"
	"testing"
)

func TestIdentityIsAskedOnceAndFailsClosed(t *testing.T) {
	b, s := start(t)
	set := func(uid, pid, again uint32) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.uid, b.pid, b.pidAgain = uid, pid, again
	}
	me, pid := uint32(os.Geteuid()), uint32(os.Getpid())
	set(me, pid, pid)
	first, second := s.Identify(":1.1"), s.Identify(":1.1")
	if first != second || first.Name != ":1.1" || first.Sandboxed != inspect("/proc", os.Getpid()).sandboxed {
		t.Errorf("%+v %+v", first, second)
	}
	b.mu.Lock()
	if n := b.asked["GetConnectionCredentials"]; n != 1 {
		t.Errorf("asked %d times", n)
	}
	b.mu.Unlock()
	for n, c := range [][3]uint32{{me + 1, pid, pid}, {me, pid, pid + 1}, {me, 0, 0}, {me, 1 << 30, 1 << 30}} {
		set(c[0], c[1], c[2])
		if who := s.Identify(fmt.Sprint(":2.", n)); !who.Sandboxed {
			t.Errorf("%v: %+v", c, who)
		}
	}
	set(me, pid, pid)
	for n := range maxKnown + 5 {
		s.Identify(fmt.Sprint(":3.", n))
	}
	if len(s.known) != maxKnown || len(s.order) != maxKnown {
		t.Errorf("%d are remembered", len(s.known))
	}
	b.conn.Close()
	if who := s.Identify(":9.9"); !who.Sandboxed || who.Name != ":9.9" {
		t.Errorf("without a bus: %+v", who)
	}
}
