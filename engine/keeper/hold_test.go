package keeper

import (
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestPauseHoldsTheScheduleAndNotCallers(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(60))
		if err := r.k.Pause(10*time.Minute, false); err != nil {
			t.Fatal(err)
		}
		r.k.Begin()
		m := r.k.Snapshot().Manager
		if m.State != "paused" || time.Until(m.PausedUntil) != 10*time.Minute {
			t.Errorf("%s until %v", m.State, m.PausedUntil)
		}
		r.sources["a"].Touch("")
		r.after(9 * time.Minute)
		if jobs := r.endedJobs(); len(jobs) > 0 {
			t.Errorf("ran %v", jobs)
		}
		r.sync("g", engine.Success)
		r.after(70 * time.Second)
		if m := r.k.Snapshot().Manager; m.State != "idle" || !m.PausedUntil.IsZero() {
			t.Errorf("after its time: %s until %v", m.State, m.PausedUntil)
		}
		if n := len(r.endedJobs()); n < 2 {
			t.Errorf("only %d jobs after the pause", n)
		}
		if err := r.k.Pause(0, false); err != nil {
			t.Fatal(err)
		}
		n := len(r.endedJobs())
		r.after(24 * time.Hour)
		if m := r.k.Snapshot().Manager; m.State != "paused" || !m.PausedUntil.IsZero() || len(r.endedJobs()) != n {
			t.Errorf("a pause without end: %+v, %d jobs", m, len(r.endedJobs())-n)
		}
		if err := r.k.Resume(); err != nil {
			t.Fatal(err)
		}
		r.after(time.Second)
		if len(r.endedJobs()) == n {
			t.Error("nothing ran after Resume, and much was due")
		}
	})
}

func TestPauseMayCancelWhatRuns(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(60))
		hold := r.hold("a")
		id, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		if err := r.k.Pause(0, true); err != nil {
			t.Fatal(err)
		}
		if st := r.job(id); st.State != "cancelling" || st.Cancellable {
			t.Errorf("job %+v", st)
		}
		hold.open()
		r.wait(id, engine.Cancel)
	})
}

func TestAnInhibitorHoldsWhatItNames(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(60))
		release, err := r.k.Inhibit("schedule", "backup runs")
		if err != nil {
			t.Fatal(err)
		}
		r.k.Begin()
		r.after(time.Hour)
		if jobs := r.endedJobs(); len(jobs) > 0 {
			t.Errorf("ran %v", jobs)
		}
		release()
		release() // twice is once
		r.after(time.Minute)
		if jobs := r.endedJobs(); len(jobs) == 0 {
			t.Error("nothing ran after the release")
		}
		if _, err := r.k.Inhibit("everything", ""); !engine.IsKind(err, engine.Invalid) {
			t.Errorf("got %v", err)
		}
		for i := range maxInhibits {
			if _, err := r.k.Inhibit("idle-exit", ""); err != nil {
				t.Fatalf("inhibitor %d: %v", i, err)
			}
		}
		_, err = r.k.Inhibit("idle-exit", "")
		r.refuse(err, engine.LimitExceeded, "256")
	})
}

func TestWhenTheNetworkReturnsWhatWasOfflineIsTriedSoon(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(3600))
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" && c.N < 3 {
				return errOffline
			}
			return nil
		}
		r.k.Begin()
		r.after(40 * time.Second)
		r.k.SetOnline(false)
		looks := r.sources["a"].Looks()
		r.after(time.Hour)
		if n := r.sources["a"].Looks(); n != looks {
			t.Errorf("asked %d times without a network", n-looks)
		}
		if m := r.k.Snapshot().Manager; m.Online || m.State != "offline" {
			t.Errorf("manager %+v", m)
		}
		r.k.SetOnline(true)
		r.after(5 * time.Second)
		if n := r.sources["a"].Looks(); n != looks+1 {
			t.Errorf("asked %d times within seconds of its return, want once", n-looks)
		}
	})
}

// Nobody would start us when the network is back.
func TestAScheduleThatWaitsForTheNetworkIsNotIdle(t *testing.T) {
	for interval, idle := range map[uint32]bool{3600: false, 0: true} {
		bubble(t, func(r *rig) {
			r.wrap = func(s *memory.Source) engine.Source { return struct{ engine.Source }{s} }
			r.scheduled(every(interval))
			r.k.Begin()
			r.after(time.Minute)
			r.k.SetOnline(false)
			if r.k.Idle() != idle {
				r.Errorf("an interval of %d s without a network: idle %v", interval, !idle)
			}
			if r.k.Snapshot().Manager.Online {
				r.Error("the network is said to be there")
			}
		})
	}
}

func TestAServerOnThisMachineNeedsNoNetwork(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:443": true, "localhost:80": true, "192.0.2.1:80": false, "h.example:80": false} {
		bubble(t, func(r *rig) {
			r.collection("a", "cal")
			r.collection("b", "cal")
			r.start([]engine.AccountConfig{memoryAccount("a", "url", address), memoryAccount("b", "url", address)}, []engine.GroupConfig{groupOf("g", "a", "b")})
			r.k.SetOnline(false)
			r.k.Begin()
			r.after(time.Hour)
			if looked := r.sources["a"].Looks() > 0; looked != want {
				r.Errorf("%s without a network: asked %v", address, looked)
			}
		})
	}
}
