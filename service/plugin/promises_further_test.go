//go:build real && further

package plugin_test

import (
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
)

func TestFurtherAServerKeepsItsPromisesOverTheWire(t *testing.T) {
	promises(t, "dav", engine.Calendar, func(t testing.TB) engine.Source {
		server := davtest.New(t, davtest.Options{})
		source, err := dav.New(dav.Options{URL: server.URL + "/", Client: server.Client(t).Transport})
		if err != nil {
			t.Fatal(err)
		}
		return source
	})
}
