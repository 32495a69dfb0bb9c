package plugin_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/engine/storage/vdir"
	"davbus.org/davbus/service/plugin"
	child "davbus.org/davbus/transports/plugin"
)

// over gives a source as a plugin serves it.
func over(t testing.TB, inner engine.Source) *remote.Source {
	var lives sync.WaitGroup
	s := remote.New(remote.Options{Account: "p", Host: host{}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		ours, theirs := net.Pipe()
		lives.Go(func() {
			_ = plugin.Serve(theirs, "served", func(engine.Params) (engine.Source, error) { return inner, nil })
		})
		return child.Attach(ours, child.Options{Notify: to.Notify, Handle: to.Handle}), nil
	}})
	t.Cleanup(func() { s.Close(); lives.Wait() })
	return s
}

// What every storage promises, memory and a folder promise when a plugin serves
// them.
func TestEveryStorageKeepsItsPromisesOverTheWire(t *testing.T) {
	promises(t, "memory", engine.Calendar, func(testing.TB) engine.Source { return new(memory.Source) })
	promises(t, "own UIDs", engine.AddressBook, func(testing.TB) engine.Source { return &memory.Source{WithUID: item.WithUID} })
	promises(t, "vdir", engine.AddressBook, func(t testing.TB) engine.Source { return vdir.New(vdir.Options{Path: t.TempDir()}) })
}

func promises(t *testing.T, name, kind string, inner func(testing.TB) engine.Source) {
	t.Run(name+", "+kind, func(t *testing.T) {
		storagetest.Suite{Kind: kind, OwnUIDs: name == "own UIDs", Fresh: func(t testing.TB) engine.Storage {
			s := over(t, inner(t))
			if _, err := s.Look(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			c, err := s.Make(t.Context(), engine.Collection{ID: "made", Name: "made", Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			if c.OwnUIDs != (name == "own UIDs") {
				t.Errorf("it says of its UIDs: %+v", c)
			}
			c.Kind = kind
			st, err := s.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}}.Run(t)
	})
}
