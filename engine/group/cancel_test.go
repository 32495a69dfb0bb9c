package group_test

import (
	"context"
	"iter"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// asking asks somebody before each write.
type asking struct {
	*memory.Storage
	during func(ctx context.Context)
}

func (s asking) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i := range writes {
			s.during(ctx)
			for n, out := range s.Storage.Apply(ctx, writes[i:i+1]) {
				if n >= 0 {
					n = i
				}
				if !yield(n, out) || n < 0 {
					return
				}
			}
		}
	}
}

// A run that is asked to stop finishes the item that it is writing; by force it
// breaks that off.
func TestAWriteUnderWayIsFinishedUnlessForced(t *testing.T) {
	for _, forced := range []bool{false, true} {
		w := newWorld(t, 2)
		w.put(0, "1", "one")
		w.put(0, "2", "two")
		ctx, cancel := context.WithCancel(t.Context())
		force, cut := context.WithCancel(t.Context())
		defer cut()
		w.members[1].Storage = asking{w.stores[1], func(writing context.Context) {
			if cancel(); writing.Err() != nil {
				t.Error("the write is broken off before anybody forces it")
			}
			if forced {
				cut()
				<-writing.Done()
			}
		}}
		_, err := group.Sync(ctx, w.ledger.Set(key), w.members, w.rules, group.Options{Job: 1, Force: force}, w)
		if !engine.IsKind(err, engine.Cancelled) {
			t.Errorf("forced %v: %v", forced, err)
		}
		want, marks := "1=one", 3
		if forced {
			want, marks = "", 2
		}
		if w.want(1, want); len(w.book().Marks) != marks {
			t.Errorf("forced %v: %d marks", forced, len(w.book().Marks))
		}
		w.members[1].Storage = w.stores[1]
		w.sync()
		w.all("1=one 2=two")
	}
}
