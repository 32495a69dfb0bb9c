package group

import (
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// changes collects names for Result.Changed.
type changes struct{ added, modified, removed map[string]bool }

func (r *run) result() Result {
	res := Result{
		Set:     engine.PartReport{ID: r.set.Key().ID, Counts: r.total, Failure: engine.FailureOf(r.failure), SlowReason: r.slow},
		Changed: map[engine.MemberID]engine.ItemsChanged{},
		Count:   map[engine.MemberID]int{},
		Meta:    map[engine.MemberID]engine.Meta{},
		Again:   r.again,
	}
	for _, m := range r.members {
		m.counts.Requests = m.requests.Load()
		res.Set.Add(m.counts)
		res.Members = append(res.Members, engine.PartReport{ID: string(m.ID), Counts: m.counts, Failure: engine.FailureOf(m.err)})
		if m.meta != nil {
			res.Meta[m.ID] = m.meta
		}
		if m.read {
			res.Count[m.ID] = max(len(m.obs), m.resting)
		}
	}
	for id, c := range r.changed {
		res.Changed[id] = engine.ItemsChanged{Collection: id, Added: names(c.added), Modified: names(c.modified), Removed: names(c.removed)}
	}
	return res
}

func names(set map[string]bool) []string {
	var list []string
	for name := range set {
		list = append(list, name)
	}
	slices.SortFunc(list, strings.Compare)
	return list
}

// note remembers what changed at a member, for those who listen. Call it with
// the member's goroutine or alone.
func (r *run) note(m *member, what string, ref engine.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.changed[m.ID]
	if c == nil {
		c = &changes{map[string]bool{}, map[string]bool{}, map[string]bool{}}
		r.changed[m.ID] = c
	}
	map[string]map[string]bool{"add": c.added, "modify": c.modified, "remove": c.removed}[what][string(ref)] = true
}
