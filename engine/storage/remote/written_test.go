package remote

import (
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// What is written and cannot be read back is in doubt. An error that means a
// refusal would have it written once more.
func TestWhatIsWrittenAndCannotBeReadIsNoRefusal(t *testing.T) {
	inner, cal := calendar()
	cal.Rewrite = func(text []byte) []byte { return append(text, "X-SEEN:1\r\n"...) }
	cal.Before = func(c memory.Call) error {
		if c.Name == "fetch" {
			return engine.Fail(engine.AlreadyExists, "fetch", string(c.Ref), "")
		}
		return nil
	}
	for _, out := range open(t, plugin(inner, nil)).Apply(t.Context(), []engine.Write{{Verb: engine.Create, UID: "a", Text: []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")}}) {
		if !engine.IsKind(out.Err, engine.PluginError) {
			t.Errorf("an item that was written is told as %v", out.Err)
		}
	}
	if n := cal.Counts().Create; n != 1 {
		t.Errorf("it was made %d times", n)
	}
}
