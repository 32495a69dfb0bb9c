package keeper

import "davbus.org/davbus/engine"

// counters count since the start.
type counters struct {
	jobs  map[string]uint64 // by result
	total engine.Counts
}

func (c *counters) add(v verdict) {
	if c.jobs == nil {
		c.jobs = map[string]uint64{}
	}
	c.jobs[v.result]++
	c.total.Add(v.report.Counts)
}

// Counters are what jobs have done since the start.
func (k *Keeper) Counters() map[string]uint64 {
	m := map[string]uint64{}
	k.post(func() {
		for _, result := range []string{engine.Success, engine.Partial, engine.Failed, engine.Cancel, engine.Skipped} {
			m["jobs-"+result] = k.counted.jobs[result]
		}
		t := k.counted.total
		m["items-added"], m["items-modified"], m["items-removed"] = uint64(t.Added), uint64(t.Modified), uint64(t.Removed)
		m["items-merged"], m["items-failed"], m["bytes"] = uint64(t.Merged), uint64(t.Failed), t.Bytes
		m["jobs-queued"], m["jobs-running"] = uint64(len(k.queue)), uint64(len(k.running))
	})
	return m
}
