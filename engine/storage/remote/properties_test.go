package remote

import (
	"encoding/json"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/storagetest"
)

// What initialize names is for every collection that names nothing itself; what is
// written to one of these is read back, though the answer brings no text.
func TestAPluginSaysWhichPropertiesItKeeps(t *testing.T) {
	for answer, fallback := range map[string][]string{
		`{"protocol":1,"name":"x"}`:                              nil,
		`{"protocol":1,"name":"x","properties":[]}`:              nil,
		`{"protocol":1,"name":"x","properties":["FN", "EMAIL"]}`: {"FN", "EMAIL"},
	} {
		inner := &memory.Source{}
		inner.Add(engine.Collection{Name: "all", Kind: engine.AddressBook, Writable: true})
		inner.Add(engine.Collection{Name: "own", Kind: engine.AddressBook, Properties: []string{"TEL"}, Writable: true})
		source := plugin(inner, func(l *loop) {
			l.mangle = func(method string, had json.RawMessage) json.RawMessage {
				if method == methodInitialize {
					return json.RawMessage(answer)
				}
				return had
			}
		})
		found, err := source.Look(t.Context(), true)
		if err != nil || len(found) != 2 {
			t.Fatal(found, err)
		}
		for _, c := range found {
			want := fallback
			if c.Name == "own" {
				want = []string{"TEL"}
			}
			if !slices.Equal(c.Properties, want) {
				t.Errorf("after %s, %s keeps %q", answer, c.Name, c.Properties)
			}
			s, err := source.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range s.Apply(t.Context(), []engine.Write{{Verb: engine.Create, UID: "u", Text: storagetest.Text(engine.AddressBook, "u", "one")}}) {
				if out.Err != nil || out.Kept != (len(want) == 0) {
					t.Errorf("after %s, %s: %+v", answer, c.Name, out)
				}
			}
		}
	}
}
