package service

import (
	"context"
	"time"
)

// A sleeper tells whether it has anything to do.
type sleeper interface{ Idle() bool }

// A visited one tells of its callers.
type visited interface {
	LastCall() time.Time
	InFlight() int
}

// idle waits until there was nothing to do for so many seconds: no job, no
// schedule, no watch, no inhibitor, no call. It is false if ctx ended before; 0
// is never.
func idle(ctx context.Context, k sleeper, face visited, seconds uint32) bool {
	limit := time.Duration(seconds) * time.Second
	if limit == 0 {
		return false
	}
	busy := time.Now()
	for {
		if !k.Idle() || face.InFlight() > 0 {
			busy = time.Now()
		}
		since := busy
		if last := face.LastCall(); last.After(since) {
			since = last
		}
		left := time.Until(since.Add(limit))
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(min(left, limit/8+time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
