package keeper

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

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

func TestAReportNamesAnItemOnce(t *testing.T) {
	for _, c := range []struct {
		text   string
		failed uint32
		want   string
	}{
		{"the server refuses it", 1, "cannot sync a/cal/x.ics: the server refuses it"},
		{"cannot sync a/cal/x.ics: invalid item: it is cut", 1, "cannot sync a/cal/x.ics: invalid item: it is cut"},
		{"the server refuses it", 3, "3 items could not be synced, among them a/cal/x.ics: the server refuses it"},
		{"cannot sync a/cal/x.ics: invalid item: it is cut", 3, "3 items could not be synced; one of them: cannot sync a/cal/x.ics: invalid item: it is cut"},
	} {
		p := engine.Problem{Member: "a/cal", Item: "x.ics", Failure: engine.Failure{Kind: engine.InvalidItem, Message: c.text, Set: true}}
		run := setRun{problem: p}
		run.result.Set.Counts.Failed = c.failed
		got := itemFailure(run)
		if got.Message != c.want || got.Kind != engine.InvalidItem || !got.Set {
			t.Errorf("got %+v, want %q", got, c.want)
		}
	}
}
