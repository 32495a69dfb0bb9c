package keeper

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// locked makes an account fail until it is mended.
func (r *rig) locked(id engine.AccountID, kind engine.Kind) *atomic.Bool {
	mended := &atomic.Bool{}
	r.sources[id].Before = func(c memory.Call) error {
		if c.Name == "look" && !mended.Load() {
			return engine.Fail(kind, "look at", string(id), "somebody must mend it")
		}
		return nil
	}
	return mended
}

// statesOf are the states that a job went through.
func (r *rig) statesOf(id engine.JobID) []string {
	var all []string
	for _, e := range seenEvents[engine.JobChanged](r) {
		if e.State.ID == id {
			all = append(all, e.State.State)
		}
	}
	return slices.Compact(all)
}

func TestAJobThatSomebodyAskedForWaitsForAPersonAndGoesOn(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.collection("a", "cal"), r.collection("b", "cal")
		a.Put("1", event("1", "one"))
		mended := r.locked("a", engine.AuthRequired)
		asked := 0
		r.mend = func(_ context.Context, id engine.AccountID, f engine.Failure) bool {
			time.Sleep(time.Hour)
			asked++
			mended.Store(id == "a" && f.Kind == engine.AuthRequired)
			return true
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		id, err := r.k.Sync(SyncRequest{What: "g"})
		if err != nil {
			r.Fatal(err)
		}
		time.Sleep(time.Hour)
		r.wait(id, engine.Success)
		r.want(b, "one")
		if got := r.statesOf(id); !slices.Equal(got, []string{"queued", "running", "waiting", "running", "done"}) || asked != 1 {
			r.Errorf("asked %d times; states %v", asked, got)
		}
		if st := r.acct("a"); st.Failure.Set || st.State != "idle" {
			r.Errorf("the account is %s: %s", st.State, st.Failure.Message)
		}
		mended.Store(false)
		check, err := r.k.Check("a", nil, "test")
		if err != nil {
			r.Fatal(err)
		}
		time.Sleep(time.Hour)
		r.wait(check, engine.Success)
	})
}

func TestWhatAPersonDoesNotMendStaysAFailure(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("a", "cal")
		r.collection("b", "cal")
		r.locked("a", engine.AuthFailed)
		asked := 0
		r.mend = func(context.Context, engine.AccountID, engine.Failure) bool { asked++; return asked < 100 }
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		st := r.sync("g", engine.Failed)
		if asked != maxMends || st.Failure.Kind != engine.AuthFailed {
			r.Errorf("asked %d times, %v", asked, st.Failure)
		}
	})
}

func TestNobodyIsAskedForWhatNobodyAskedFor(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("a", "cal")
		r.collection("b", "cal")
		r.locked("a", engine.CertUntrusted)
		r.mend = func(context.Context, engine.AccountID, engine.Failure) bool {
			r.Error("somebody was asked")
			return false
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		r.k.Begin()
		r.after(time.Hour)
		if jobs := r.endedJobs(); len(jobs) == 0 || jobs[0] != "sync by schedule: failed" {
			r.Errorf("jobs %v", jobs)
		}
	})
}

func TestOthersGoOnWhileAJobWaitsForAPerson(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("a", "cal")
		b, c := r.collection("b", "cal"), r.collection("c", "cal")
		r.locked("a", engine.AuthRequired)
		r.mend = func(ctx context.Context, _ engine.AccountID, _ engine.Failure) bool {
			<-ctx.Done()
			return false
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b"), memoryAccount("c")}, []engine.GroupConfig{groupOf("g", "a", "b", "c")})
		r.k.Begin()
		id, err := r.k.Sync(SyncRequest{What: "g"})
		if err != nil {
			r.Fatal(err)
		}
		r.reach(id, "waiting")
		b.Put("1", event("1", "one"))
		time.Sleep(time.Hour) // the schedule's runs do not wait for the person
		r.reach(id, "waiting")
		r.want(c, "one")
		if err := r.k.Cancel(id, false); err != nil {
			r.Fatal(err)
		}
		r.wait(id, engine.Cancel)
	})
}

// reach waits until a job is in a state.
func (r *rig) reach(id engine.JobID, state string) {
	r.Helper()
	for range 10000 {
		if r.job(id).State == state {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.Fatalf("job %d is %s", id, r.job(id).State)
}
