package vdir

import (
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/storagetest"
)

func TestPromises(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{engine.Calendar, engine.AddressBook, ""} {
		t.Run("kind "+kind, func(t *testing.T) {
			storagetest.Suite{Kind: kind, Fresh: func(tb testing.TB) engine.Storage {
				return newRig(tb, kind).f
			}}.Run(t)
		})
	}
}

func TestSourcePromises(t *testing.T) {
	storagetest.RunSource(t, func(tb testing.TB) engine.Source {
		return New(Options{Path: tb.TempDir()})
	})
}
