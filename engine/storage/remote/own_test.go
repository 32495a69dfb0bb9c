package remote

import (
	"encoding/json"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/storagetest"
)

func TestStoragesOverTheWireMayGiveTheirOwnUIDs(t *testing.T) {
	storagetest.Suite{OwnUIDs: true, Fresh: func(t testing.TB) engine.Storage {
		inner, storage := calendar()
		storage.WithUID = item.WithUID
		return open(t, plugin(inner, nil))
	}}.Run(t)
}

// The feature speaks for every collection; what a commit says of a UID reaches the
// engine, and a text that nobody has seen as it is now is not vouched for.
func TestAPluginSaysWhichUIDsItGives(t *testing.T) {
	inner, _ := calendar()
	source := plugin(inner, func(l *loop) {
		l.mangle = func(method string, answer json.RawMessage) json.RawMessage {
			switch method {
			case methodInitialize:
				return json.RawMessage(`{"protocol":1,"name":"x","features":["create_collection","own_uids"]}`)
			case methodCommit:
				return json.RawMessage(`{"ref":"r","uid":"7003"}`)
			}
			return answer
		}
	})
	s := open(t, source)
	found, err := source.Look(t.Context(), true)
	if err != nil || len(found) != 1 || !found[0].OwnUIDs {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, out := range s.Apply(t.Context(), []engine.Write{{Verb: engine.Create, UID: "u", Text: storagetest.Text(engine.Calendar, "u", "one")}}) {
		if out.UID != "7003" || out.Kept || strings.HasPrefix(string(out.Head.Etag), textMark) {
			t.Errorf("%+v", out)
		}
	}
}
