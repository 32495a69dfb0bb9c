package plugin_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/service/plugin"
)

// A plugin of the Go package sends as much as it may, and waits then.
func TestAPluginSendsNoMoreThanItsCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		served, read := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(served)
			_ = plugin.Serve(theirs, "memory", func(engine.Params) (engine.Source, error) { return filled(10), nil })
		}()
		var changes, answers atomic.Int32
		go func() {
			defer close(read)
			for in := bufio.NewScanner(ours); in.Scan(); {
				if strings.Contains(in.Text(), `"method":"change"`) {
					changes.Add(1)
				} else if strings.Contains(in.Text(), `"result"`) {
					answers.Add(1)
				}
			}
		}()
		say := func(format string, args ...any) { fmt.Fprintf(ours, format+"\n", args...) }
		say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocol":1,"parameters":{}}}`)
		synctest.Wait()
		say(`{"jsonrpc":"2.0","id":2,"method":"discover","params":{}}`)
		synctest.Wait()
		say(`{"jsonrpc":"2.0","id":3,"method":"get_changes","params":{"collection":"cal","stream":7,"credit":3}}`)
		for _, c := range []struct{ more, sent, answers int32 }{{0, 3, 2}, {4, 7, 2}, {2, 9, 2}, {5, 10, 3}} {
			if c.more > 0 {
				say(`{"jsonrpc":"2.0","method":"credit","params":{"stream":7,"more":%d}}`, c.more)
			}
			synctest.Wait()
			if changes.Load() != c.sent || answers.Load() != c.answers {
				t.Errorf("after %d more: %d changes, %d answers; want %d, %d", c.more, changes.Load(), answers.Load(), c.sent, c.answers)
			}
		}
		ours.Close()
		<-served
		<-read
	})
}

// And davbus gives it more while it reads: many times what may be under way come
// through.
func TestDavbusGivesAPluginMoreCreditWhileItReads(t *testing.T) {
	m := newMortal()
	for i := range 2000 {
		m.there.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
	}
	account := m.account()
	defer m.lives.Wait()
	defer account.Close()
	s := newSetIn(t, account, filled(0))
	if _, did := s.sync(); did.Added != 2000 {
		t.Errorf("%+v", did)
	}
}
