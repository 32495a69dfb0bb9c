package dbusapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
)

func progressOf(id engine.JobID, done uint64) engine.JobProgress {
	return engine.JobProgress{Job: id, Progress: engine.Progress{Phase: "write", ItemsDone: done, ItemsTotal: 1000, BytesDone: done * 10}}
}

func TestProgressOfOneJobIsToldFourTimesASecondAndTheLastAlways(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		id := h.newJob("sync", engine.Target{Group: "home"}, "schedule")
		for done := range uint64(1000) {
			h.publish(progressOf(id, done))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		told := with(r.take(), "changed /job/42 ")
		if n := len(told); n < 38 || n > 41 {
			t.Errorf("%d signals in 10 s, want 40", n)
		}
		for i := 1; i < len(told); i++ {
			if gap := told[i].at.Sub(told[i-1].at); gap < jobPace {
				t.Errorf("signals %d and %d are %v apart", i-1, i, gap)
			}
		}
		if want := "changed /job/42 BytesDone ItemsDone Percent"; told[1].what != want && told[2].what != want {
			t.Errorf("progress is told as %q and %q", told[1].what, told[2].what)
		}
		h.publish(progressOf(id, 1000))
		h.end(id, engine.Success, engine.Failure{})
		synctest.Wait()
		end := with(r.take(), "changed /job/42")
		if len(end) != 1 || end[0].vals["ItemsDone"] != uint64(1000) || end[0].vals["State"] != "done" || end[0].vals["Percent"] != int32(100) {
			t.Errorf("the end is told as %v", end)
		}
	})
}

func TestProgressOfAllJobsTogetherIsToldTwentyTimesASecond(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		var ids []engine.JobID
		for range 30 {
			ids = append(ids, h.newJob("sync", engine.Target{Group: "home"}, "schedule"))
		}
		synctest.Wait()
		r.take()
		for done := range uint64(500) {
			for _, id := range ids {
				h.publish(progressOf(id, done+1))
			}
			time.Sleep(20 * time.Millisecond)
		}
		synctest.Wait()
		told := with(r.take(), "changed /job/")
		if n := len(told); n < 195 || n > 202 {
			t.Errorf("%d signals in 10 s, want 200", n)
		}
		for i := 20; i < len(told); i++ {
			if span := told[i].at.Sub(told[i-20].at); span < time.Second {
				t.Errorf("21 signals within %v", span)
			}
		}
		count := map[string]int{}
		for _, s := range told {
			count[strings.Fields(s.what)[1]]++
		}
		for job, n := range count {
			if n < 5 || n > 8 {
				t.Errorf("%s had %d of 200 turns among 30 jobs", job, n)
			}
		}
		if len(count) != 30 {
			t.Errorf("%d of 30 jobs had a turn", len(count))
		}
		if p.coalesced.Load() == 0 {
			t.Error("nothing is counted as coalesced")
		}
	})
}

func TestProgressThatComesWithTheEndIsTold(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		id := h.newJob("sync", engine.Target{}, "")
		h.publish(progressOf(id, 700))
		h.change(id, func(j *engine.JobState) {
			j.State, j.Result, j.Progress = engine.StateDone, engine.Success, progressOf(id, 1000).Progress
		})
		synctest.Wait()
		told := with(r.take(), "changed /job/42")
		if last := told[len(told)-1]; last.vals["State"] != "done" || last.vals["ItemsDone"] != uint64(1000) {
			t.Errorf("the end is told as %v", last.vals)
		}
	})
}

func TestPercentNeverGoesBack(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		id := h.newJob("sync", engine.Target{}, "")
		for _, total := range []uint64{0, 10, 20, 11} {
			h.publish(engine.JobProgress{Job: id, Progress: engine.Progress{ItemsDone: 5, ItemsTotal: total}})
			time.Sleep(time.Second)
		}
		synctest.Wait()
		var got []int32
		for _, s := range with(r.take(), "changed /job/42") {
			if n, ok := s.vals["Percent"].(int32); ok {
				got = append(got, n)
			}
		}
		if want := []int32{50}; !slices.Equal(got, want) {
			t.Errorf("Percent is told as %v, want %v: 20 more items may not take it back", got, want)
		}
	})
}

func steps(n int) (out []engine.ItemStep) {
	for i := range n {
		out = append(out, engine.ItemStep{Action: "add", Member: "work/cal", Item: fmt.Sprint(i)})
	}
	return out
}

