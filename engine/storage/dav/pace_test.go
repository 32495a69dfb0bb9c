package dav

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
)

// load runs n requests through a pace with eight workers; each takes what serve
// does with it.
func load(t *testing.T, p *pace, n int, serve func() (complained bool)) time.Duration {
	begun := time.Now()
	var wg sync.WaitGroup
	work := make(chan bool, n)
	for range n {
		work <- true
	}
	close(work)
	for range paceMost {
		wg.Go(func() {
			for range work {
				done, err := p.enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				done(serve())
			}
		})
	}
	wg.Wait()
	return time.Since(begun)
}

func TestThePaceGrowsWithAFarServerAndNotWithABusyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newPace()
		took := load(t, far, 2000, func() bool { <-time.After(100 * time.Millisecond); return false })
		if far.limit != paceMost || took > 40*time.Second {
			t.Errorf("far away: %d at once, 2000 requests of 0.1 s in %v", far.limit, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		busy := newPace()
		one := make(chan bool, 1)
		load(t, busy, 2000, func() bool {
			one <- true
			<-time.After(20 * time.Millisecond)
			<-one
			return false
		})
		if busy.limit > 3 {
			t.Errorf("one at a time: %d at once", busy.limit)
		}
	})
}

func TestThePaceHalvesWhenTheServerComplainsAndTriesAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		load(t, p, 2000, func() bool { <-time.After(time.Millisecond); return false })
		for want := paceMost / 2; want >= 1; want /= 2 {
			done, _ := p.enter(t.Context())
			if done(true); p.limit != want {
				t.Errorf("after a complaint %d at once, want %d", p.limit, want)
			}
		}
		done, _ := p.enter(t.Context())
		if done(true); p.limit != 1 {
			t.Errorf("never fewer than one: %d", p.limit)
		}
		load(t, p, 100, func() bool { <-time.After(time.Millisecond); return false })
		if p.limit != 1 {
			t.Errorf("soon after: %d", p.limit)
		}
		load(t, p, 2000, func() bool { <-time.After(time.Millisecond); return false })
		if p.limit < 4 {
			t.Errorf("long after: %d", p.limit)
		}
	})
}

func TestNobodyEntersWhileTheServerWantsToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		p.hold(10 * time.Second)
		begun := time.Now()
		if done, err := p.enter(t.Context()); err != nil || time.Since(begun) < 10*time.Second || time.Since(begun) > 13*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		} else {
			done(false)
		}
		p.hold(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// answers is a client that gives one answer after the other, the last for ever.
type answers struct {
	list  []func() (*http.Response, error)
	times []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.times = append(a.times, time.Now())
	return a.list[min(len(a.times), len(a.list))-1]()
}

func status(code int, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(""))}, nil
	}
}

func TestScenario71RetryAfterIsWaitedOutOrHandedOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		list   []func() (*http.Response, error)
		tries  int
		waited time.Duration // at least, and a quarter more at most
		kind   engine.Kind
		later  time.Duration
	}{
		{"seconds", []func() (*http.Response, error){status(503, "Retry-After", "7"), status(204)}, 2, 7 * time.Second, engine.KindCount, 0},
		{"a date", []func() (*http.Response, error){status(429, "Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"), status(204)}, 2, 9 * time.Second, engine.KindCount, 0},
		{"nothing said", []func() (*http.Response, error){status(503), status(503), status(204)}, 3, 3 * time.Second, engine.KindCount, 0},
		{"the longest", []func() (*http.Response, error){status(503, "Retry-After", "30"), status(204)}, 2, 30 * time.Second, engine.KindCount, 0},
		{"too long", []func() (*http.Response, error){status(503, "Retry-After", "31")}, 1, 0, engine.ServerBusy, 31 * time.Second},
		{"a day at most", []func() (*http.Response, error){status(503, "Retry-After", "999999999")}, 1, 0, engine.ServerBusy, 24 * time.Hour},
		{"nonsense", []func() (*http.Response, error){status(503, "Retry-After", "soon"), status(204)}, 2, time.Second, engine.KindCount, 0},
		{"the past", []func() (*http.Response, error){status(503, "Retry-After", "-5"), status(204)}, 2, time.Second, engine.KindCount, 0},
		{"for ever", []func() (*http.Response, error){status(429, "Retry-After", "2")}, 3, 4 * time.Second, engine.ServerBusy, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &answers{list: c.list}
			s, err := New(Options{URL: "https://x/", Client: a})
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			resp, err := s.send(t.Context(), call{op: "put", method: "PUT", url: mustURL("https://x/a")})
			took := time.Since(begun)
			if len(a.times) != c.tries || took < c.waited || took > c.waited+c.waited/4+time.Second {
				t.Errorf("%s: %d tries in %v", c.name, len(a.times), took)
			}
			if c.kind == engine.KindCount {
				if err != nil || resp.StatusCode != 204 {
					t.Errorf("%s: %v", c.name, err)
				}
				return
			}
			e, ok := errors.AsType[*engine.Error](err)
			if !ok || e.Kind != c.kind || e.RetryAfter != c.later {
				t.Errorf("%s: %+v", c.name, err)
			}
		})
	}
}
