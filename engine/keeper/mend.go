package keeper

import (
	"context"
	"maps"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// maxMends bounds how often one job has a person asked about one thing after the
// other: a password that is missing, then one that is refused, then a
// certificate.
const maxMends = 5

// waiting is the state of a job that waits for a person.
const waiting = "waiting"

// mend has a person asked about those accounts of a job that failed since a
// moment and that only a person can mend. It reports whether another round is
// worth while. For a job that nobody asked for nobody is asked. Meanwhile the job
// waits, and others may work on what it works on; a round that follows takes
// that back, as oneMore does.
func (k *Keeper) mend(ctx context.Context, j *job, since time.Time, v *verdict) bool {
	if k.opt.Mend == nil || ctx.Err() != nil || j.mends == maxMends {
		return false
	}
	broken := map[engine.AccountID]func(context.Context) bool{}
	failures := map[engine.AccountID]engine.Failure{}
	joinable := false
	k.post(func() {
		if j.auto || j.stopping || k.stopping {
			return
		}
		for id := range j.accounts {
			if a := k.accounts[id]; a != nil && a.cfg.Enabled && !a.attempt.Before(since) && Mendable(a.failure) {
				failures[id] = a.failure
			}
		}
	})
	for id, f := range failures {
		if ask := k.opt.Mend(id, f, since); ask != nil {
			broken[id] = ask
		}
	}
	k.post(func() {
		if len(broken) > 0 && !j.stopping {
			joinable, j.joinable = j.joinable, false
			j.st.State = waiting
			k.emitJob(j)
		}
	})
	if len(broken) == 0 {
		return false
	}
	j.mends++
	for _, key := range j.keys {
		k.letGo(j, key)
	}
	mended := false
	for _, id := range slices.Sorted(maps.Keys(broken)) {
		mended = broken[id](ctx) || mended
	}
	k.post(func() {
		if j.st.State == waiting {
			j.st.State, j.joinable = "running", joinable
			k.emitJob(j)
		}
		j.again = j.again || mended
	})
	if v.failure.Set {
		v.stop(j.st.Kind, ctx) // of a job that was stopped while it waited
	}
	return mended
}

// Mendable reports whether a person can mend a failure of an account by the
// answer to one question.
func Mendable(f engine.Failure) bool {
	switch f.Kind {
	case engine.AuthRequired, engine.AuthFailed, engine.CertUntrusted, engine.CertExpired, engine.CertHostMismatch, engine.CertInvalid:
		return f.Set
	}
	return false
}
