package service

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
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

func TestScenario81ACommandIsRunWhenItIsNeededAndOnceForAWhile(t *testing.T) {
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
	if err := s.Forget("work", "", ""); err != nil {
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
		f.value = bytes.Clone(value)
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

func TestAnAgentsSecretReachesTheKeyringOnlyOnceTheServerHasTakenIt(t *testing.T) {
	cfg := davAccount(engine.Params{"username": "me"})
	for _, broken := range []error{nil, engine.Fail(engine.SecretLocked, "store", "", "")} {
		k := &fakeKeyring{value: []byte("good")}
		s := newSecrets()
		s.keyring = k
		faults := 0
		s.begin(func(do func(context.Context)) {
			s.mu.Unlock() // as another goroutine would
			defer s.mu.Lock()
			do(t.Context())
		}, func(string, error) { faults++ })
		if err := s.Set("work", "password", []byte("typed"), storeTrial); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Of(cfg).Get(t.Context(), "password"); string(got) != "typed" || string(k.value) != "good" || s.State(cfg) != "session" {
			t.Errorf("before the server has seen it: %q, and %q in the keyring, %s", got, k.value, s.State(cfg))
		}
		s.Rejected("work")
		if string(k.value) != "good" {
			t.Errorf("the server refused it, and the keyring has %q", k.value)
		}
		k.err = broken
		s.Accepted("work")
		want, state := map[bool]string{true: "typed", false: "good"}[broken == nil], map[bool]string{true: "stored", false: "session"}[broken == nil]
		if string(k.value) != want || s.State(cfg) != state || (faults == 0) != (broken == nil) {
			t.Errorf("the server took it: %q in the keyring, %s, %d faults", k.value, s.State(cfg), faults)
		}
		k.value = []byte("by hand")
		s.Accepted("work")
		if broken == nil && string(k.value) != "by hand" {
			t.Error("it is stored again and again")
		}
	}
}

// sleepy is a keeper and a face that do something until a time.
