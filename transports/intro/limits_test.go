package intro

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
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

// A client that does not read what it is told, and one that asks nothing, are sent
// away; others are served meanwhile and afterwards.
func TestU3ClientsThatDoNotReadOrNeverAskAreSentAway(t *testing.T) {
	ended := make(chan error, 100)
	d := &Door{Patience: 200 * time.Millisecond, Ended: func(_ peer.Cred, err error) { ended <- err }}
	path, _ := serveDoor(t, d)
	var good *Client
	eventually(t, "a client that asks at once may stay", func() bool { // a slow machine may need a second try
		good = dial(t, path)
		_, err := good.Names(t.Context())
		return err == nil
	})
	for len(ended) > 0 {
		<-ended
	}
	silent, err := private.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent one ended with %v", err)
	}
	deaf, err := private.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { // asks and never reads
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(deaf, `{"jsonrpc":"2.0","id":%d,"method":"%01000d"}`+"\n", i, i); err != nil {
				return
			}
		}
	})
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the deaf one ended with %v", err)
	}
	if _, err := good.Names(t.Context()); err != nil {
		t.Error(err)
	}
}
