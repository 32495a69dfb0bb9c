package keeper

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func (r *rig) conflicted() (a, b *memory.Storage, id string) {
	r.Helper()
	a, b = r.pair()
	a.Put("1", event("1", "left"))
	b.Put("1", event("1", "right"))
	r.sync("g", engine.Success)
	for id = range r.k.Snapshot().Conflicts {
	}
	if len(r.k.Snapshot().Conflicts) != 1 {
		r.Fatalf("conflicts: %v", r.k.Snapshot().Conflicts)
	}
	return a, b, id
}

func TestAConflictIsShownAndResolved(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b, id := r.conflicted()
		c := r.k.Snapshot().Conflicts[id]
		if st := r.group("g"); st.State != "conflicts" || st.ConflictCount != 1 || c.Group != "g" || c.State != "open" || r.k.Snapshot().Manager.ConflictCount != 1 {
			t.Errorf("group %s, conflict %+v", st.State, c)
		}
		list, err := r.k.Conflicts("a/cal", 0, 10)
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Errorf("%v, %v", list, err)
		}
		texts, err := r.k.ConflictTexts(id)
		if err != nil || len(texts.Members) != 2 {
			t.Fatalf("%+v, %v", texts, err)
		}
		for _, bad := range []string{"", "mine", "member:c", "member:"} {
			_, err := r.k.Resolve(id, engine.Resolution{Choice: bad}, "me")
			r.refuse(err, engine.Invalid, "")
		}
		_, err = r.k.Resolve("nothing", engine.Resolution{Choice: "skip"}, "me")
		r.refuse(err, engine.NotFound, "nothing")
		_, err = r.k.Resolve(id, engine.Resolution{Choice: "member:a", Revision: "old"}, "me")
		r.refuse(err, engine.Changed, "look at it again")
		hold := r.hold("a")
		job, err := r.k.Resolve(id, engine.Resolution{Choice: "member:b", Revision: texts.Revision}, "me")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := r.k.Snapshot().Conflicts[id].State; st != "resolving" {
			t.Errorf("while it runs it is %s", st)
		}
		hold.open()
		st := r.wait(job, engine.Success)
		if st.Kind != "resolve" || len(r.k.Snapshot().Conflicts) != 0 || r.group("g").State != "idle" {
			t.Errorf("%+v, conflicts %v", st, r.k.Snapshot().Conflicts)
		}
		r.want(a, "right")
		r.want(b, "right")
	})
}

func (r *rig) held() (a, b *memory.Storage) {
	r.Helper()
	a, b = r.pair()
	for i := range 25 {
		a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
	}
	r.sync("g", engine.Success)
	for i := range 20 {
		a.Remove(engine.Ref(fmt.Sprint(i)))
	}
	st := r.sync("g", engine.Partial)
	if st.Failure.Kind != engine.NeedsConfirmation || st.Report.Held != 20 || len(b.Texts()) != 25 {
		r.Fatalf("%+v, %+v, %d left", st.Failure, st.Report.Counts, len(b.Texts()))
	}
	return a, b
}

func TestHeldDeletionsWaitForAPerson(t *testing.T) {
	for _, proceed := range []bool{true, false} {
		t.Run(fmt.Sprint("proceed ", proceed), func(t *testing.T) {
			bubble(t, func(r *rig) {
				a, b := r.held()
				st := r.group("g")
				if st.State != "confirm-deletions" || st.HeldDeletions != 20 || st.LastSuccess.IsZero() || st.Failure.Set {
					t.Errorf("%s, %d held, %+v", st.State, st.HeldDeletions, st.Failure)
				}
				if asked := seenEvents[engine.Attention](r); len(asked) != 1 || asked[0].Group != "g" || asked[0].Failure.Kind != engine.NeedsConfirmation {
					t.Errorf("attention: %+v", asked)
				}
				list, err := r.k.Problems("g", true, 0, 500)
				if err != nil || len(list) != 20 || list[0].Failure.Kind != engine.NeedsConfirmation {
					t.Errorf("%d problems, %v", len(list), err)
				}
				wrong, right := uint32(19), uint32(20)
				_, err = r.k.ConfirmDeletions("g", proceed, "", &wrong, "me")
				r.refuse(err, engine.Changed, "20 deletions are held and 19 were expected")
				job, err := r.k.ConfirmDeletions("g", proceed, "", &right, "me")
				if err != nil {
					t.Fatal(err)
				}
				r.wait(job, engine.Success)
				want := map[bool]int{true: 5, false: 25}[proceed]
				if len(a.Texts()) != want || len(b.Texts()) != want || r.group("g").HeldDeletions != 0 || r.k.Snapshot().Manager.AttentionNeeded {
					t.Errorf("%d and %d items, want %d; %d held", len(a.Texts()), len(b.Texts()), want, r.group("g").HeldDeletions)
				}
			})
		})
	}
}

func TestAYesIsForWhatWasHeldWhenItWasSaid(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.held()
		hold := r.hold("a")
		running, _ := r.k.Sync(SyncRequest{What: "g"})
		synctest.Wait()
		expect := uint32(20)
		yes, err := r.k.ConfirmDeletions("g", true, "", &expect, "me")
		if err != nil {
			t.Fatal(err)
		}
		a.Remove("24") // the run before it will hold one more
		hold.open()
		r.wait(running, engine.Partial)
		st := r.wait(yes, engine.Failed)
		if st.Failure.Kind != engine.Changed || len(b.Texts()) != 25 {
			t.Errorf("%+v, %d items left", st.Failure, len(b.Texts()))
		}
	})
}

func TestAMoveBetweenCalendarsArrivesWhereUIDsAreUnique(t *testing.T) {
	bubble(t, func(r *rig) {
		var all []*memory.Storage
		for _, id := range []engine.AccountID{"a", "b"} {
			for _, name := range []string{"x", "y"} {
				all = append(all, r.collection(id, name))
			}
		}
		ax, ay, bx, by := all[0], all[1], all[2], all[3]
		// The server of b has each UID once in the whole account.
		refuse := func(other *memory.Storage) func(engine.Write) error {
			return func(w engine.Write) error {
				if w.Verb == engine.Create && summaries(other) != "" {
					return engine.Fail(engine.AlreadyExists, "create", "1", "no-uid-conflict")
				}
				return nil
			}
		}
		bx.Refuse, by.Refuse = refuse(by), refuse(bx)
		// The deletion comes late, so that it is not luck.
		bx.Before = func(c memory.Call) error {
			if c.Name == "delete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		ax.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		ax.Remove("1")
		ay.Put("1", event("1", "one"))
		st := r.sync("g", engine.Success)
		r.want(bx, "")
		r.want(by, "one")
		if c := st.Report.Counts; c.Failed != 0 || c.Added != 1 || c.Removed != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestItemsThatChangedAreToldOnceASecond(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		for i := range 400 {
			a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
		}
		r.sync("g", engine.Success)
		for i := range 5 {
			a.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "y"))
			r.sync("g", engine.Success)
		}
		r.after(3 * time.Second)
		n := 0
		for _, e := range seenEvents[engine.ItemsChanged](r) {
			if e.Collection == "b/cal" {
				n++
				if n == 1 && len(e.Added) != maxShown+1 {
					t.Errorf("the first tells %d names; one more than 256 says that some were left out", len(e.Added))
				}
				if n == 2 && len(e.Modified) != 5 {
					t.Errorf("the second tells %v", e.Modified)
				}
			}
		}
		if n != 2 {
			t.Errorf("told %d times within a second or two, want 2", n)
		}
	})
}
