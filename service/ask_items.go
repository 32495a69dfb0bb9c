package service

import (
	"context"
	"slices"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
)

// byAgent is the initiator of jobs that an agent's answer started.
const byAgent = "agent"

// reviewGroups asks about held deletions: again when others are held.
func (a *secretary) reviewGroups(s *engine.Snapshot) {
	settled(a.groups, func(id engine.GroupID, q *question) bool {
		g := s.Groups[id]
		return g != nil && g.HeldDeletions == q.about && !q.nobody
	})
	for id, g := range s.Groups {
		if count := g.HeldDeletions; count > 0 && g.Job == 0 && g.Enabled && a.groups[id] == nil && a.agents.Any(dbusapi.AboutDeletions) {
			total := a.itemsAt(s, id)
			a.groups[id] = a.begin(count, func(ctx context.Context) (bool, error) { return a.askDeletions(ctx, id, count, total) })
		}
	}
}

func (a *secretary) askDeletions(ctx context.Context, id engine.GroupID, count, total uint32) (bool, error) {
	proceed, err := a.agents.Deletions(ctx, id, count, total)
	if err != nil {
		return false, err
	}
	_, err = a.program.keeper.ConfirmDeletions(id, proceed, "", &count, byAgent)
	return err == nil, err
}

// itemsAt is how many items there are where deletions are held.
func (a *secretary) itemsAt(s *engine.Snapshot, id engine.GroupID) (total uint32) {
	held, err := a.program.keeper.Problems(string(id), true, 0, 1<<20)
	if err != nil {
		return 0
	}
	var members []engine.MemberID
	for _, p := range held {
		if c := s.Collections[p.Member]; c != nil && !slices.Contains(members, p.Member) {
			members = append(members, p.Member)
			total += c.ItemCount
		}
	}
	return total
}

// reviewConflicts asks about one conflict at a time, the oldest first, and about
// each once.
func (a *secretary) reviewConflicts(s *engine.Snapshot) {
	settled(a.conflicts, func(id string, q *question) bool {
		c := s.Conflicts[id]
		return c != nil && (c.State == "open" || q.over()) && !q.nobody
	})
	var next *engine.ConflictState
	for id, c := range s.Conflicts {
		q := a.conflicts[id]
		if q != nil && !q.over() {
			return
		}
		if q == nil && c.State == "open" && (next == nil || c.Detected.Before(next.Detected) || c.Detected.Equal(next.Detected) && c.ID < next.ID) {
			next = c
		}
	}
	if next != nil && a.agents.Any(dbusapi.AboutConflicts) {
		id := next.ID
		a.conflicts[id] = a.begin(id, func(ctx context.Context) (bool, error) { return a.askConflict(ctx, id) })
	}
}

func (a *secretary) askConflict(ctx context.Context, id string) (bool, error) {
	texts, err := a.program.keeper.ConflictTexts(id)
	if err != nil {
		return false, err
	}
	choice, err := a.agents.Conflict(ctx, id, texts)
	if err != nil || choice == "later" {
		return false, err
	}
	_, err = a.program.keeper.Resolve(id, engine.Resolution{Choice: choice, Revision: texts.Revision}, byAgent)
	return err == nil, err
}
