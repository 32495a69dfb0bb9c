package keeper

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

// edited is a pair in step with items 1 and 2, of which job N changed 1 from
// "old" to "new" and removed 2, both at b.
func (r *rig) edited() (a, b *memory.Storage, job engine.JobID) {
	r.Helper()
	a, b = r.pair()
	a.Put("1", event("1", "old"))
	a.Put("2", event("2", "two"))
	r.sync("g", engine.Success)
	a.Put("1", event("1", "new"))
	a.Remove("2")
	job = r.sync("g", engine.Success).ID
	r.want(b, "new")
	return a, b, job
}

func TestAnEarlierVersionComesBackEverywhere(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b, _ := r.edited()
		versions, err := r.k.Versions("b/cal", "", 0, 10)
		if err != nil || len(versions) != 2 {
			t.Fatalf("%+v, %v", versions, err)
		}
		for _, v := range versions {
			job, err := r.k.Restore("b/cal", v.Item, v.ID, false, "me")
			if err != nil {
				t.Fatal(err)
			}
			if st := r.wait(job, engine.Success); st.Kind != "restore" || st.Target.Collection != "b/cal" {
				t.Errorf("%+v", st)
			}
		}
		r.want(a, "old two")
		r.want(b, "old two")
		// What the restored text replaced is in history too.
		after, err := r.k.Versions("b/cal", "1", 0, 10)
		if err != nil || len(after) != 2 {
			t.Fatalf("%+v, %v", after, err)
		}
		if text, err := r.book.VersionText(after[0].ID); err != nil || !strings.Contains(string(text), "SUMMARY:new") {
			t.Errorf("%q, %v", text, err)
		}
		_, err = r.k.Restore("b/cal", "1", 4711, false, "me")
		r.refuse(err, engine.NotFound, "no version 4711")
		_, err = r.k.Restore("x/cal", "1", 1, false, "me")
		r.refuse(err, engine.NotFound, "x/cal")
	})
}

// The history of an account outlives it, and is reached where one of its id is again.
func TestTheHistoryOfARemovedAccountIsThereWhenItsIDIs(t *testing.T) {
	bubble(t, func(r *rig) {
		_, b, _ := r.edited()
		if err := r.k.RemoveAccount("b", true); err != nil {
			t.Fatal(err)
		}
		_, err := r.k.Versions("b/cal", "", 0, 10)
		r.refuse(err, engine.NotFound, "add an account of this id")
		if _, err := r.k.AddAccount(memoryAccount("b"), false); err != nil {
			t.Fatal(err)
		}
		if err := r.k.AddMember("g", "b"); err != nil {
			t.Fatal(err)
		}
		r.sync("g", engine.Success)
		versions, err := r.k.Versions("b/cal", "2", 0, 10)
		if err != nil || len(versions) != 1 {
			t.Fatalf("%+v, %v", versions, err)
		}
		job, err := r.k.Restore("b/cal", "2", versions[0].ID, false, "me")
		if err != nil {
			t.Fatal(err)
		}
		r.wait(job, engine.Success)
		r.want(b, "new two")
	})
}

func TestACopyOfAnEarlierVersionIsAnItemOfItsOwn(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b, _ := r.edited()
		versions, _ := r.k.Versions("b/cal", "1", 0, 10)
		job, err := r.k.Restore("b/cal", "1", versions[0].ID, true, "me")
		if err != nil {
			t.Fatal(err)
		}
		r.wait(job, engine.Success)
		r.want(a, "new old")
		r.want(b, "new old")
		uids := map[engine.UID]bool{}
		for _, text := range a.Texts() {
			uids[item.Read([]byte(text)).UID] = true
		}
		if len(uids) != 2 || !uids["1"] {
			t.Errorf("UIDs %v", uids)
		}
	})
}

func TestNothingIsRestoredWhereItWouldNotStay(t *testing.T) {
	bubble(t, func(r *rig) {
		_, b, _ := r.edited()
		versions, _ := r.k.Versions("b/cal", "1", 0, 1)
		if _, err := r.k.UpdateGroup("g", map[string]any{"direction": "from:a"}, nil); err != nil {
			t.Fatal(err)
		}
		job, err := r.k.Restore("b/cal", "1", versions[0].ID, false, "me")
		if err != nil {
			t.Fatal(err)
		}
		st := r.wait(job, engine.Failed)
		if st.Failure.Kind != engine.Invalid || !strings.Contains(st.Failure.Message, "takes everything from a") {
			t.Errorf("%+v", st.Failure)
		}
		b.ReadOnly = true
		if _, err := r.k.UpdateGroup("g", nil, []string{"direction"}); err != nil {
			t.Fatal(err)
		}
		job, _ = r.k.Restore("b/cal", "1", versions[0].ID, false, "me")
		if st := r.wait(job, engine.Failed); st.Failure.Kind != engine.ReadOnly {
			t.Errorf("%+v", st.Failure)
		}
	})
}

