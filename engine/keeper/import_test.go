package keeper

import (
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

func batch(texts ...[]byte) []byte { return slices.Concat(texts...) }

func TestAnImportIsOneJobAndTheOthersFollow(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		order := ImportOrder{Data: batch(event("1", "edited"), event("2", "two")), By: "me", DryRun: true}
		job, err := r.k.Import("b/cal", order)
		if err != nil {
			t.Fatal(err)
		}
		if st := r.wait(job, engine.Success); st.Kind != "import" || st.Report.Added != 1 || st.Report.Modified != 1 {
			t.Errorf("a dry run: %+v", st)
		}
		r.want(b, "one")
		order.DryRun = false
		if job, err = r.k.Import("b/cal", order); err != nil {
			t.Fatal(err)
		}
		if st := r.wait(job, engine.Success); st.Report.Added != 1 || st.Report.Modified != 1 || st.Report.Sets[0].Added != 1 {
			t.Errorf("%+v", st)
		}
		r.want(a, "edited two")
		r.want(b, "edited two")
		if v, err := r.k.Versions("b/cal", "1", 0, 10); err != nil || len(v) != 1 || v[0].Job != job {
			t.Errorf("what was overwritten is not in history: %+v, %v", v, err)
		}
	})
}

func TestAnImportThatIsNotWholeChangesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		whole := batch(event("1", "edited"), event("2", "two"))
		_, err := r.k.Import("b/cal", ImportOrder{Data: whole[:len(whole)-10]})
		r.refuse(err, engine.InvalidItem, "nothing was changed")
		_, err = r.k.Import("b/cal", ImportOrder{Data: []byte("{}\n"), Replace: true})
		r.refuse(err, engine.InvalidItem, "nothing was changed")
		_, err = r.k.Import("x/cal", ImportOrder{Data: whole})
		r.refuse(err, engine.NotFound, "x/cal")
		r.want(a, "one")
		r.want(b, "one")
	})
}

func TestAnItemThatCannotBeImportedIsItsOwnAffair(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.pair()
		a.Put("1", event("1", "one"))
		r.sync("g", engine.Success)
		card := []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:C\r\nEND:VCARD\r\n")
		job, err := r.k.Import("a/cal", ImportOrder{Data: batch(card, event("2", "two")), Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		st := r.wait(job, engine.Partial)
		if st.Report.Failed != 1 || st.Report.Added != 1 || st.Report.Held != 1 || st.Failure.Kind != engine.InvalidItem || !strings.Contains(st.Report.Lines[0], "item 1 (c)") {
			t.Errorf("%+v", st)
		}
		r.want(a, "one two")
		r.want(b, "one two")
	})
}

func TestARevisionTellsExactlyWhatChangedSince(t *testing.T) {
	bubble(t, func(r *rig) {
		a, _ := r.pair()
		for _, uid := range []string{"1", "2", "3"} {
			a.Put(engine.Ref(uid), event(uid, "old"))
		}
		r.sync("g", engine.Success)
		opened := &Opened{ID: "b/cal"}
		since := func(rev string) (string, string, bool) {
			t.Helper()
			names, now, full, err := r.k.ChangedSince("b/cal", opened, rev)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			return strings.Join(names, " "), now, full
		}
		_, first, full := since("")
		if first == "" || !full {
			t.Errorf("%q %v", first, full)
		}
		a.Put("1", event("1", "new"))
		a.Remove("2")
		r.sync("g", engine.Success)
		names, second, full := since(first)
		if names != "1 2" || full || second == first {
			t.Errorf("%q to %q: %q %v", first, second, names, full)
		}
		a.Put("3", event("3", "new"))
		r.sync("g", engine.Success)
		if names, _, _ := since(second); names != "3" {
			t.Errorf("%q", names)
		}
		if names, _, _ := since(first); names != "1 2 3" {
			t.Errorf("%q", names)
		}
		_, _, _, err := r.k.ChangedSince("b/cal", opened, "yesterday")
		r.refuse(err, engine.Invalid, "yesterday")
	})
}

func TestALogThatIsFullBeginsAnew(t *testing.T) {
	var l changeLog
	names := make([]string, mostLogged)
	for i := range names {
		names[i] = string(rune('a' + i))
	}
	l.add(engine.ItemsChanged{Added: names}, 5)
	if len(l.Items) != mostLogged || l.Floor != 0 {
		t.Fatalf("%d names, from %d", len(l.Items), l.Floor)
	}
	l.add(engine.ItemsChanged{Removed: []string{"one more"}}, 6)
	if len(l.Items) != 0 || l.Floor != 6 {
		t.Errorf("%d names, from %d", len(l.Items), l.Floor)
	}
}
