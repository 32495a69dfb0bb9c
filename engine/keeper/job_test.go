package keeper

import (
	"context"
	"errors"
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

func TestCancelStopsAtAnItemAndEndsAWaitingJobAtOnce(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		for i := range 20 {
			a.Put(engine.Ref(fmt.Sprintf("%02d.ics", i)), event(fmt.Sprintf("%02d", i), fmt.Sprintf("%02d", i)))
		}
		var running engine.JobID
		b.After = func(c memory.Call) error {
			if c.Name == "create" && c.N == 4 {
				if err := r.k.Cancel(running, false); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		running, _ = r.k.Sync(SyncRequest{What: "g"})
		waiting, _ := r.k.Sync(SyncRequest{What: "g", IfRunning: "queue"})
		if err := r.k.Cancel(waiting, false); err != nil {
			t.Fatal(err)
		}
		if st := r.job(waiting); st.State != engine.StateDone || st.Result != engine.Cancel {
			t.Errorf("the job that waited is %s %s", st.State, st.Result)
		}
		st := r.wait(running, engine.Cancel)
		if n := len(b.Texts()); n < 5 || n > 19 {
			t.Errorf("%d items were written; it was cancelled at the fifth", n)
		}
		if st.Failure.Kind != engine.Cancelled || r.group("g").LastResult != engine.Cancel {
			t.Errorf("%+v, group %+v", st.Failure, r.group("g"))
		}
		if err := r.k.Cancel(running, false); err != nil {
			t.Errorf("cancelling a job that is done: %v", err)
		}
		r.refuse(r.k.Cancel(4711, false), engine.NotFound, "job 4711")
		b.After = nil
		r.sync("g", engine.Success)
		if n := len(b.Texts()); n != 20 {
			t.Errorf("%d items after the next run, want 20", n)
		}
	})
}

func TestATimeoutEndsAJobWithItsOwnError(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		r.sources["a"].Before = func(c memory.Call) error {
			if c.Name == "look" {
				time.Sleep(time.Minute)
			}
			return nil
		}
		id, _ := r.k.Sync(SyncRequest{What: "g", Timeout: 30 * time.Second})
		st := r.wait(id, engine.Failed)
		if st.Failure.Kind != engine.Timeout {
			t.Errorf("got %+v", st.Failure)
		}
		if acc := r.acct("a"); acc.Failure.Set {
			t.Errorf("the account is blamed: %+v", acc.Failure)
		}
	})
}

func TestAJobLingersFor30SecondsAnd32AtMost(t *testing.T) {
	bubble(t, func(r *rig) {
		r.pair()
		first := r.sync("g", engine.Success).ID
		r.after(29 * time.Second)
		if r.job(first) == nil {
			t.Fatal("it is gone before 30 seconds are over")
		}
		r.after(2 * time.Second)
		if r.job(first) != nil {
			t.Error("it is still there after 30 seconds")
		}
		if rep, err := r.k.Report(first); err != nil || rep.Result != engine.Success || rep.Job != first {
			t.Errorf("its report afterwards: %+v, %v", rep, err)
		}
		ids := []engine.JobID{}
		for range lingerMost + 1 {
			ids = append(ids, r.sync("g", engine.Success).ID)
		}
		if r.job(ids[0]) != nil || r.job(ids[1]) == nil {
			t.Error("32 newer ones have finished, and no more than 32 are shown")
		}
		if len(seenEvents[engine.JobGone](r)) != 2 {
			t.Errorf("%d jobs are told as gone, want 2", len(seenEvents[engine.JobGone](r)))
		}
		_, err := r.k.Report(9999)
		r.refuse(err, engine.NotFound, "job 9999")
	})
}

func TestJobNumbersAndStateSurviveARestart(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		a.Put("1.ics", event("1", "one"))
		last := r.sync("g", engine.Success)
		before := r.k.Snapshot()
		r.close()
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		g, was := r.group("g"), before.Groups["g"]
		if g.LastResult != was.LastResult || !g.LastSuccess.Equal(was.LastSuccess) || g.SlowSyncReason != "" {
			t.Errorf("group %+v, was %+v", g, was)
		}
		c, wasC := r.k.Snapshot().Collections["b/cal"], before.Collections["b/cal"]
		if c == nil || c.ItemCount != 1 || c.Revision != wasC.Revision || !c.LastSuccess.Equal(wasC.LastSuccess) {
			t.Errorf("collection %+v, was %+v", c, wasC)
		}
		if !r.k.Snapshot().Manager.LastSuccess.Equal(before.Manager.LastSuccess) {
			t.Error("the manager forgot its success")
		}
		if id := r.sync("g", engine.Success).ID; id <= last.ID {
			t.Errorf("job %d after %d", id, last.ID)
		}
		if h, err := r.k.History("g", 0, 10); err != nil || len(h) != 2 || h[0].Job <= h[1].Job {
			t.Errorf("history %+v, %v", h, err)
		}
	})
}

