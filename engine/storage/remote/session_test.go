package remote

import (
	"encoding/json"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

func TestASyncIsAnnouncedAndEnded(t *testing.T) {
	for whole, want := range map[bool]string{
		true:  "connect committed_all sync_done disconnect",
		false: "connect committed_all disconnect",
	} {
		var calls []string
		inner, _ := calendar()
		s := plugin(inner, func(l *loop) { l.calls = &calls })
		st := open(t, s).(engine.Session)
		calls = nil
		if _, err := st.Begin(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if err := st.End(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(calls, " "); got != want {
			t.Errorf("whole %v: %s; want %s", whole, got, want)
		}
	}
}

// A plugin that was started anew in the middle of a sync knows nothing of it: it
// is not told the end of what it did not see begin, nor started for that.
func TestASyncIsNotEndedAtAPluginThatDidNotSeeItBegin(t *testing.T) {
	for _, again := range []bool{true, false} {
		var calls []string
		inner, _ := calendar()
		s := plugin(inner, func(l *loop) { l.calls = &calls })
		st := open(t, s).(engine.Session)
		if _, err := st.Begin(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		s.Disconnect()
		if again {
			if err := s.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		calls = nil
		if err := st.End(t.Context(), true); !engine.IsKind(err, engine.PluginGone) || len(calls) > 0 {
			t.Errorf("started anew %v: %v was called, %v", again, calls, err)
		}
	}
}

func TestPluginMayAskForASlowSyncUntilOneIsDone(t *testing.T) {
	inner, _ := calendar()
	s := plugin(inner, nil)
	st := open(t, s).(engine.Session)
	if _, err := s.Handle(t.Context(), methodSetSlowSync, json.RawMessage(`{"collection":"cal"}`)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		slow, err := st.Begin(t.Context(), false)
		if err != nil || slow != want {
			t.Errorf("run %d: slow %v, %v", i, slow, err)
		}
		if err := st.End(t.Context(), i > 0); err != nil {
			t.Fatal(err)
		}
	}
}
