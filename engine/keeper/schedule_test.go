package keeper

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// quiet is a group that no touch disturbs: the folders of its members are
// watched, and tell nothing.
func every(sec uint32) engine.GroupConfig {
	g := groupOf("g", "a", "b")
	g.IntervalSec = sec
	return g
}

func (r *rig) scheduled(g engine.GroupConfig, accounts ...engine.AccountConfig) {
	r.Helper()
	r.collection("a", "cal")
	r.collection("b", "cal")
	if accounts == nil {
		accounts = []engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}
	}
	r.start(accounts, []engine.GroupConfig{g})
}

func TestNothingRunsByItselfBeforeBegin(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(10))
		r.after(time.Hour)
		if jobs := r.endedJobs(); len(jobs) > 0 || !r.group("g").NextRun.IsZero() {
			t.Errorf("%v, next run %v", jobs, r.group("g").NextRun)
		}
	})
}

func TestTheScheduleRunsSoonAfterTheStartAndThenAtTheInterval(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(600))
		start := time.Now()
		r.k.Begin()
		if next := r.group("g").NextRun.Sub(start); next < 5*time.Second || next > 10*time.Second {
			t.Errorf("the first run is due after %v", next)
		}
		r.after(10 * time.Second)
		first := r.endedJobs()
		if !slices.Equal(first, []string{"sync by schedule: success"}) {
			t.Fatalf("got %v", first)
		}
		next := r.group("g").NextRun
		if in := time.Until(next); in < 590*time.Second || in > 630*time.Second || !r.k.Snapshot().Manager.NextRun.Equal(next) {
			t.Errorf("the next run is due in %v; the manager says %v", in, time.Until(r.k.Snapshot().Manager.NextRun))
		}
		r.after(time.Until(next) - time.Second)
		if n := len(r.endedJobs()); n != 1 {
			t.Errorf("%d jobs before it is due", n)
		}
		r.after(2 * time.Second)
		if n := len(r.endedJobs()); n != 2 {
			t.Errorf("%d jobs after it was due", n)
		}
	})
}

func TestIntervalZeroRunsOnlyOnRequest(t *testing.T) {
	for _, c := range []struct {
		name     string
		group    uint32
		accounts []engine.AccountConfig
		next     time.Duration
	}{
		{"the group's interval holds", 600, nil, 600 * time.Second},
		{"a group with 0 runs on request", 0, nil, 0},
		{"an account may ask for less", 600, []engine.AccountConfig{memoryAccount("a", "interval-sec", uint32(60)), memoryAccount("b")}, 60 * time.Second},
		{"an account may not ask for more", 600, []engine.AccountConfig{memoryAccount("a", "interval-sec", uint32(6000)), memoryAccount("b")}, 600 * time.Second},
		{"an account with 0 runs on request", 600, []engine.AccountConfig{memoryAccount("a", "interval-sec", uint32(0)), memoryAccount("b")}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.scheduled(every(c.group), c.accounts...)
				r.k.Begin()
				r.after(20 * time.Second)
				next := r.group("g").NextRun
				if c.next == 0 {
					if !next.IsZero() || len(r.endedJobs()) > 0 {
						t.Errorf("due %v, ran %v", next, r.endedJobs())
					}
					return
				}
				if in := time.Until(next); in > c.next+c.next/20 || in < c.next-20*time.Second {
					t.Errorf("due in %v, want about %v", in, c.next)
				}
			})
		})
	}
}

func TestAFailingAccountIsTriedAgainLaterAndLater(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(86400))
		var up atomic.Bool
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" && !up.Load() {
				return errOffline
			}
			return nil
		}
		r.k.Begin()
		r.after(10 * time.Second)
		var waits []time.Duration
		for range 9 {
			a := r.acct("a")
			if a.State != "offline" || a.Failure.Kind != engine.Offline || a.NextAttempt.IsZero() || r.group("g").State != "error" {
				t.Fatalf("account %s %+v, group %s", a.State, a.Failure, r.group("g").State)
			}
			if !r.group("g").NextRun.Equal(a.NextAttempt) {
				t.Errorf("the group runs at %v, the account is tried at %v", r.group("g").NextRun, a.NextAttempt)
			}
			wait := a.NextAttempt.Sub(a.LastAttempt)
			waits = append(waits, wait)
			r.after(time.Until(a.NextAttempt) + time.Second)
		}
		want := []time.Duration{30, 60, 120, 240, 480, 960, 1920, 3600, 3600}
		for i, w := range want {
			if got := waits[i] / time.Second; got != w {
				t.Errorf("wait %d is %d s, want %d s", i, got, w)
			}
		}
		up.Store(true)
		r.after(2 * time.Hour)
		if a := r.acct("a"); a.State != "idle" || !a.NextAttempt.IsZero() || r.group("g").State != "idle" {
			t.Errorf("account %s, next attempt %v, group %s", a.State, a.NextAttempt, r.group("g").State)
		}
	})
}

