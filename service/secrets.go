package service

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	secretservice "davbus.org/davbus/dbusapi/desktop/secrets"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
)

// A keyring keeps secrets over restarts. Its errors are of kind SecretLocked,
// AuthRequired (it has none) or Offline (there is no such service).
type keyring interface {
	Get(ctx context.Context, account engine.AccountID, name string) ([]byte, error)
	Set(ctx context.Context, account engine.AccountID, name string, value []byte) error
	Forget(ctx context.Context, account engine.AccountID, name string) error
}

// secrets gives the secrets of accounts, from where they are: set for this
// session, printed by a command, or kept in the keyring. They are in memory and
// nowhere else.
type secrets struct {
	keyring keyring // nil if there is none
	later   later   // nil until the daemon serves
	fault   func(text string, err error)

	mu       sync.Mutex
	session  map[secretKey][]byte
	printed  map[secretKey]printed
	rejected map[engine.AccountID]bool
	trial    map[secretKey]bool   // to be kept in the keyring once the server has taken it
	stored   map[secretKey]string // what the keyring last told: "stored", "locked", "no-service"
}

type secretKey struct {
	account engine.AccountID
	name    string
}

// printed is what a command printed. It is good for the moment, so that one sync
// runs it once; a token is printed anew when it is asked for later.
type printed struct {
	value []byte
	by    []string
	at    time.Time
}

const (
	printedFor  = time.Minute
	commandTime = time.Minute
	keyringTime = 3 * time.Minute // a person may have to unlock it
	maxSecret   = 64 << 10
)

var _ keeper.Secrets = (*secrets)(nil)

func newSecrets() *secrets {
	return &secrets{
		session: map[secretKey][]byte{}, printed: map[secretKey]printed{},
		rejected: map[engine.AccountID]bool{}, stored: map[secretKey]string{}, trial: map[secretKey]bool{},
	}
}

// Of gives the secrets of one account in one configuration.
func (s *secrets) Of(cfg engine.AccountConfig) keeper.AccountSecrets { return accountSecrets{s, cfg} }

type accountSecrets struct {
	all *secrets
	cfg engine.AccountConfig
}

func (a accountSecrets) Get(ctx context.Context, name string) ([]byte, error) {
	s, key := a.all, secretKey{a.cfg.ID, name}
	s.mu.Lock()
	value, ok := s.session[key]
	last := s.printed[key]
	s.mu.Unlock()
	if ok {
		return bytes.Clone(value), nil
	}
	if argv := command(a.cfg, name); argv != nil {
		if slices.Equal(last.by, argv) && time.Since(last.at) < printedFor {
			return bytes.Clone(last.value), nil
		}
		value, err := firstLine(ctx, argv)
		if err != nil {
			return nil, engine.Fail(engine.AuthRequired, "get the "+name+" of", string(a.cfg.ID), "%w", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.printed[key] = printed{value, argv, time.Now()}
		return bytes.Clone(value), nil
	}
	if s.keyring == nil {
		return nil, engine.Fail(engine.AuthRequired, "get the "+name+" of", string(a.cfg.ID), "there is none; store one with SetSecret, or name a %s-command", name)
	}
	return s.fromKeyring(ctx, key)
}

func (s *secrets) fromKeyring(ctx context.Context, key secretKey) ([]byte, error) {
	if keeper.Unattended(ctx) {
		ctx = secretservice.Quiet(ctx) // it does not pop up at night
	}
	value, err := s.keyring.Get(ctx, key.account, key.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.stored[key] = "stored"
	case engine.IsKind(err, engine.SecretLocked):
		s.stored[key] = "locked"
	case engine.IsKind(err, engine.Offline):
		s.stored[key] = "no-service"
	default:
		s.stored[key] = "missing"
	}
	if engine.IsKind(err, engine.Offline) {
		err = engine.Fail(engine.AuthRequired, "get the "+key.name+" of", string(key.account), "there is none, and no keyring: %w", err)
	}
	return value, err
}

// command is what prints a secret; nil if nothing does.
func command(cfg engine.AccountConfig, name string) []string {
	argv, _ := cfg.Params[name+"-command"].([]string)
	if len(argv) == 0 {
		return nil
	}
	return argv
}

// firstLine runs a program and gives the first line of what it prints. Nothing
// that it prints gets into an error.
func firstLine(ctx context.Context, argv []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var out limited
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, engine.Fail(engine.Timeout, "run", argv[0], "it printed nothing within %s", commandTime)
		}
		return nil, engine.Fail(engine.Invalid, "run", argv[0], "%w", err)
	}
	line, _, _ := bytes.Cut(out.buf, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, engine.Fail(engine.Invalid, "run", argv[0], "it printed nothing")
	}
	return line, nil
}

