package keeper

import "time"

// How long history is kept. What is older or beyond the size goes, the oldest
// first, when nothing runs.
const (
	historyAge  = 90 * 24 * time.Hour
	historySize = 256 << 20
	reportsKept = 2000
	tidySoon    = 10 * time.Minute // after the start
	tidyEvery   = 24 * time.Hour
)

// tidyDue is when the ledger is to be tidied; zero while that must wait.
func (k *Keeper) tidyDue() time.Time {
	if !k.begun || k.stopping || k.tidying || len(k.running) > 0 {
		return time.Time{}
	}
	return k.tidyAt
}

// tidy prunes the ledger. No job runs meanwhile: it may have kept a text that
// nothing names yet.
func (k *Keeper) tidy(now time.Time) {
	if due := k.tidyDue(); due.IsZero() || now.Before(due) {
		return
	}
	k.tidying = true
	k.work.Go(func() {
		// A failure is told by the next job that meets it; this one is tried again.
		_ = k.opt.Ledger.Prune(historyAge, historySize, reportsKept)
		k.post(func() {
			k.tidying = false
			k.tidyAt = k.now().Add(tidyEvery)
		})
	})
}