func TestWatchersGet128NamesInEachIntervalAndTheNumberOfTheOthers(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		id := h.newJob("sync", engine.Target{}, "")
		h.publish(engine.JobItems{Job: id, Items: steps(3)})
		synctest.Wait()
		r.take()
		j, released := p.view.job(id), 0
		if err := p.watch(j, ":1.7", 500*time.Millisecond, func() { released++ }); err != nil {
			t.Fatal(err)
		}
		h.publish(engine.JobItems{Job: id, Items: steps(128)}, engine.JobItems{Job: id, Items: steps(2)})
		synctest.Wait()
		told := with(r.take(), "Items /job/42")
		if len(told) != 1 || len(told[0].args[0].([]itemStep)) != 3 || told[0].dest != ":1.7" {
			t.Fatalf("at once: %v; want the three steps before the call, to the caller alone", told)
		}
		time.Sleep(600 * time.Millisecond)
		told = with(r.take(), "Items /job/42")
		if len(told) != 1 || len(told[0].args[0].([]itemStep)) != 128 || told[0].args[1] != uint32(2) {
			t.Fatalf("after the interval: %v", told)
		}
		h.publish(engine.JobItems{Job: id, Items: steps(1)})
		h.end(id, engine.Success, engine.Failure{})
		synctest.Wait()
		notes := r.take()
		if i, k := slices.Index(whats(notes), "Items /job/42"), slices.Index(whats(notes), "Completed /job/42"); i < 0 || i > k {
			t.Errorf("the last steps are told at %d, the end at %d", i, k)
		}
		if released != 1 || p.watches.Load() != 0 {
			t.Errorf("released %d times, %d watches left", released, p.watches.Load())
		}
		// A late caller still gets everything.
		if err := p.watch(j, ":1.8", time.Second, func() { released++ }); err != nil || released != 2 {
			t.Error(err, released)
		}
		told = with(r.take(), "Items")
		if len(told) != 2 || len(told[0].args[0].([]itemStep)) != 128 || len(told[1].args[0].([]itemStep)) != 6 {
			t.Errorf("a late caller gets %v", whats(told))
		}
	})
}

func TestStepsThatAreKeptAreBounded(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		var ids []engine.JobID
		for range 9 {
			id := h.newJob("sync", engine.Target{}, "")
			ids = append(ids, id)
			h.publish(engine.JobItems{Job: id, Items: steps(maxKept + 1)})
		}
		synctest.Wait()
		if n := p.kept.Load(); n != maxAllKept {
			t.Errorf("%d steps are kept, want %d", n, maxAllKept)
		}
		if first := &p.view.job(ids[0]).story; len(first.steps) != maxKept || first.dropped != 1 {
			t.Errorf("%d kept, %d dropped of one job", len(first.steps), first.dropped)
		}
		for _, id := range ids {
			h.end(id, engine.Success, engine.Failure{})
			h.publish(engine.JobGone{ID: id})
		}
		synctest.Wait()
		if n := p.kept.Load(); n != 0 {
			t.Errorf("%d steps are kept of jobs that are gone", n)
		}
	})
}

func TestItemsChangedIsToldOnceASecondWith256Names(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		for n := range 250 {
			h.publish(engine.ItemsChanged{Collection: "work/cal", Added: []string{fmt.Sprintf("%03d.ics", n)}})
			time.Sleep(10 * time.Millisecond)
		}
		h.publish(engine.ItemsChanged{Collection: "work/cal", Modified: []string{"249.ics"}, Removed: []string{"248.ics"}})
		time.Sleep(5 * time.Second)
		told := with(r.take(), "ItemsChanged /account/work/cal")
		if len(told) != 4 {
			t.Fatalf("%d signals in 8 s, want 4", len(told))
		}
		var added int
		for i, s := range told {
			if i > 0 && s.at.Sub(told[i-1].at) < time.Second {
				t.Errorf("signals %d and %d are %v apart", i-1, i, s.at.Sub(told[i-1].at))
			}
			added += len(s.args[0].([]string))
		}
		last := told[3]
		if added != 249 || !slices.Equal(last.args[2].([]string), []string{"248.ics"}) || len(last.args[1].([]string)) != 0 {
			t.Errorf("%d added in all; the last signal is %v", added, last.args)
		}
		var many []string
		for n := range 257 {
			many = append(many, fmt.Sprint(n))
		}
		h.publish(engine.ItemsChanged{Collection: "work/cal", Removed: many[:256]})
		time.Sleep(5 * time.Second)
		h.publish(engine.ItemsChanged{Collection: "work/cal", Removed: many})
		time.Sleep(5 * time.Second)
		told = with(r.take(), "ItemsChanged")
		for i, truncated := range []bool{false, true} {
			if n := len(told[i].args[2].([]string)); n != 256 || told[i].args[3] != truncated {
				t.Errorf("signal %d: %d names, truncated %v", i, n, told[i].args[3])
			}
		}
	})
}
