package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/service/config"
)

func davAccount(params engine.Params) engine.AccountConfig {
	return engine.AccountConfig{ID: "work", Kind: "dav", Enabled: true, Params: params}
}

// counter is a command that counts how often it was run, and prints a line and
// more.
func counter(t *testing.T) (argv []string, runs func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "runs")
	return []string{"sh", "-c", `echo x >>"$0"; printf 's3cret\r\nsecond line\n'`, file}, func() int {
		data, err := os.ReadFile(file)
		if err != nil {
			return 0
		}
		return bytes.Count(data, []byte("x"))
	}
}

func TestACommandIsRunWhenItIsNeededAndOnceForAWhile(t *testing.T) {
	argv, runs := counter(t)
	cfg := davAccount(engine.Params{"username": "me", "password-command": argv})
	s := newSecrets()
	if s.State(cfg) != "command" || runs() != 0 {
		t.Errorf("state %s after %d runs", s.State(cfg), runs())
	}
	for range 3 {
		got, err := s.Of(cfg).Get(t.Context(), "password")
		if err != nil || string(got) != "s3cret" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if runs() != 1 {
		t.Errorf("it ran %d times", runs())
	}
	s.Rejected("work")
	if s.State(cfg) != "rejected" {
		t.Errorf("state %s", s.State(cfg))
	}
	if _, err := s.Of(cfg).Get(t.Context(), "password"); err != nil || runs() != 2 {
		t.Errorf("after a refusal it ran %d times in all, %v", runs(), err)
	}
	s.Accepted("work")
	if s.State(cfg) != "command" {
		t.Errorf("state %s", s.State(cfg))
	}
}

func TestWhatACommandPrintsIsInNoError(t *testing.T) {
	for _, script := range []string{"echo hunter2; exit 3", "echo hunter2 >&2; exit 1", "exec /nonexistent/hunter", "true"} {
		cfg := davAccount(engine.Params{"username": "me", "password-command": []string{"sh", "-c", script}})
		_, err := newSecrets().Of(cfg).Get(t.Context(), "password")
		if !engine.IsKind(err, engine.AuthRequired) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", script, err)
		}
	}
	_, err := newSecrets().Of(davAccount(engine.Params{"password-command": []string{"/nonexistent/program"}})).Get(t.Context(), "password")
	if !engine.IsKind(err, engine.AuthRequired) || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("got %v", err)
	}
}