func TestUndoPutsBackWhatAJobTookAndLeavesWhatMovedSince(t *testing.T) {
	for _, c := range []struct {
		name         string
		since        func(r *rig, a *memory.Storage)
		result, want string
		failed       uint32
	}{
		{"nothing moved", func(*rig, *memory.Storage) {}, engine.Success, "old two", 0},
		{"an item moved and was synced", func(r *rig, a *memory.Storage) {
			a.Put("1", event("1", "newer"))
			r.sync("g", engine.Success)
		}, engine.Partial, "newer two", 1},
		{"an item moved and was not synced", func(r *rig, a *memory.Storage) {
			for ref := range r.sources["b"].Storage("cal").Texts() {
				r.sources["b"].Storage("cal").Put(ref, event("1", "mine"))
			}
		}, engine.Partial, "mine two", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				a, b, job := r.edited()
				c.since(r, a)
				dry, err := r.k.Undo(job, "", true, "me")
				if err != nil {
					t.Fatal(err)
				}
				st := r.wait(dry, "")
				if st.Report.Modified+st.Report.Added != 2-c.failed {
					t.Errorf("a dry run tells %+v", st.Report.Counts)
				}
				before := summaries(b)
				if undo, err := r.k.Undo(job, "", false, "me"); err != nil {
					t.Fatal(err)
				} else if st := r.wait(undo, c.result); st.Report.Failed != c.failed || st.Kind != "undo" {
					t.Errorf("%+v", st.Report.Counts)
				}
				r.want(a, c.want)
				r.want(b, c.want)
				if before == c.want {
					t.Error("there was nothing to undo: a bad test")
				}
			})
		})
	}
}

func TestUndoKnowsWhatItCannot(t *testing.T) {
	bubble(t, func(r *rig) {
		r.edited()
		_, err := r.k.Undo(4711, "", false, "me")
		r.refuse(err, engine.NotFound, "job 4711")
		idle := r.sync("g", engine.Success).ID
		job, err := r.k.Undo(idle, "", false, "me")
		if err != nil {
			t.Fatal(err)
		}
		r.wait(job, engine.Skipped)
	})
}

func TestRepairGivesNewUIDsToThoseThatNeedOne(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("same", "one"))
		r.sync("g", engine.Success)
		a.Put("2", event("same", "twin"))
		a.Put("3", []byte(strings.Replace(string(event("x", "none")), "UID:x\r\n", "", 1)))
		r.sync("g", engine.Partial)
		dry, err := r.k.Repair("a/cal", true, "me")
		if err != nil {
			t.Fatal(err)
		}
		if st := r.wait(dry, engine.Success); st.Report.Modified != 2 {
			t.Errorf("a dry run tells %+v", st.Report.Counts)
		}
		job, err := r.k.Repair("a/cal", false, "me")
		if err != nil {
			t.Fatal(err)
		}
		r.wait(job, engine.Success)
		uids := map[engine.UID]string{}
		for ref, text := range a.Texts() {
			uids[item.Read([]byte(text)).UID] += string(ref)
		}
		if uids["same"] != "1" || len(uids) != 3 || uids[""] != "" {
			t.Errorf("UIDs: %v", uids)
		}
		r.want(b, "none one twin")
		_, err = r.k.Repair("a/nothing", false, "me")
		r.refuse(err, engine.NotFound, "")
	})
}

func TestExplainTellsWhatIsKnownOfAnItem(t *testing.T) {
	bubble(t, func(r *rig) {
		_, _, job := r.edited()
		lines, err := r.k.Explain("b/cal", "1")
		all := strings.Join(lines, "\n")
		for _, part := range []string{fmt.Sprintf("agreed by job %d", job), "a/cal has it as 1", "version"} {
			if err != nil || !strings.Contains(all, part) {
				t.Errorf("%q is not in\n%s\n%v", part, all, err)
			}
		}
		_, err = r.k.Explain("b/cal", "nothing")
		r.refuse(err, engine.NotFound, "nothing is known")
		_, err = r.k.Explain("x/cal", "1")
		r.refuse(err, engine.NotFound, "no collection")
	})
}

func TestTheLedgerIsTidiedAndNothingRunsMeanwhile(t *testing.T) {
	bubble(t, func(r *rig) {
		r.edited()
		if _, err := r.k.UpdateGroup("g", map[string]any{"interval-sec": uint32(0)}, nil); err != nil {
			t.Fatal(err)
		}
		r.k.Begin()
		count := func() int {
			v, err := r.k.Versions("b/cal", "", 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(v)
		}
		r.after(89 * 24 * time.Hour)
		if n := count(); n != 2 {
			t.Errorf("%d versions before 90 days are over", n)
		}
		r.after(3 * 24 * time.Hour)
		if n := count(); n != 0 {
			t.Errorf("%d versions after 90 days", n)
		}
		r.sync("g", engine.Success)
	})
}
