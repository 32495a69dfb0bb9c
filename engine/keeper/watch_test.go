package keeper

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestAChangeInAFolderIsSyncedTwoSecondsAfterTheLast(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(0))
		r.k.Begin()
		r.after(time.Minute)
		a := r.sources["a"]
		a.Storage("cal").Put("1.ics", event("1", "one"))
		for range 10 {
			a.Touch("")
			r.after(time.Second)
		}
		if jobs := r.endedJobs(); len(jobs) > 0 {
			t.Errorf("%v while edits still come", jobs)
		}
		r.after(1500 * time.Millisecond)
		if jobs := r.endedJobs(); !slices.Equal(jobs, []string{"sync by change: success"}) {
			t.Errorf("got %v", jobs)
		}
		r.want(r.sources["b"].Storage("cal"), "one")
	})
}

func TestAChangeOfOneCollectionSyncsThatOne(t *testing.T) {
	bubble(t, func(r *rig) {
		for _, id := range []engine.AccountID{"a", "b"} {
			r.sources[id] = &memory.Source{}
			for _, name := range []string{"x", "y"} {
				r.sources[id].Add(engine.Collection{Name: name, Kind: engine.Calendar, Writable: true, Folder: "/pim/" + name, Identity: string(id) + name})
			}
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{every(0)})
		r.sync("g", engine.Success)
		r.k.Begin()
		synctest.Wait()
		r.sources["a"].Touch("/pim/y")
		r.after(3 * time.Second)
		all := seenEvents[engine.JobChanged](r)
		if last := all[len(all)-1].State; last.Target.Collection != "a/y" || len(last.Report.Sets) != 1 {
			t.Errorf("target %+v, sets %+v", last.Target, last.Report.Sets)
		}
	})
}

func TestTouchesThatChangeNothingAreHeardLessAndLess(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(0))
		r.k.Begin()
		synctest.Wait()
		for range 100 { // something touches the folder every few seconds, for minutes
			r.sources["a"].Touch("")
			r.after(3 * time.Second)
		}
		if n := len(r.endedJobs()); n > 5 {
			t.Errorf("%d jobs for nothing", n)
		}
		r.after(2 * time.Minute)
		r.sources["a"].Storage("cal").Put("1", event("1", "one"))
		r.sources["a"].Touch("")
		r.after(time.Minute + 5*time.Second)
		r.want(r.sources["b"].Storage("cal"), "one")
		r.sources["a"].Storage("cal").Put("2", event("2", "two"))
		r.sources["a"].Touch("")
		r.after(3 * time.Second)
		r.want(r.sources["b"].Storage("cal"), "one two")
	})
}

func TestWatchesFollowTheGroups(t *testing.T) {
	bubble(t, func(r *rig) {
		r.scheduled(every(0))
		r.k.Begin()
		if r.k.Idle() {
			t.Error("it is idle, and watches two folders")
		}
		if _, err := r.k.UpdateGroup("g", map[string]any{"enabled": false}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.sources["a"].Touch("")
		r.after(time.Minute)
		if jobs := r.endedJobs(); len(jobs) > 0 {
			t.Errorf("%v for a group that is disabled", jobs)
		}
		if !r.k.Idle() {
			t.Error("nothing is on, and it is not idle")
		}
	})
}
