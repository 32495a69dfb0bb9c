package group_test

import (
	"fmt"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// still gives every member a state, and lets the set come to rest.
func (w *world) still() {
	w.t.Helper()
	for i := range w.members {
		w.members[i].State = "still"
		w.members[i].Meta = engine.Meta{engine.MetaName: "x"}
	}
	w.sync()
	w.sync()
}

// asked counts the calls of a run.
func (w *world) asked(opt group.Options) string {
	w.t.Helper()
	w.reset()
	w.sync(opt)
	all := ""
	for _, s := range w.stores {
		c := s.Counts()
		all += fmt.Sprint(c.List+c.Changes, "/", c.Fetched, " ")
	}
	return all
}

func TestASetAtRestAsksNobodyAndStillKnowsWhatItHas(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.still()
	if got := w.asked(group.Options{}); got != "0/0 0/0 " || w.result.Count["a/cal"] != 2 || w.result.Count["b/cal"] != 2 || w.result.Set.Failure.Set || len(w.result.Members) != 2 {
		t.Errorf("asked %s, %+v", got, w.result)
	}
	if got := w.asked(group.Options{Slow: true}); got != "1/2 1/2 " {
		t.Errorf("a slow sync asked %s", got)
	}
	w.remove(0, "1")
	w.remove(0, "2")
	w.members[0].State = "emptied"
	w.sync()
	w.members[1].State = "emptied too"
	w.sync()
	w.sync()
	if n, ok := w.result.Count["b/cal"]; !ok || n != 0 {
		t.Errorf("an empty member has %d", n)
	}
}

func TestOnlyWhoMovedIsAsked(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.still()
	w.put(0, "1", "uno")
	w.members[0].State = "moved"
	if got := w.asked(group.Options{}); got != "1/1 0/0 " {
		t.Errorf("asked %s", got)
	}
	w.all("1=uno")
}

func TestASetIsNotAtRest(t *testing.T) {
	tests := []struct {
		name string
		stir func(w *world)
	}{
		{"when a member moved", func(w *world) { w.put(0, "1", "uno"); w.members[0].State = "moved" }},
		{"when one becomes writable", func(w *world) { w.members[1].ReadOnly = false }},
		{"when another rule holds", func(w *world) { w.rules.RevertReadOnly = true }},
		{"when another component is taken", func(w *world) { w.members[1].Components = nil }},
		{"when a name changed", func(w *world) { w.members[0].Meta = engine.Meta{engine.MetaName: "y"} }},
		{"when another storage stands there", func(w *world) { w.members[1].Identity = "another" }},
		{"when the ledger was changed", func(w *world) {
			if err := w.ledger.DropAccount("b"); err != nil {
				w.t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.members[1].ReadOnly, w.members[1].Components = true, []string{"VEVENT"}
			w.put(0, "1", "one")
			w.put(1, "1", "one")
			w.still()
			w.reset()
			w.sync()
			tt.stir(w)
			before := w.job
			w.steps = nil
			phases := w.phases
			w.sync()
			if w.phases == phases {
				t.Errorf("job %d did not look", before+1)
			}
		})
	}
}

func TestWhatIsOpenIsTriedAgainWithoutAMove(t *testing.T) {
	w := newWorld(t, 2)
	refuse := true
	w.stores[1].Refuse = func(engine.Write) error {
		if refuse {
			return engine.Fail(engine.Changed, "create", "", "not now")
		}
		return nil
	}
	w.put(0, "1", "one")
	w.still()
	refuse = false
	w.sync()
	w.all("1=one")
	// A conflict is told by every run.
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.members[0].State, w.members[1].State = "s", "s"
	w.sync()
	w.sync()
	if w.result.Set.Conflicts != 1 {
		t.Errorf("%+v", w.result.Set)
	}
}
