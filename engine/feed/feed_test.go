package feed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
)

func gone(id int) engine.Event { return engine.JobGone{ID: engine.JobID(id)} }

func progress(job, done int) engine.Event {
	return engine.JobProgress{Job: engine.JobID(job), Progress: engine.Progress{ItemsDone: uint64(done)}}
}

func TestEveryListenerGetsEveryFactInOneOrder(t *testing.T) {
	var f feed.Feed
	const writers, each = 4, 500
	var subs []*feed.Sub
	for range 3 {
		s, last := f.Subscribe()
		if last != 0 {
			t.Fatalf("subscribed after %d", last)
		}
		defer s.Close()
		subs = append(subs, s)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				f.Publish(gone(w*each + i))
			}
		})
	}
	orders := make([][]engine.JobID, len(subs))
	for i, s := range subs {
		wg.Go(func() {
			for n := range uint64(writers * each) {
				e, err := s.Next(t.Context())
				if err != nil || e.Seq != n+1 {
					t.Errorf("listener %d: event %d is number %d, %v", i, n+1, e.Seq, err)
					return
				}
				orders[i] = append(orders[i], e.Event.(engine.JobGone).ID)
			}
		})
	}
	wg.Wait()
	for i, order := range orders {
		for n, id := range order {
			if id != orders[0][n] {
				t.Fatalf("listener %d saw another order", i)
			}
		}
	}
}

func TestOnlyProgressIsReplaced(t *testing.T) {
	var f feed.Feed
	s, _ := f.Subscribe()
	defer s.Close()
	f.Publish(progress(1, 1))
	f.Publish(gone(9))
	f.Publish(progress(2, 5))
	f.Publish(progress(1, 2))
	f.Publish(progress(1, 3))
	want := []engine.Event{gone(9), progress(2, 5), progress(1, 3)}
	seq := uint64(0)
	for i, w := range want {
		n, err := s.Next(t.Context())
		if err != nil || n.Event != w {
			t.Errorf("event %d: got %+v, %v; want %+v", i, n.Event, err, w)
		}
		if n.Seq <= seq {
			t.Errorf("number %d after %d", n.Seq, seq)
		}
		seq = n.Seq
	}
	if seq != f.Last() {
		t.Errorf("the last event is %d, the newest is %d", seq, f.Last())
	}
}

func TestPublishingNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed.Feed
		s, _ := f.Subscribe() // and never reads
		defer s.Close()
		for i := range 10_000 {
			f.Publish(gone(i))
		}
		if f.Last() != 10_000 {
			t.Error(f.Last())
		}
	})
}

func TestNextWaitsAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed.Feed
		s, _ := f.Subscribe()
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		got := make(chan error, 2)
		go func() {
			_, err := s.Next(ctx)
			got <- err
			_, err = s.Next(ctx)
			got <- err
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Error("Next did not wait")
		}
		f.Publish(gone(1))
		if err := <-got; err != nil {
			t.Error(err)
		}
		stop()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestAClosedListenerGetsNothingMore(t *testing.T) {
	var f feed.Feed
	s, _ := f.Subscribe()
	s.Close()
	f.Publish(gone(1))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if n, err := s.Next(ctx); err == nil {
		t.Errorf("got %+v", n)
	}
}
