package turn

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestATurnIsPassedOnWhenItWasLongAndOnlyThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var work Turn
		for i, step := range []struct {
			after  time.Duration
			passed bool
		}{{0, false}, {slice - 1, false}, {1, true}, {0, false}, {slice - 1, false}, {1, true}, {time.Hour, true}, {0, false}} {
			time.Sleep(step.after)
			if got := work.Pass(); got != step.passed {
				t.Errorf("step %d, after %v more: passed on: %v", i, step.after, got)
			}
		}
	})
}