func TestStoppingEndsJobsAtAnItemAndAnswersNobodyAfterwards(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		for i := range 20 {
			a.Put(engine.Ref(fmt.Sprintf("%02d.ics", i)), event(fmt.Sprint(i), fmt.Sprint(i)))
		}
		b.After = func(c memory.Call) error {
			if c.Name == "create" && c.N == 2 {
				r.stop()
				time.Sleep(time.Second)
			}
			return nil
		}
		if _, err := r.k.Sync(SyncRequest{What: "g"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.k.Sync(SyncRequest{What: "g", IfRunning: "queue"}); err != nil {
			t.Fatal(err)
		}
		<-r.ended
		if n := len(b.Texts()); n < 3 || n == 20 {
			t.Errorf("%d items written", n)
		}
		_, err := r.k.Sync(SyncRequest{What: "g"})
		r.refuse(err, engine.Cancelled, "stopping")
		if snap, sub := r.k.Watch(); snap == nil || sub == nil {
			t.Error("Watch gives nothing after the end")
		}
		if !r.sources["a"].Closed() || !r.sources["b"].Closed() {
			t.Error("a source is still open")
		}
		for id, st := range r.k.Snapshot().Jobs {
			if st.State != engine.StateDone || st.Result != engine.Cancel {
				t.Errorf("job %d is %s %s", id, st.State, st.Result)
			}
		}
	})
}

func TestDrainLetsJobsRunToTheirEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1.ics", event("1", "one"))
		hold := r.hold("a")
		id, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		drained := make(chan struct{})
		go func() { r.k.Drain(); close(drained) }()
		synctest.Wait()
		select {
		case <-drained:
			t.Error("it is back while a job runs")
		default:
		}
		hold.open()
		<-drained
		r.wait(id, engine.Success)
		r.want(b, "one")
	})
}

func TestProgressNeverGoesBackAndEndsComplete(t *testing.T) {
	bubble(t, func(r *rig) {
		for i := range 12 {
			s := r.collection("a", fmt.Sprint("cal", i))
			r.collection("b", fmt.Sprint("cal", i))
			for n := range 5 {
				s.Put(engine.Ref(fmt.Sprint(n)), event(fmt.Sprint(i, ".", n), "x"))
			}
			s.Before = func(memory.Call) error { time.Sleep(20 * time.Millisecond); return nil }
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		st := r.sync("g", engine.Success)
		last, done := int32(-1), uint64(0)
		told := 0
		for _, e := range seenEvents[engine.JobProgress](r) {
			p := e.Progress.Percent()
			if p < last || e.Progress.ItemsDone < done {
				t.Errorf("%d %% with %d items after %d %% with %d", p, e.Progress.ItemsDone, last, done)
			}
			last, done = p, e.Progress.ItemsDone
			told++
		}
		if told < 3 || st.Progress.Percent() != 100 {
			t.Errorf("told %d times, ended at %d %%: %+v", told, st.Progress.Percent(), st.Progress)
		}
	})
}

func TestWhatAJobDoesToItemsIsTold(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		for i := range 300 {
			a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
		}
		id, err := r.k.Sync(SyncRequest{What: "g", DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		st := r.wait(id, engine.Success)
		n := 0
		for _, e := range seenEvents[engine.JobItems](r) {
			if e.Job != id || len(e.Items) > itemBatch {
				t.Errorf("%d items of job %d in one event", len(e.Items), e.Job)
			}
			n += len(e.Items)
		}
		if n != 300 || st.Report.Added != 300 {
			t.Errorf("%d items told, %d counted", n, st.Report.Added)
		}
		if len(r.sources["b"].Storage("cal").Texts()) != 0 || r.group("g").LastResult != "" {
			t.Error("a dry run changed something")
		}
	})
}

func TestResultsFollowTheContract(t *testing.T) {
	offline := func(r *rig, id engine.AccountID) {
		r.sources[id].Before = func(c memory.Call) error {
			if c.Name == "look" {
				return errOffline
			}
			return nil
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(r *rig)
		members int
		result  string
		kind    engine.Kind
		success bool // LastSuccess moves
	}{
		{"everything in step", func(*rig) {}, 2, engine.Success, 0, true},
		{"a conflict is open", func(r *rig) {
			r.sources["m0"].Storage("cal").Put("x", event("x", "left"))
			r.sources["m1"].Storage("cal").Put("x", event("x", "right"))
		}, 2, engine.Success, 0, true},
		{"one of three is offline", func(r *rig) { offline(r, "m2") }, 3, engine.Partial, engine.Offline, false},
		{"one of two is offline", func(r *rig) { offline(r, "m1") }, 2, engine.Failed, engine.Offline, false},
		{"an item is refused", func(r *rig) {
			r.sources["m0"].Storage("cal").Put("x", event("x", "bad"))
			r.sources["m1"].Storage("cal").Refuse = func(engine.Write) error {
				return engine.Fail(engine.InvalidItem, "create", "x", "%w", errors.New("no such property"))
			}
		}, 2, engine.Partial, engine.InvalidItem, true},
		{"a member is full", func(r *rig) {
			r.sources["m0"].Storage("cal").Put("x", event("x", "big"))
			r.sources["m1"].Storage("cal").Refuse = func(engine.Write) error {
				return engine.Fail(engine.QuotaExceeded, "create", "x", "%w", errors.New("full"))
			}
		}, 2, engine.Partial, engine.QuotaExceeded, false},
		{"one set of two fails", func(r *rig) {
			r.collection("m0", "other")
			r.collection("m1", "other").Before = func(memory.Call) error { return errOffline }
		}, 2, engine.Partial, engine.Offline, false},
		{"there is nothing in common", func(r *rig) {
			r.sources["m1"].Drop("m1!cal")
			r.collection("m1", "elsewhere")
		}, 2, engine.Skipped, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				var accounts []engine.AccountConfig
				var members []string
				for i := range c.members {
					id := fmt.Sprint("m", i)
					r.collection(engine.AccountID(id), "cal")
					accounts, members = append(accounts, memoryAccount(id)), append(members, id)
				}
				c.prepare(r)
				r.start(accounts, []engine.GroupConfig{groupOf("g", members...)})
				st := r.sync("g", c.result)
				if c.kind != 0 && st.Failure.Kind != c.kind || c.kind == 0 && st.Failure.Set {
					t.Errorf("failure %+v, want %v", st.Failure, c.kind)
				}
				if moved := !r.group("g").LastSuccess.IsZero(); moved != c.success {
					t.Errorf("LastSuccess moved: %v", moved)
				}
				if moved := !r.k.Snapshot().Manager.LastSuccess.IsZero(); moved != (c.result == engine.Success) {
					t.Errorf("the manager's LastSuccess moved: %v", moved)
				}
				if st := r.group("g"); st.Failure.Set != (c.result == engine.Failed || c.result == engine.Partial && !c.success) {
					t.Errorf("group %s %+v", st.State, st.Failure)
				}
			})
		})
	}
}

