package keeper

import (
	"math"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// forever is the end of a pause that has none.
func forever() time.Time { return time.UnixMicro(math.MaxInt64) }

// resting reports whether the schedule starts nothing now.
func (k *Keeper) resting() bool {
	if !k.begun || k.stopping || !k.pausedUntil.IsZero() {
		return true
	}
	for _, i := range k.inhibits {
		if i.what == "schedule" {
			return true
		}
	}
	return false
}

// Pause starts nothing by itself for a time, 0 for until Resume.
func (k *Keeper) Pause(d time.Duration, cancelRunning bool) error {
	return k.ask(func() error {
		k.pausedUntil = forever()
		if d > 0 {
			k.pausedUntil = k.now().Add(d)
		}
		if cancelRunning {
			for _, j := range slices.Concat(k.running, k.queue) {
				k.cancelJob(j)
			}
		}
		return nil
	})
}

// Resume ends a pause.
func (k *Keeper) Resume() error {
	return k.ask(func() error { k.resume(); return nil })
}

func (k *Keeper) resume() { k.pausedUntil = time.Time{} }

// SetOnline is told whether the network is there. When it returns, what could
// not be reached is tried again soon.
func (k *Keeper) SetOnline(on bool) {
	k.post(func() {
		back := on && !k.online
		k.online = on
		for _, a := range k.accounts {
			k.touchAccount(a.cfg.ID)
			if back && failureWord(a.failure) == "offline" {
				k.forgiveAccount(a)
			}
		}
	})
}

// Inhibit holds off "idle-exit" or "schedule" until release is called.
func (k *Keeper) Inhibit(what, reason string) (release func(), err error) {
	if what != "idle-exit" && what != "schedule" {
		return nil, engine.Fail(engine.Invalid, "inhibit", what, "what is idle-exit or schedule")
	}
	n := 0
	err = k.ask(func() error {
		if len(k.inhibits) >= maxInhibits {
			return engine.Fail(engine.LimitExceeded, "inhibit", what, "%d are held already", maxInhibits)
		}
		k.inhibitNext++
		n = k.inhibitNext
		k.inhibits[n] = inhibit{what, reason}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() { k.post(func() { delete(k.inhibits, n) }) }, nil
}

// Idle reports whether nothing runs and nothing will by itself, not even when the
// network comes back.
func (k *Keeper) Idle() bool {
	idle := false
	k.post(func() {
		defer func(was bool) { k.online = was }(k.online)
		k.online = true
		idle = len(k.running)+len(k.queue)+len(k.inhibits) == 0
		for _, a := range k.accounts {
			idle = idle && (a.watch == nil || a.watch.none)
		}
		for _, g := range k.groups {
			idle = idle && k.dueAt(g).IsZero()
		}
	})
	return idle
}