func TestARequestDoesNotWaitForTheBackoff(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(600))
		var up atomic.Bool
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" && !up.Load() {
				return engine.Fail(engine.AuthFailed, "log in", "a", "")
			}
			return nil
		}
		r.k.Begin()
		r.after(10 * time.Second)
		a := r.acct("a")
		if wait := a.NextAttempt.Sub(a.LastAttempt); wait < 12*time.Minute || a.State != "error" || a.Failure.Kind != engine.AuthFailed {
			t.Errorf("a refused login is tried again after %v: servers lock accounts; %s", wait, a.State)
		}
		if len(r.secrets.rejected) != 1 {
			t.Errorf("the secrets were told %d times", len(r.secrets.rejected))
		}
		looks := r.sources["a"].Looks()
		r.after(time.Until(a.NextAttempt) - time.Second)
		if n := r.sources["a"].Looks(); n != looks {
			t.Errorf("the schedule asked the server %d times more before the time", n-looks)
		}
		up.Store(true)
		r.sync("g", engine.Success)
		if a := r.acct("a"); a.State != "idle" || a.Failure.Set {
			t.Errorf("account %+v", a)
		}
	})
}

func TestTheScheduleLeavesAFailingAccountAloneAndTheOthersGoOn(t *testing.T) {
	bubble(t, func(r *rig) {
		r.collection("c", "cal")
		g := every(60)
		g.Members = append(g.Members, "c")
		r.scheduled(g, memoryAccount("a"), memoryAccount("b"), memoryAccount("c"))
		r.sources["c"].Before = func(c memory.Call) error {
			if c.Name == "look" {
				return engine.Fail(engine.AuthFailed, "log in", "c", "")
			}
			return nil
		}
		r.k.Begin()
		r.after(10 * time.Minute)
		r.sources["a"].Storage("cal").Put("1", event("1", "one"))
		r.after(2 * time.Minute)
		r.want(r.sources["b"].Storage("cal"), "one")
		if n := r.sources["c"].Looks(); n != 1 {
			t.Errorf("the account that refuses the login was asked %d times in 12 minutes", n)
		}
		if st := r.group("g"); st.LastResult != engine.Partial || st.Failure.Kind != engine.AuthFailed {
			t.Errorf("%s, %+v", st.LastResult, st.Failure)
		}
	})
}

func TestWhatTheServerAsksForIsWaited(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(600))
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" {
				return &engine.Error{Op: "look", Kind: engine.ServerBusy, Status: 503, RetryAfter: 5 * time.Hour}
			}
			return nil
		}
		r.sync("g", engine.Failed)
		if a := r.acct("a"); a.NextAttempt.Sub(a.LastAttempt) != 5*time.Hour {
			t.Errorf("tried again after %v", a.NextAttempt.Sub(a.LastAttempt))
		}
	})
}

func TestAttentionIsAskedForOnceForEachChange(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(600))
		var fails atomic.Pointer[engine.Error]
		r.sources["a"].Before = func(c memory.Call) error {
			if e := fails.Load(); c.Name == "look" && e != nil {
				return e
			}
			return nil
		}
		asked := func(want int, why string) {
			t.Helper()
			if n := len(seenEvents[engine.Attention](r)); n != want {
				t.Errorf("%s: asked %d times in all, want %d", why, n, want)
			}
		}
		fails.Store(errOffline)
		r.sync("g", engine.Failed)
		asked(0, "a server that cannot be reached")
		fails.Store(&engine.Error{Op: "log in", Kind: engine.AuthFailed, Status: 401})
		r.sync("g", engine.Failed)
		r.sync("g", engine.Failed)
		asked(1, "a refused login, twice")
		if e := seenEvents[engine.Attention](r)[0]; e.Account != "a" || e.Status != 401 || e.URL != "https://x/" || e.Failure.Kind != engine.AuthFailed {
			t.Errorf("got %+v", e)
		}
		if !r.k.Snapshot().Manager.AttentionNeeded {
			t.Error("the manager says that nobody is needed")
		}
		fails.Store(engine.Fail(engine.CertExpired, "connect", "a", ""))
		r.sync("g", engine.Failed)
		asked(2, "another reason")
		if s := r.acct("a").State; s != "untrusted-certificate" {
			t.Errorf("state %s", s)
		}
		fails.Store(nil)
		r.sync("g", engine.Success)
		if r.k.Snapshot().Manager.AttentionNeeded {
			t.Error("the manager says that somebody is needed")
		}
		fails.Store(engine.Fail(engine.AuthRequired, "log in", "a", ""))
		r.sync("g", engine.Failed)
		asked(3, "once more, after it was well")
		if s := r.acct("a").State; s != "secret-missing" {
			t.Errorf("state %s", s)
		}
	})
}

func TestASecretThatIsSetIsTriedSoon(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(600))
		var given atomic.Bool
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" && !given.Load() {
				return engine.Fail(engine.AuthRequired, "log in", "a", "")
			}
			return nil
		}
		r.k.Begin()
		r.after(10 * time.Second)
		given.Store(true)
		if err := r.k.SetSecret("a", "password", []byte("pw"), "session"); err != nil {
			t.Fatal(err)
		}
		if want := []string{"a password pw session"}; !slices.Equal(r.secrets.set, want) {
			t.Errorf("set %q", r.secrets.set)
		}
		r.after(5 * time.Second)
		if s := r.acct("a").State; s != "idle" {
			t.Errorf("the account is %s: %v", s, r.endedJobs())
		}
		r.refuse(r.k.SetSecret("a", "url", nil, ""), engine.Invalid, "url")
		r.refuse(r.k.SetSecret("x", "password", nil, ""), engine.NotFound, "x")
		if err := r.k.ForgetSecret("a", "password", ""); err != nil {
			t.Error(err)
		}
	})
}
