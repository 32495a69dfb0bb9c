package plan

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// TestRandomWorldsKeepTheLaws lives as many worlds as DAVBUS_WORLDS says, beginning
// with number DAVBUS_FROM, and begins no further ones after the time in DAVBUS_FOR.
// One that fails tells its seed and, lived again, all that happened.
func TestRandomWorldsKeepTheLaws(t *testing.T) {
	worlds := uint64(worldCount)
	if n, err := strconv.ParseUint(os.Getenv("DAVBUS_WORLDS"), 10, 64); err == nil {
		worlds = n
	}
	from, _ := strconv.ParseUint(os.Getenv("DAVBUS_FROM"), 10, 64)
	limit, _ := time.ParseDuration(os.Getenv("DAVBUS_FOR"))
	began := time.Now()
	var lived atomic.Uint64
	t.Cleanup(func() { t.Logf("%d of %d worlds, from number %d on, kept the laws", lived.Load(), worlds, from) })
	const shards = 8
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint("shard ", shard), func(t *testing.T) {
			t.Parallel()
			for seed := from + shard; seed < from+worlds; seed += shards {
				if limit > 0 && time.Since(began) > limit {
					return
				}
				if broken, _ := live(seed, false); broken != "" {
					lament(t, seed)
				}
				lived.Add(1)
			}
		})
	}
}

// lament lives a broken world again, to tell of it.
func lament(t *testing.T, seed uint64) {
	broken, w := live(seed, true)
	for _, line := range w.log {
		t.Log(line)
	}
	t.Fatalf("live(%d, true): %s (%+v %+v)", seed, broken, w.members, w.rules)
}
