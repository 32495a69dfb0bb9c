package group

import (
	"context"
	"sync"

	"davbus.org/davbus/engine"
)

// begin tells the members that want to know that a run begins. One of them that
// trusts no mark makes the run slow for all. What it gives tells them the end.
func (r *run) begin(ctx context.Context) (end func(fault error)) {
	open := make([]engine.Session, len(r.members))
	slow := make([]bool, len(r.members))
	asked := r.opt.Slow
	each := func(do func(i int, m *member, s engine.Session)) {
		var wg sync.WaitGroup
		for i, m := range r.members {
			if s, ok := m.Storage.(engine.Session); ok {
				wg.Go(func() { do(i, m, s) })
			}
		}
		wg.Wait()
	}
	each(func(i int, m *member, s engine.Session) {
		if m.err != nil {
			return
		}
		wants, err := s.Begin(ctx, asked)
		if err != nil {
			m.end(err)
			return
		}
		open[i], slow[i] = s, wants
	})
	for _, wants := range slow {
		if wants && !r.opt.Slow {
			r.opt.Slow, r.slow = true, "plugin"
		}
	}
	return func(fault error) {
		each(func(i int, m *member, s engine.Session) {
			if open[i] == nil {
				return
			}
			whole := fault == nil && m.err == nil && m.read && m.counts.Failed == 0 && r.failure == nil && !r.opt.DryRun
			// A run that was cancelled has an end all the same.
			if err := s.End(context.WithoutCancel(ctx), whole); err != nil {
				m.end(err)
			}
		})
	}
}
