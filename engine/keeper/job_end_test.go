package keeper

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

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

// A writing source asks somebody before each write.
type writingSource struct {
	*memory.Source
	during func(context.Context)
}

type writingStorage struct {
	*memory.Storage
	during func(context.Context)
}

func (s writingSource) Open(c engine.Collection) (engine.Storage, error) {
	st, err := s.Source.Open(c)
	if err != nil {
		return nil, err
	}
	return writingStorage{st.(*memory.Storage), s.during}, nil
}

func (s writingStorage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	s.during(ctx)
	return s.Storage.Apply(ctx, writes)
}

// A job that is asked to stop makes the write under way; by force it breaks it off.
func TestAForcedCancelBreaksTheWriteOff(t *testing.T) {
	for _, force := range []bool{false, true} {
		bubble(t, func(r *rig) {
			broken := false
			r.wrap = func(s *memory.Source) engine.Source {
				return writingSource{s, func(ctx context.Context) {
					for id := range r.k.Snapshot().Jobs {
						if err := r.k.Cancel(id, force); err != nil {
							t.Error(err)
						}
					}
					select {
					case <-ctx.Done():
						broken = true
					case <-time.After(time.Minute):
					}
				}}
			}
			a, b := r.pair()
			a.Put("1.ics", event("1", "1"))
			r.sync("g", engine.Cancel)
			if n := len(b.Texts()); broken != force || (n == 0) != force {
				t.Errorf("force %v: the write was broken off: %v; %d items are there", force, broken, n)
			}
		})
	}
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
