package group_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSimulatedStormsKeepEveryPromise lives through as many storms as
// DAVBUS_STORMS says, beginning with number DAVBUS_FROM, or through the one that
// DAVBUS_STORM names, each twice (once under the race detector): the same seed must
// give the same trace, to the nanosecond. The second time, every other storm has
// another clock. After the time in DAVBUS_FOR no further ones are begun.
func TestSimulatedStormsKeepEveryPromise(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	const none = math.MaxUint64
	if seed := number("DAVBUS_STORM", none); seed != none {
		simulate(t, seed, seed+1)
		return
	}
	from := number("DAVBUS_FROM", 0)
	storms := number("DAVBUS_STORMS", stormCount)
	limit, _ := time.ParseDuration(os.Getenv("DAVBUS_FOR"))
	began := time.Now()
	var lived atomic.Uint64
	t.Cleanup(func() {
		t.Logf("%d of %d storms, from number %d on, kept every promise", lived.Load(), storms, from)
	})
	const shards, together = 8, 50
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint("shard ", shard), func(t *testing.T) {
			t.Parallel()
			for first := shard * together; first < storms && !t.Failed(); first += shards * together {
				if limit > 0 && time.Since(began) > limit {
					return
				}
				after := min(first+together, storms)
				simulate(t, from+first, from+after)
				lived.Add(after - first)
			}
		})
	}
}

// TestStormsThatBrokeAPromiseOnceKeepIt lives again, twice, through each that did.
func TestStormsThatBrokeAPromiseOnceKeepIt(t *testing.T) {
	for _, seed := range []uint64{414, 606, 750, 1015, 3004, 4999, 14010, 18797, 26791, 31325, 32727, 36091, 37435, 46942, 52005, 84984} {
		simulate(t, seed, seed+1)
	}
}

// simulate lives through the storms from one seed up to another in one bubble.
func simulate(t *testing.T, from, to uint64) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer func() { h.ledger.Close() }()
		for seed := from; seed < to; seed++ {
			first := h.live(t, seed, false)
			if !stormTwice {
				continue
			}
			second := h.live(t, seed, seed%2 == 1)
			if i := differ(first, second); i >= 0 {
				dump(t, first[:min(i+1, len(first))])
				dump(t, second[i:min(i+1, len(second))])
				t.Fatalf("the second time it went differently (I10, if the seed is odd). Reproduce: %s", again(seed))
			}
		}
	})
}

func again(seed uint64) string {
	return fmt.Sprintf("DAVBUS_STORM=%d go test -run TestSimulatedStorms ./engine/group", seed)
}

// live lives through one storm and gives its trace.
func (h *house) live(t *testing.T, seed uint64, otherClock bool) []string {
	s := h.newStorm(t, seed, otherClock)
	s.rage()
	if broken := s.calmDown(); broken != "" {
		dump(t, s.trace)
		t.Fatalf("%s\n%+v\nReproduce: %s", broken, s.rules, again(seed))
	}
	return s.trace
}

func dump(t *testing.T, trace []string) {
	for _, line := range trace {
		t.Log(line)
	}
}

// differ gives the first line in which two traces differ, or -1.
func differ(a, b []string) int {
	if slices.Equal(a, b) {
		return -1
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
