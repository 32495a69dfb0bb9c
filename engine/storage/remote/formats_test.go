package remote

import (
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

func TestAPluginTellsWhichVersionsOfVCardItTakes(t *testing.T) {
	inner := &memory.Source{}
	inner.Add(engine.Collection{Name: "any", Kind: engine.AddressBook, Writable: true})
	inner.Add(engine.Collection{Name: "old", Kind: engine.AddressBook, Formats: []string{engine.VCard3}, Writable: true})
	all, err := plugin(inner, nil).Look(t.Context(), false)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, c := range all {
		if want := map[string][]string{"old": {engine.VCard3}}[c.Name]; !slices.Equal(c.Formats, want) || (c.Formats == nil) != (want == nil) {
			t.Errorf("%s takes %q", c.Name, c.Formats)
		}
	}
}