func TestASecretOfTheSessionBeatsTheOthersAndIsForgotten(t *testing.T) {
	argv, runs := counter(t)
	cfg := davAccount(engine.Params{"username": "me", "password-command": argv})
	s := newSecrets()
	if err := s.Set("work", "password", []byte("typed"), "session"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Of(cfg).Get(t.Context(), "password")
	if string(got) != "typed" || err != nil || runs() != 0 || s.State(cfg) != "session" {
		t.Errorf("got %q, %v, %d runs, state %s", got, err, runs(), s.State(cfg))
	}
	if err := s.Forget("work", ""); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Of(cfg).Get(t.Context(), "password"); string(got) != "s3cret" {
		t.Errorf("after Forget: %q", got)
	}
	if err := s.Set("work", "password", make([]byte, maxSecret+1), "session"); !engine.IsKind(err, engine.TooLarge) {
		t.Errorf("a secret that is too large: %v", err)
	}
	if err := s.Set("work", "password", make([]byte, maxSecret), "session"); err != nil {
		t.Errorf("the largest secret: %v", err)
	}
	if err := s.Set("work", "password", nil, "file"); !engine.IsKind(err, engine.Invalid) {
		t.Errorf("another store: %v", err)
	}
}

func TestStatesOfSecrets(t *testing.T) {
	for _, c := range []struct {
		cfg  engine.AccountConfig
		want string
	}{
		{engine.AccountConfig{Kind: "vdir", Params: engine.Params{"path": "/p"}}, "not-needed"},
		{davAccount(engine.Params{"url": "https://h/"}), "not-needed"},
		{davAccount(engine.Params{"username": "me", "auth": "none"}), "not-needed"},
		{davAccount(engine.Params{"username": "me"}), "missing"},
		{davAccount(engine.Params{"username-command": []string{"id"}}), "missing"},
	} {
		if got := newSecrets().State(c.cfg); got != c.want {
			t.Errorf("%+v: %s, want %s", c.cfg.Params, got, c.want)
		}
	}
	_, err := newSecrets().Of(davAccount(engine.Params{"username": "me"})).Get(t.Context(), "password")
	if !engine.IsKind(err, engine.AuthRequired) {
		t.Errorf("without any: %v", err)
	}
}

// fakeKeyring is a keyring with one secret, or an error.
type fakeKeyring struct {
	value []byte
	err   error
}

func (f *fakeKeyring) Get(context.Context, engine.AccountID, string) ([]byte, error) {
	return f.value, f.err
}
func (f *fakeKeyring) Set(_ context.Context, _ engine.AccountID, _ string, value []byte) error {
	if f.err == nil {
		f.value = value
	}
	return f.err
}
func (f *fakeKeyring) Forget(context.Context, engine.AccountID, string) error {
	f.value = nil
	return f.err
}

func TestTheKeyringIsAskedAndItsStateShown(t *testing.T) {
	cfg := davAccount(engine.Params{"username": "me"})
	k := &fakeKeyring{}
	s := newSecrets()
	s.keyring = k
	if err := s.Set("work", "password", []byte("kept"), "keyring"); err != nil || string(k.value) != "kept" || s.State(cfg) != "stored" {
		t.Errorf("%v, %q, %s", err, k.value, s.State(cfg))
	}
	if len(s.session) != 0 {
		t.Error("it is kept in memory too")
	}
	if got, err := s.Of(cfg).Get(t.Context(), "password"); string(got) != "kept" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range []struct {
		err   error
		kind  engine.Kind
		state string
	}{
		{engine.Fail(engine.SecretLocked, "read", "", ""), engine.SecretLocked, "locked"},
		{engine.Fail(engine.AuthRequired, "read", "", ""), engine.AuthRequired, "missing"},
		{engine.Fail(engine.Offline, "read", "", ""), engine.AuthRequired, "no-service"},
	} {
		k.err = c.err
		_, err := s.Of(cfg).Get(t.Context(), "password")
		if !engine.IsKind(err, c.kind) || s.State(cfg) != c.state {
			t.Errorf("%v: %v, state %s", c.err, err, s.State(cfg))
		}
	}
	// Nobody is told that a secret is kept when it is not.
	for _, s := range []*secrets{s, newSecrets()} {
		if err := s.Set("work", "password", []byte("typed"), ""); !engine.IsKind(err, engine.NotSupported) || !strings.Contains(err.Error(), "session") {
			t.Errorf("without a keyring: %v", err)
		}
	}
}

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

// sleepy is a keeper and a face that do something until a time.
type sleepy struct{ until, called time.Time }

func (s sleepy) Idle() bool          { return !time.Now().Before(s.until) }
func (s sleepy) LastCall() time.Time { return s.called }
func (s sleepy) InFlight() int       { return 0 }

func seconds(n uint32) func() uint32 { return func() uint32 { return n } }

func TestIdleExitComesAfterItsTimeWithoutAnythingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s := sleepy{until: start.Add(5 * time.Minute), called: start.Add(7 * time.Minute)}
		if !idle(ctx, s, s, seconds(600)) {
			t.Fatal("it never leaves")
		}
		if after := time.Since(start); after < 17*time.Minute || after > 19*time.Minute {
			t.Errorf("it leaves after %v; the last call was after 7 minutes", after)
		}
		if idle(ctx, s, s, seconds(0)) {
			t.Error("0 means never")
		}
		if idle(ctx, sleepy{until: start.Add(9 * time.Hour)}, s, seconds(600)) {
			t.Error("it is busy and leaves")
		}
	})
}

func TestPrivateFoldersAreMadePrivate(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{open, filepath.Join(dir, "new", "deep")} {
		if err := makePrivate(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := os.Symlink(open, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := makePrivate(filepath.Join(dir, "link")); err == nil {
		t.Error("a link is taken for a folder of ours")
	}
}

func TestTheRuntimeFolderIsOursEvenWithoutASession(t *testing.T) {
	state, run := t.TempDir(), t.TempDir()
	with, err := findDirs(func(name string) string {
		return map[string]string{"XDG_RUNTIME_DIR": run, "XDG_STATE_HOME": state}[name]
	})
	if err != nil || with.runtime != filepath.Join(run, "davbus") || with.session != run || with.madeRuntime {
		t.Errorf("%+v, %v", with, err)
	}
	for _, base := range []string{"", "relative"} {
		without, err := findDirs(func(name string) string {
			return map[string]string{"XDG_RUNTIME_DIR": base, "XDG_STATE_HOME": state}[name]
		})
		if err != nil || !without.madeRuntime || without.session != "" || without.runtime != filepath.Join(state, "davbus", "run") {
			t.Errorf("%q: %+v, %v", base, without, err)
		}
		if info, err := os.Stat(without.runtime); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func TestOneStateFolderHasOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path); err == nil || !strings.Contains(err.Error(), "another davbusd uses this state folder") {
		t.Errorf("twice: %v", err)
	}
	unlock()
	again, err := lock(path)
	if err != nil {
		t.Fatal(fmt.Errorf("after unlocking: %w", err))
	}
	again()
}
