package dbusapi

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
)

func TestOneCallerStarts16JobsAndAllTogether64(t *testing.T) {
	b := open(t)
	for n := range 4 {
		b.callers.be(Caller{Name: fmt.Sprintf(":1.%d", n), Initiator: "x"})
		most := maxCallerJobs
		if n == 3 {
			most = maxJobs - 3*maxCallerJobs - 1 // job 42 runs already
		}
		for range most {
			b.must(Root, ifManager+".Undo", uint32(7), none)
		}
		text := b.fails(limits, Root, ifManager+".Undo", uint32(7), none)
		if want := map[bool]string{true: "this caller has 16 jobs", false: "64 jobs are queued"}[n < 3]; !strings.Contains(text, want) {
			t.Errorf("caller %d is told %q", n, text)
		}
	}
	b.endAll()
	b.must(Root, ifManager+".Undo", uint32(7), none)
}

func TestOneCallerHas16InhibitorsAnd64Watches(t *testing.T) {
	b := open(t)
	for range maxInhibitors {
		fdOf(t, b.must(Root, ifManager+".Inhibit", "x", none))
	}
	b.fails(limits, Root, ifManager+".Inhibit", "x", none)
	for n := range maxWatches {
		j := &job{object: newObject(jobPath(1), ifJob, props{})}
		if _, err := b.face.quota.take(":1.7", "watch", maxWatches); err != nil {
			t.Fatal(n, err, j)
		}
	}
	b.fails(limits, Root+"/job/42", ifJob+".Watch", none)
}

func TestASandboxedProgramStartsSixJobsInAMinuteAndFourAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView()
		r := newRation(v)
		who := Caller{Name: ":1.1", Initiator: "org.example.Box", Sandboxed: true}
		next := engine.JobID(0)
		start := func() error {
			err := r.admit(who)
			if err == nil {
				next++
				v.jobs[next] = &job{state: &engine.JobState{ID: next, State: "running"}}
				r.note(who, next)
				who.Name += "1" // it connects again, which gives it nothing
			}
			return err
		}
		for n := range 4 {
			if err := start(); err != nil {
				t.Fatal(n, err)
			}
		}
		if err := start(); !engine.IsKind(err, engine.LimitExceeded) || !strings.Contains(err.Error(), "4 jobs") {
			t.Errorf("the fifth at a time: %v", err)
		}
		for _, j := range v.jobs {
			j.state = &engine.JobState{ID: j.state.ID, State: engine.StateDone}
		}
		for n := range 2 {
			if err := start(); err != nil {
				t.Fatal(n, err)
			}
		}
		if err := start(); !engine.IsKind(err, engine.LimitExceeded) || !strings.Contains(err.Error(), "6 jobs in a minute") {
			t.Errorf("the seventh in a minute: %v", err)
		}
		time.Sleep(time.Minute)
		if err := start(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
