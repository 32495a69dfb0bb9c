package service

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/service/config"
)

func TestSecretsAreKeptOutOfTheLog(t *testing.T) {
	s := newSecrets()
	if err := s.Set("work", "password", []byte("hunter2"), "session"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := newLog(&out, "", config.DefaultDaemon(), s)
	l.event(engine.AccountChanged{State: &engine.AccountState{AccountConfig: engine.AccountConfig{ID: "work"},
		Failure: engine.FailureOf(errors.New("cannot open https://me:hunter2@h/"))}})
	if got := out.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, "[secret]") {
		t.Errorf("got %q", got)
	}
}

func TestTheLogTellsEachFailureOnceAndJobsThatDidSomething(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, "", config.DefaultDaemon(), newSecrets())
	state := func(kind engine.Kind) engine.Event {
		st := &engine.AccountState{AccountConfig: engine.AccountConfig{ID: "work"}, State: "error"}
		if kind != 0 {
			st.Failure = engine.FailureOf(engine.Fail(kind, "look", "work", ""))
		}
		return engine.AccountChanged{State: st}
	}
	done := func(result string, added uint32) engine.Event {
		return engine.JobChanged{State: &engine.JobState{ID: 7, State: engine.StateDone, Result: result, Report: engine.Report{Counts: engine.Counts{Added: added}}}}
	}
	for _, c := range []struct {
		event engine.Event
		lines int
	}{
		{state(engine.Offline), 1}, {state(engine.Offline), 0}, {state(engine.AuthFailed), 1}, {state(0), 1}, {state(0), 0},
		{done(engine.Success, 0), 0}, {done(engine.Success, 3), 1}, {done(engine.Failed, 0), 1},
	} {
		out.Reset()
		l.event(c.event)
		if n := bytes.Count(out.Bytes(), []byte("\n")); n != c.lines {
			t.Errorf("%+v: %d lines, want %d: %s", c.event, n, c.lines, out.String())
		}
	}
}

func TestTheLogLevelSpeaksSyslogAndYAML(t *testing.T) {
	l := newLog(&bytes.Buffer{}, "", config.Daemon{LogLevel: "warn"}, newSecrets())
	if l.Level() != "warning" {
		t.Errorf("level %s", l.Level())
	}
	for set, want := range map[string]string{"debug": "debug", "info": "info", "notice": "info", "warning": "warning", "err": "err", "crit": "err"} {
		if err := l.SetLevel(set); err != nil || l.Level() != want {
			t.Errorf("%s: %s, %v", set, l.Level(), err)
		}
	}
	if err := l.SetLevel("loud"); !engine.IsKind(err, engine.Invalid) {
		t.Errorf("got %v", err)
	}
	l.configured(config.Daemon{LogLevel: "debug"})
	fixed := newLog(&bytes.Buffer{}, "error", config.Daemon{LogLevel: "info"}, newSecrets())
	fixed.configured(config.Daemon{LogLevel: "debug"})
	if l.Level() != "debug" || fixed.Level() != "err" {
		t.Errorf("after a reload: %s; with a level on the command line: %s", l.Level(), fixed.Level())
	}
}

func TestTheNewestLinesOfTheLogAreKeptWithoutSecrets(t *testing.T) {
	s := newSecrets()
	if err := s.Set("work", "password", []byte("hunter2"), "session"); err != nil {
		t.Fatal(err)
	}
	l := newLog(&bytes.Buffer{}, "", config.DefaultDaemon(), s)
	for range maxRecent {
		l.say("with hunter2")
	}
	l.say("the newest")
	got := l.Recent(maxRecent + 1)
	if len(got) != maxRecent || !strings.Contains(got[maxRecent-1], "the newest") || strings.Contains(strings.Join(got, ""), "hunter2") {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	if got := l.Recent(1); len(got) != 1 || !strings.Contains(got[0], "the newest") {
		t.Errorf("%q", got)
	}
}
