package service

import (
	"context"
	"time"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/transports/intro"
)

// A sleeper tells whether it has anything to do.
type sleeper interface{ Idle() bool }

// A visited one tells of its callers.
type visited interface {
	LastCall() time.Time
	InFlight() int
	Awaited() bool
}

// visitors are those of the bus and those of the introduction sockets.
type visitors struct {
	*dbusapi.Face
	broker *intro.Broker
}

// Awaited reports whether any of them counts on our being here.
func (v visitors) Awaited() bool { return v.Face.Awaited() || len(v.broker.Names()) > 0 }

// idle waits until there was nothing to do for so long: no job, no schedule, no
// watch, no inhibitor, nobody who counts on us, no call. It is false if ctx ended before; 0 is
// never.
func idle(ctx context.Context, k sleeper, face visited, after func() time.Duration) bool {
	busy := time.Now()
	for {
		limit := after()
		if !k.Idle() || face.InFlight() > 0 || face.Awaited() {
			busy = time.Now()
		}
		since := busy
		if last := face.LastCall(); last.After(since) {
			since = last
		}
		left := time.Until(since.Add(limit))
		if left <= 0 && limit > 0 {
			return true
		}
		timer := time.NewTimer(nap(left, limit))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// nap is how long to wait until it is looked at again: it may have been busy for a
// moment, and the limit may change.
func nap(left, limit time.Duration) time.Duration {
	if limit == 0 {
		return time.Minute
	}
	return min(left, limit/8+time.Millisecond)
}
