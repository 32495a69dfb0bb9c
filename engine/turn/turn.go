// Package turn lets others have the core between the steps of long work.
//
// Where the kernel takes a core away only at its tick, a program that computes
// keeps it for up to 4 ms, also from those who wait for it to answer: the bus, its
// clients, our own threads that serve them. So whoever goes through thousands of
// items offers the core now and then.
package turn

import "time"

// slice is how long work goes on before it offers the core: long enough for a
// few items, short beside what a person or a panel notices. Where the machine is
// busy every offer costs the time until the others have had theirs.
const slice = 500 * time.Microsecond

// A Turn is one piece of work, of one goroutine at a time.
type Turn struct {
	since time.Time
}

// Pass lets others have the core if the work has gone on for long, and reports
// whether it did. It is cheap enough for every item.
func (t *Turn) Pass() bool {
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	if now.Sub(t.since) < slice {
		return false
	}
	yield()
	t.since = time.Now()
	return true
}