// limited keeps the beginning of what is written.
type limited struct{ buf []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p[:min(len(p), maxSecret-len(l.buf))]...)
	return len(p), nil
}

// State tells how it stands with an account's secret, by what is known now.
func (s *secrets) State(cfg engine.AccountConfig) string {
	if !needsSecret(cfg) {
		return "not-needed"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := secretKey{cfg.ID, "password"}
	_, session := s.session[key]
	switch {
	case s.rejected[cfg.ID]:
		return "rejected"
	case session:
		return "session"
	case command(cfg, "password") != nil:
		return "command"
	case s.stored[key] != "":
		return s.stored[key]
	}
	return "missing"
}

// Set keeps a secret: in the keyring, or, where store says "session", until the
// daemon ends.
func (s *secrets) Set(id engine.AccountID, name string, value []byte, store string) error {
	if len(value) > maxSecret {
		return engine.Fail(engine.TooLarge, "set the "+name+" of", string(id), "a secret has at most %d bytes", maxSecret)
	}
	if store != "" && store != "keyring" && store != "session" && store != storeTrial {
		return engine.Fail(engine.Invalid, "set the "+name+" of", string(id), "store is keyring or session, not %q", store)
	}
	key := secretKey{id, name}
	inKeyring := store != "session" && store != storeTrial
	if inKeyring && s.keyring == nil {
		return noKeyring(id, name, nil)
	}
	if inKeyring {
		ctx, cancel := context.WithTimeout(context.Background(), keyringTime)
		defer cancel()
		err := s.keyring.Set(ctx, id, name, value)
		if engine.IsKind(err, engine.Offline) {
			return noKeyring(id, name, err)
		}
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rejected, id)
	delete(s.printed, key)
	delete(s.trial, key)
	if store == storeTrial && s.keyring != nil {
		s.trial[key] = true
	}
	if inKeyring {
		s.stored[key] = "stored"
		delete(s.session, key)
	} else {
		s.session[key] = bytes.Clone(value)
	}
	return nil
}

func noKeyring(id engine.AccountID, name string, err error) error {
	if err == nil {
		err = errors.New("nothing here keeps passwords over restarts")
	}
	return engine.Fail(engine.NotSupported, "set the "+name+" of", string(id),
		"there is no keyring: %w; keep it until davbusd ends (\"store\" is \"session\"), or name a %s-command", err, name)
}

// Forget removes a secret, or with name "" all secrets of an account; with store
// "session" from memory alone.
func (s *secrets) Forget(id engine.AccountID, name, store string) error {
	if s.keyring != nil && store != "session" {
		ctx, cancel := context.WithTimeout(context.Background(), keyringTime)
		defer cancel()
		if err := s.keyring.Forget(ctx, id, cmp.Or(name, "password")); err != nil && !engine.IsKind(err, engine.Offline) && !engine.IsKind(err, engine.AuthRequired) {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := func(key secretKey) bool { return key.account == id && (name == "" || key.name == name) }
	maps.DeleteFunc(s.session, func(k secretKey, v []byte) bool {
		if mine(k) {
			clear(v)
		}
		return mine(k)
	})
	maps.DeleteFunc(s.printed, func(k secretKey, _ printed) bool { return mine(k) })
	maps.DeleteFunc(s.stored, func(k secretKey, _ string) bool { return mine(k) })
	maps.DeleteFunc(s.trial, func(k secretKey, _ bool) bool { return mine(k) })
	delete(s.rejected, id)
	return nil
}

func (s *secrets) Rejected(id engine.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected[id] = true
	maps.DeleteFunc(s.printed, func(k secretKey, _ printed) bool { return k.account == id })
}

func (s *secrets) Accepted(id engine.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rejected, id)
	s.promote(id)
}

// redact takes every secret that we hold out of a text.
func (s *secrets) redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.session))
	for _, p := range s.printed {
		all = append(all, p.value)
	}
	for _, value := range all {
		if len(value) >= 3 {
			text = strings.ReplaceAll(text, string(value), "[secret]")
		}
	}
	return text
}
