// Package storagetest checks that a storage keeps the promises of
// [engine.Storage]. Every storage runs it; a new storage starts with it.
//
// Texts are compared by their sum, since a server may rewrite them, and byte for
// byte where the storage says that it has kept them.
package storagetest

import (
	"cmp"
	"testing"

	"davbus.org/davbus/engine"
)

// A Suite is what is tested.
type Suite struct {
	// Kind is what the items are: engine.Calendar if it is "".
	Kind string

	// OwnUIDs says that new items get UIDs of the storage's own.
	OwnUIDs bool

	// Many is how many items a large batch has: 300 if it is 0.
	Many int

	// Fresh makes a storage. Each must be empty and of its own.
	Fresh func(testing.TB) engine.Storage
}

// A promise is one test of the suite.
type promise struct {
	name string
	test func(*bench)
}

// Run tests the storages of calendars that fresh makes.
func Run(t *testing.T, fresh func(testing.TB) engine.Storage) { Suite{Fresh: fresh}.Run(t) }

// Run tests every promise. A storage that is also a Tracker or a MetaStorage is
// tested as one.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	s.each(t, writePromises)
	s.each(t, readPromises)
	s.each(t, namePromises)
	if s.OwnUIDs {
		s.each(t, ownPromises)
	}
	if _, ok := s.Fresh(t).(engine.Tracker); ok {
		s.each(t, trackerPromises)
	}
	if _, ok := s.Fresh(t).(engine.MetaStorage); ok {
		s.each(t, metaPromises)
	}
}

func (s Suite) each(t *testing.T, promises []promise) {
	t.Helper()
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			p.test(&bench{T: t, kind: s.Kind, own: s.OwnUIDs, many: cmp.Or(s.Many, 300), s: s.Fresh(t)})
		})
	}
}