func TestAnIdThatNoGroupCoversIsSkippedAndADisabledOneRefused(t *testing.T) {
	bubble(t, func(r *rig) {
		off := memoryAccount("off")
		off.Enabled = false
		gOff := groupOf("goff", "a", "b")
		gOff.Enabled = false
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b"), memoryAccount("alone"), off}, []engine.GroupConfig{gOff})
		r.sync("alone", engine.Skipped)
		r.sync("", engine.Skipped)
		_, err := r.k.Sync(SyncRequest{What: "off"})
		r.refuse(err, engine.Disabled, "off")
		_, err = r.k.Sync(SyncRequest{What: "goff"})
		r.refuse(err, engine.Disabled, "goff")
		_, err = r.k.Sync(SyncRequest{What: "nobody"})
		r.refuse(err, engine.NotFound, "nobody")
		for _, bad := range []SyncRequest{{What: "", Mode: "from:a"}, {Mode: "sideways"}, {IfRunning: "maybe"}} {
			_, err := r.k.Sync(bad)
			r.refuse(err, engine.Invalid, "")
		}
	})
}

func TestSnapshotsAreNeverChangedAndSayWhatTheEventsSay(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		snap, sub := r.k.Watch()
		a.Put("1.ics", event("1", "one"))
		r.sync("g", engine.Success)
		if len(snap.Jobs) != 0 || len(snap.Collections) != 0 || snap.Groups["g"].LastResult != "" {
			t.Error("an old snapshot changed")
		}
		now := r.k.Snapshot()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for {
			n, err := sub.Next(ctx)
			if err != nil {
				break
			}
			switch e := n.Event.(type) {
			case engine.GroupChanged:
				snap.Groups["g"] = e.State
			case engine.JobChanged:
				snap.Jobs[e.State.ID] = e.State
			case engine.ManagerChanged:
				snap.Manager = e.State
			}
			snap.Seq = n.Seq
		}
		sub.Close()
		if snap.Seq != now.Seq || r.k.Seq() != now.Seq || snap.Groups["g"] != now.Groups["g"] || snap.Jobs[1] != now.Jobs[1] {
			t.Error("the events do not lead from the old snapshot to the new one")
		}
	})
}
