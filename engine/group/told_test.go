package group_test

import (
	"context"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

func TestASlowSyncTrustsNoEtag(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.members[0].Storage = liar{w.stores[0], w.stores[0].Put("1", event("1", "two"))}
	w.members[0].State = "s"
	w.reset()
	w.sync(group.Options{Slow: true})
	w.all("1=two")
	if w.result.Set.SlowReason != "asked for" {
		t.Errorf("reason %q", w.result.Set.SlowReason)
	}
}

// A liar gives the new text under the old etag.
type liar struct {
	*memory.Storage
	now engine.Head
}

func (l liar) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	d, err := l.Storage.Changes(ctx, since)
	for i := range d.Changed {
		d.Changed[i].Etag = "1"
	}
	return d, err
}

func TestWhatChangedIsTold(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.put(0, "3", "three")
	res := w.sync()
	if c := res.Changed["b/cal"]; !slices.Equal(c.Added, []string{"1", "2", "3"}) || c.Collection != "b/cal" {
		t.Errorf("%+v", res.Changed)
	}
	if _, told := res.Changed["a/cal"]; told {
		t.Errorf("a first look is no change: %+v", res.Changed)
	}
	w.put(0, "1", "uno")
	w.remove(0, "2")
	w.put(1, "4", "four")
	res = w.sync()
	for _, id := range []engine.MemberID{"a/cal", "b/cal"} {
		if c := res.Changed[id]; !slices.Equal(c.Added, []string{"4"}) || !slices.Equal(c.Modified, []string{"1"}) || !slices.Equal(c.Removed, []string{"2"}) {
			t.Errorf("%s: %+v", id, c)
		}
	}
	if res.Count["a/cal"] != 3 || res.Count["b/cal"] != 3 {
		t.Errorf("counts %v", res.Count)
	}
}
