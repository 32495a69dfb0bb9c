package dav

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A pace keeps the number of requests that run at once at what the server is
// good for: some get slower with each further one, some are far away and get
// faster. It starts at two, grows while that helps, and halves when the server
// complains or goes silent.
type pace struct {
	mu      sync.Mutex
	limit   int
	running int
	wake    chan struct{} // closed and made anew when something has changed
	until   time.Time     // the server asked to be left alone

	// One window of measuring: how many were done since when, with how many at
	// once at least wished for.
	done   int
	busyAt bool
	since  time.Time
	best   float64 // requests a second at the limit before the last step up
	rest   int     // windows to go before another step up is tried
}

const (
	paceStart = 2
	paceMost  = 8
	paceRest  = 32 // windows after a step that did not help
)

func newPace() *pace {
	return &pace{limit: paceStart, wake: make(chan struct{})}
}

// enter waits for a turn. done gives it back and tells whether the server
// complained.
func (p *pace) enter(ctx context.Context) (done func(complained bool), err error) {
	for {
		p.mu.Lock()
		wait := time.Until(p.until)
		if wait <= 0 && p.running < p.limit {
			p.running++
			if p.running == p.limit {
				p.busyAt = true
			}
			if p.since.IsZero() {
				p.since = time.Now()
			}
			p.mu.Unlock()
			return p.leave, nil
		}
		wake := p.wake
		p.mu.Unlock()
		var timer <-chan time.Time
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-wake:
		case <-timer:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *pace) leave(complained bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if complained {
		p.limit = max(1, p.limit/2)
		p.rest, p.best = paceRest, 0
		p.restart()
	} else {
		p.done++
		p.adjust()
	}
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *pace) restart() { p.done, p.busyAt, p.since = 0, false, time.Time{} }

// adjust compares one window of requests with the one before.
func (p *pace) adjust() {
	if p.done < 8*p.limit {
		return
	}
	rate := float64(p.done) / max(time.Since(p.since).Seconds(), 1e-6)
	full := p.busyAt
	p.restart()
	switch {
	case !full:
	case p.rest > 0:
		if p.rest--; p.rest == 0 {
			p.best = 0
		}
	case rate > p.best*1.1 && p.limit < paceMost:
		p.best = rate
		p.limit++
	case rate <= p.best*1.1 && p.limit > 1:
		p.limit-- // the last step did not help
		p.rest = paceRest
	}
}

// hold lets nobody enter for a while. The jitter keeps clients that were sent
// away together from coming back together.
func (p *pace) hold(d time.Duration) {
	d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := time.Now().Add(d); t.After(p.until) {
		p.until = t
	}
}
