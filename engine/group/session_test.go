package group_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// A session tells what it is told.
type session struct {
	*memory.Storage
	told    *[]string
	slow    bool
	begin   error
	refuses bool
}

func (s session) Begin(_ context.Context, slow bool) (bool, error) {
	*s.told = append(*s.told, fmt.Sprintf("begin slow=%t", slow))
	return s.slow, s.begin
}

func (s session) End(ctx context.Context, whole bool) error {
	*s.told = append(*s.told, fmt.Sprintf("end whole=%t", whole))
	return ctx.Err()
}

func (s session) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	*s.told = append(*s.told, "changes")
	return s.Storage.Changes(ctx, since)
}

func (s session) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	*s.told = append(*s.told, "apply")
	if !s.refuses {
		return s.Storage.Apply(ctx, writes)
	}
	return func(yield func(int, engine.Outcome) bool) {
		for i := range writes {
			if !yield(i, engine.Outcome{Err: engine.Fail(engine.TooLarge, "create", "1", "too large")}) {
				return
			}
		}
	}
}

func withSession(w *world, s session) *[]string {
	told := &[]string{}
	s.Storage, s.told = w.stores[1], told
	w.members[1].Storage = s
	return told
}

func TestASessionIsToldBeforeTheFirstCallAndAfterTheLast(t *testing.T) {
	w := newWorld(t, 2)
	told := withSession(w, session{})
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one")
	if last := len(*told) - 1; (*told)[0] != "begin slow=false" || (*told)[last] != "end whole=true" || !slices.Contains(*told, "apply") {
		t.Errorf("told %q", *told)
	}
	*told = nil
	w.sync(group.Options{Slow: true})
	if (*told)[0] != "begin slow=true" {
		t.Errorf("told %q", *told)
	}
}

func TestASessionIsNotWholeWhenSomethingFailedThere(t *testing.T) {
	w := newWorld(t, 2)
	told := withSession(w, session{refuses: true})
	w.put(0, "1", "one")
	w.sync()
	if last := (*told)[len(*told)-1]; last != "end whole=false" {
		t.Errorf("told %q", *told)
	}
	told = withSession(w, session{})
	w.sync(group.Options{DryRun: true})
	if last := (*told)[len(*told)-1]; last != "end whole=false" || slices.Contains(*told, "apply") {
		t.Errorf("a dry run told %q", *told)
	}
}

func TestASessionThatDoesNotBeginIsLeftOut(t *testing.T) {
	w := newWorld(t, 3)
	told := withSession(w, session{begin: engine.Fail(engine.Offline, "begin", "b/cal", "no route")})
	w.put(0, "1", "one")
	res := w.sync()
	w.want(2, "1=one")
	if !slices.Equal(*told, []string{"begin slow=false"}) || res.Members[1].Failure.Kind != engine.Offline {
		t.Errorf("told %q, %+v", *told, res.Members[1])
	}
}

func TestASessionThatTrustsNoMarkMakesTheRunSlowForAll(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	// The other member lies about its etag, which only a slow run finds out.
	w.members[0].Storage = liar{w.stores[0], w.stores[0].Put("1", event("1", "two"))}
	w.members[0].State = "s"
	withSession(w, session{slow: true})
	w.sync()
	w.all("1=two")
	if w.result.Set.SlowReason != "plugin" {
		t.Errorf("reason %q", w.result.Set.SlowReason)
	}
}

func TestASessionIsToldTheEndOfACancelledRun(t *testing.T) {
	w := newWorld(t, 2)
	told := withSession(w, session{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := group.Sync(ctx, w.ledger.Set(key), w.members, w.rules, group.Options{Job: 1}, w); err == nil {
		t.Error("a cancelled run gave no error")
	}
	if last := (*told)[len(*told)-1]; last != "end whole=false" {
		t.Errorf("told %q", *told)
	}
}
