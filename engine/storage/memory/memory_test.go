package memory_test

import (
	"errors"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestATestCanFailAnyCallAndCountsThem(t *testing.T) {
	broken := errors.New("broken")
	var s memory.Storage
	s.Before = func(c memory.Call) error {
		if c.Name == "replace" && c.N == 1 {
			return broken
		}
		return nil
	}
	h := s.Put("a", []byte("one"))
	var errs []error
	for range 3 {
		for _, out := range s.Apply(t.Context(), []engine.Write{{Verb: engine.Replace, Old: h, Text: []byte("two")}}) {
			errs = append(errs, out.Err)
			if out.Err == nil {
				h = out.Head
			}
		}
	}
	if errs[0] != nil || errs[1] != broken || errs[2] != nil {
		t.Errorf("got %v, want only the second to fail", errs)
	}
	if n := s.Counts(); n.Replace != 3 || n.Writes() != 3 {
		t.Errorf("counted %+v", n)
	}
}

func TestChurnedEtagsStillNameTheirVersion(t *testing.T) {
	s := memory.Storage{Churn: true}
	s.Put("a", []byte("one"))
	var heads []engine.Head
	for range 2 {
		for h, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, h)
		}
	}
	if heads[0] == heads[1] {
		t.Error("two listings gave one etag")
	}
	for _, out := range s.Apply(t.Context(), []engine.Write{{Verb: engine.Delete, Old: heads[0]}}) {
		if out.Err != nil {
			t.Error(out.Err)
		}
	}
}
