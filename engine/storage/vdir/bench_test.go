package vdir

import (
	"fmt"
	"os"
	"testing"

	"davbus.org/davbus/engine"
)

func filled(b *testing.B, n int) *rig {
	r := newRig(b, engine.Calendar)
	for i := range n {
		if err := os.WriteFile(r.file(fmt.Sprintf("item-%05d.ics", i)), event(fmt.Sprint("item-", i), "one"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// A run in which nothing moved lists, and does nothing else.
func BenchmarkList20000(b *testing.B) {
	r := filled(b, 20000)
	for b.Loop() {
		n := 0
		for _, err := range r.f.List(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 20000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkFetch20000(b *testing.B) {
	r := filled(b, 20000)
	var refs []engine.Ref
	for h := range r.f.List(b.Context()) {
		refs = append(refs, h.Ref)
	}
	for b.Loop() {
		for _, err := range r.f.Fetch(b.Context(), refs) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkCreate10000(b *testing.B) {
	var writes []engine.Write
	for i := range 10000 {
		writes = append(writes, creation(fmt.Sprint("item-", i), "one"))
	}
	for b.Loop() {
		r := newRig(b, engine.Calendar)
		for _, out := range r.f.Apply(b.Context(), writes) {
			if out.Err != nil {
				b.Fatal(out.Err)
			}
		}
	}
}

func BenchmarkReplace10000(b *testing.B) {
	r := filled(b, 10000)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		var writes []engine.Write
		for ref := range r.list() {
			writes = append(writes, replacement(r.mustFetch(ref), event(string(ref), fmt.Sprint("round ", n))))
		}
		b.StartTimer()
		for _, out := range r.f.Apply(b.Context(), writes) {
			if out.Err != nil {
				b.Fatal(out.Err)
			}
		}
	}
}
