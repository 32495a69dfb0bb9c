package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
)

// A plugin that ends again and again is started at once, then after 1, 2 and 4
// seconds, and then left alone until ten minutes have gone by since the first
// start, or a person asks for it. Another account is never held up by that.
func TestEachStartOfAPluginThatEndsWaitsTwiceAsLongAndThreeStrikesAreEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlugins(dirs{}, nil)
		began := time.Now()
		start := func(id engine.AccountID) (time.Duration, error) {
			asked := time.Now()
			err := p.mayStart(t.Context(), id)
			return time.Since(asked), err
		}
		starts := func(when string, waits ...time.Duration) {
			t.Helper()
			for i, want := range waits {
				if took, err := start("a"); err != nil || took != want {
					t.Errorf("%s, start %d: after %v, want %v; %v", when, i, took, want, err)
				}
			}
		}
		left := func(when string) {
			t.Helper()
			if took, err := start("a"); !engine.IsKind(err, engine.PluginGone) || took != 0 {
				t.Errorf("%s: after %v, %v", when, took, err)
			}
		}
		starts("at first", 0, time.Second, 2*time.Second, 4*time.Second)
		left("after three strikes")
		if took, err := start("b"); err != nil || took != 0 {
			t.Errorf("another account: after %v, %v", took, err)
		}
		time.Sleep(time.Until(began.Add(strikeTime - time.Nanosecond)))
		left("just before ten minutes are over")
		time.Sleep(time.Nanosecond)
		starts("when two were ten minutes ago", 2*time.Second)
		p.forgive("a")
		starts("when a person has asked", 0, time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		asked := time.Now()
		if err := p.mayStart(ctx, "a"); !engine.IsKind(err, engine.Cancelled) || time.Since(asked) != time.Second {
			t.Errorf("broken off after %v: %v", time.Since(asked), err)
		}
	})
}

// A plugin that talks without end fills no log: the next line that is let through
// tells how many were not.
func TestWhatAPluginSaysIsBoundedAndWhatIsLeftOutIsCounted(t *testing.T) {
	var said throttle
	now := time.Unix(1000, 0)
	let := 0
	for range linesAtOnce + 50 {
		if ok, left := said.take(now); ok {
			if let++; left != 0 {
				t.Errorf("line %d: %d were left out", let, left)
			}
		}
	}
	if let != linesAtOnce {
		t.Errorf("%d of %d lines were let through", let, linesAtOnce)
	}
	if ok, left := said.take(now.Add(time.Second / linesASec)); !ok || left != 50 {
		t.Errorf("a moment later: %v, %d were left out", ok, left)
	}
	if ok, _ := said.take(now.Add(time.Second / linesASec)); ok {
		t.Error("and one more at once")
	}
}
