package keeper

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestASyncBringsItsMembersIntoStep(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1.ics", event("1", "one"))
		b.Put("2.ics", event("2", "two"))
		st := r.sync("g", engine.Success)
		r.want(a, "one two")
		r.want(b, "one two")
		if st.Report.Added != 2 || len(st.Report.Members) != 2 || st.Report.Sets[0].ID != "g/cal" || st.Kind != "sync" || st.Target.Group != "g" || st.Initiator != "test" {
			t.Errorf("report %+v", st.Report)
		}
		g := r.group("g")
		if g.State != "idle" || g.LastResult != engine.Success || g.LastSuccess.IsZero() || g.SlowSyncReason != "" || g.Job != 0 {
			t.Errorf("group %+v", g)
		}
		c := r.k.Snapshot().Collections["b/cal"]
		if c.ItemCount != 2 || c.Revision == "" || c.LastSuccess.IsZero() || !slices.Equal(c.Groups, []engine.GroupID{"g"}) {
			t.Errorf("collection %+v", c)
		}
		if acc := r.acct("a"); acc.State != "idle" || acc.LastSuccess.IsZero() || !slices.Equal(acc.Collections, []engine.MemberID{"a/cal"}) {
			t.Errorf("account %+v", acc)
		}
		rev := c.Revision
		a.ResetCounts()
		r.sync("", engine.Success)
		if n := a.Counts().Writes(); n != 0 || r.k.Snapshot().Collections["b/cal"].Revision != rev {
			t.Errorf("a second run wrote %d times, or changed the revision", n)
		}
		if r.k.Snapshot().Manager.LastSuccess.IsZero() {
			t.Error("the manager tells no success")
		}
	})
}

func TestEventsOfASyncComeInThePromisedOrder(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		a.Put("1.ics", event("1", "one"))
		r.sync("g", engine.Success)
		var order []string
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.events {
			switch e := e.(type) {
			case engine.JobChanged:
				order = append(order, "job "+e.State.State)
			case engine.GroupChanged:
				order = append(order, "group "+e.State.State)
			}
		}
		order = slices.Compact(order)
		// What a job does to others is told before the job.
		want := []string{"group queued", "job queued", "group syncing", "job running", "group syncing", "group idle", "job done"}
		if !slices.Equal(order, want) {
			t.Errorf("got  %q\nwant %q", order, want)
		}
	})
}

func TestAJoinedJobSurveysOnceMore(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		hold := r.hold("a")
		first, err := r.k.Sync(SyncRequest{What: "g"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second, err := r.k.Sync(SyncRequest{What: "g", IfRunning: "join"})
		if err != nil || second != first {
			t.Fatalf("joined %d, %v, want %d", second, err, first)
		}
		a.Before = func(c memory.Call) error { // somebody edits after the survey of the first round
			if c.Name == "changes" && c.N == 0 {
				defer b.Put("late.ics", event("late", "late"))
			}
			return nil
		}
		hold.open()
		r.wait(first, engine.Success)
		r.want(a, "late")
		if n := r.sources["a"].Looks(); n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
		if n := len(r.endedJobs()); n != 1 {
			t.Errorf("%d jobs ended, want 1", n)
		}
	})
}

func TestOnlyASyncThatAsksForTheSameIsJoined(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		hold := r.hold("a")
		first, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		seen := map[engine.JobID]bool{first: true}
		for _, req := range []SyncRequest{
			{What: "g", DryRun: true}, {What: "g", Slow: true}, {What: "g", Mode: "from:a"}, {What: "a"}, {What: ""}, {What: "g", IfRunning: "queue"},
		} {
			id, err := r.k.Sync(req)
			if err != nil || seen[id] {
				t.Errorf("%+v: job %d, %v", req, id, err)
			}
			seen[id] = true
			if st := r.job(id); st.State != "queued" {
				t.Errorf("%+v: %s beside another on the same set", req, st.State)
			}
		}
		dry, _ := r.k.Sync(SyncRequest{What: "g", DryRun: true})
		if n := len(r.k.Snapshot().Manager.Jobs); n != len(seen) || !seen[dry] {
			t.Errorf("%d jobs, want %d: one that waits is joined too", n, len(seen))
		}
		hold.open()
		for id := range seen {
			r.wait(id, engine.Success)
		}
	})
}

