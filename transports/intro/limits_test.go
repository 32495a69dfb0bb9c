package intro

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// What waits ends with whoever leaves first.
func TestG8WhoLeavesTakesAlongWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		hang := func(ctx context.Context, in Introduction) error {
			defer in.Socket.Close()
			<-ctx.Done()
			return ctx.Err()
		}
		d, err := b.Register(Registration{Name: Name{Name: "slow"}, Owner: "b", Deliver: hang})
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"target", "sender"} {
			mine, theirs := pair(t)
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- b.Introduce(ctx, Introduction{Name: d, Sender: me("a"), Socket: theirs}, false) }()
			synctest.Wait()
			if who == "sender" {
				leave()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			} else {
				b.Leave("b")
				wants(t, <-done, NotFound)
				if d, err = b.Register(Registration{Name: Name{Name: "slow"}, Owner: "b", Deliver: hang}); err != nil {
					t.Fatal(err)
				}
			}
			leave()
			if !closed(mine) {
				t.Errorf("the %s left and the socket is open", who)
			}
		}
	})
}

func TestG5G8QuotasHoldOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		ctx, end := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		introduce := func(owner string) error {
			_, theirs := pair(t)
			return b.Introduce(ctx, Introduction{Name: "never", Sender: me(owner), Socket: theirs}, true)
		}
		for range maxPending {
			waiting.Go(func() { introduce("a") })
		}
		synctest.Wait()
		wants(t, introduce("a"), LimitExceeded)
		for i := range maxAll/maxPending - 1 {
			for range maxPending {
				waiting.Go(func() { introduce(string(rune('A' + i))) })
			}
		}
		synctest.Wait()
		if b.Pending() != maxAll {
			t.Errorf("%d wait, want %d", b.Pending(), maxAll)
		}
		wants(t, introduce("z"), LimitExceeded)
		end()
		waiting.Wait()
		if b.Pending() != 0 || len(b.pending) != 0 {
			t.Errorf("%d are still counted", b.Pending())
		}
		for i := range maxNames + 1 {
			_, err := b.Register(Registration{Name: Name{Name: "n" + string(rune('a'+i))}, Owner: "b"})
			wants(t, err, map[bool]string{true: LimitExceeded}[i == maxNames])
		}
	})
}

func TestNamesAreCheckedUniqueAndListed(t *testing.T) {
	b := NewBroker()
	told := 0
	b.Changed = func() { told++; b.Names() }
	for name, ok := range map[string]bool{"a": true, "a-1.b": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "": false, "A": false, "a_b": false, "é": false} {
		_, err := b.Register(Registration{Name: Name{Name: name}, Owner: "names"})
		wants(t, err, map[bool]string{false: Invalid}[ok])
	}
	keep(t, b, "a", Name{Name: "shown", Public: true})
	keep(t, b, "a", Name{Name: "label"})
	keep(t, b, "b", Name{Name: "label"}) // labels are each owner's own
	for _, r := range []Registration{{Name: Name{Name: "shown", Public: true}, Owner: "b"}, {Name: Name{Name: "label"}, Owner: "a"}} {
		_, err := b.Register(r)
		wants(t, err, AlreadyExists)
	}
	if got := b.Names(); !slices.Equal(got, []string{"shown"}) {
		t.Errorf("listed: %q", got)
	}
	wants(t, b.Unregister("b", "shown"), NotFound)
	if err := b.Unregister("a", "shown"); err != nil || len(b.Names()) != 0 || told != 2 {
		t.Errorf("%v, listed %q, told %d times", err, b.Names(), told)
	}
	b.Leave("a")
	b.Leave("b")
	b.Leave("names")
	if len(b.owned)+len(b.byDesignator)+len(b.byName) != 0 {
		t.Error("something is left of those who left")
	}
}

func TestMetadataIsBounded(t *testing.T) {
	b := NewBroker()
	d, _ := keep(t, b, "b", Name{Name: "x"})
	for size, want := range map[int]string{maxMetadata - 2: "", maxMetadata - 1: Invalid} {
		_, theirs := pair(t)
		wants(t, b.Introduce(t.Context(), Introduction{Name: d, Sender: me("a"), Metadata: strings.Repeat("m", size), Socket: theirs}, false), want)
	}
}
