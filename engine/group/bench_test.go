package group_test

import (
	"fmt"
	"testing"

	"davbus.org/davbus/engine"
)

// A set of 10,000 items at two members.
func big(b *testing.B) *world {
	w := newWorldOnDisk(b, 2)
	for i := range 10000 {
		uid := fmt.Sprint(i)
		w.stores[0].Put(engine.Ref(uid), event(uid, "x"))
	}
	w.sync()
	w.sync()
	return w
}

func BenchmarkFirstSyncOf10000(b *testing.B) {
	for b.Loop() {
		big(b)
	}
}

func BenchmarkNothingToDoOf10000(b *testing.B) {
	w := big(b)
	for i := range w.members {
		w.members[i].State = "still"
	}
	w.sync()
	for b.Loop() {
		w.sync()
	}
}

func BenchmarkOneEditOf10000(b *testing.B) {
	w := big(b)
	n := 0
	for b.Loop() {
		n++
		w.stores[0].Put("77", event("77", fmt.Sprint(n)))
		w.sync()
	}
}