func TestFailRefusesWhileAnythingWorksOnTheSameSet(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		hold := r.hold("a")
		first, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		_, err := r.k.Sync(SyncRequest{What: "a", IfRunning: "fail"})
		r.refuse(err, engine.Busy, "job 1")
		hold.open()
		r.wait(first, engine.Success)
		if _, err := r.k.Sync(SyncRequest{What: "a", IfRunning: "fail"}); err != nil {
			t.Errorf("nothing runs, yet: %v", err)
		}
	})
}

func TestJobsOfDifferentGroupsRunSideBySideFourAtMost(t *testing.T) {
	bubble(t, func(r *rig) {
		var accounts []engine.AccountConfig
		var groups []engine.GroupConfig
		var gates []*gate
		for i := range 5 {
			a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
			r.collection(engine.AccountID(a), "cal")
			r.collection(engine.AccountID(b), "cal")
			gates = append(gates, r.hold(engine.AccountID(a)))
			accounts = append(accounts, memoryAccount(a), memoryAccount(b))
			groups = append(groups, groupOf(fmt.Sprintf("g%d", i), a, b))
		}
		r.start(accounts, groups)
		var ids []engine.JobID
		for i := range 5 {
			id, _ := r.k.Sync(SyncRequest{What: fmt.Sprintf("g%d", i)})
			ids = append(ids, id)
		}
		synctest.Wait()
		var states []string
		for _, id := range ids {
			states = append(states, r.job(id).State)
		}
		if want := []string{"running", "running", "running", "running", "queued"}; !slices.Equal(states, want) {
			t.Errorf("got %v", states)
		}
		gates[2].open()
		r.wait(ids[2], engine.Success)
		synctest.Wait()
		if st := r.job(ids[4]).State; st != "running" {
			t.Errorf("the fifth is %s after one ended", st)
		}
		for _, i := range []int{0, 1, 3, 4} {
			gates[i].open()
			r.wait(ids[i], engine.Success)
		}
	})
}

func TestASlowGroupOfAJobHoldsUpNoOtherGroup(t *testing.T) {
	bubble(t, func(r *rig) {
		for _, id := range []engine.AccountID{"a", "b", "c", "d"} {
			r.collection(id, "cal")
		}
		slow := newGate()
		defer slow.open()
		s := r.sources["a"].Storage("cal")
		s.Before = func(c memory.Call) error {
			if c.Name == "changes" {
				slow.pass()
			}
			return nil
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b"), memoryAccount("c"), memoryAccount("d")},
			[]engine.GroupConfig{groupOf("slow", "a", "b"), groupOf("quick", "c", "d")})
		all, _ := r.k.Sync(SyncRequest{What: ""})
		for !slow.reached() {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		r.sources["c"].Storage("cal").Put("1.ics", event("1", "one"))
		r.sync("quick", engine.Success)
		r.want(r.sources["d"].Storage("cal"), "one")
		slow.open()
		r.wait(all, engine.Success)
	})
}

func TestAtMost64JobsWait(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		hold := r.hold("a")
		for i := range 1 + maxQueued {
			if _, err := r.k.Sync(SyncRequest{What: "g", IfRunning: "queue"}); err != nil {
				t.Fatalf("job %d: %v", i, err)
			}
			synctest.Wait()
		}
		_, err := r.k.Sync(SyncRequest{What: "g", IfRunning: "queue"})
		r.refuse(err, engine.LimitExceeded, "64 jobs wait")
		hold.open()
		r.after(0)
	})
}

func TestWhoWasToldToStopGetsNoTurn(t *testing.T) {
	h := &handle{turn: make(chan struct{}, 1)}
	h.done()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for range 64 { // a free turn must not win by chance
		if err := h.wait(ctx); !engine.IsKind(err, engine.Cancelled) {
			t.Fatalf("%v: it went on", err)
		}
	}
	if err := h.wait(t.Context()); err != nil {
		t.Error(err)
	}
}
