// Package secrets keeps the passwords of accounts in the keyring of the desktop,
// through the Secret Service of freedesktop.org.
//
// A secret crosses the bus enciphered with a key that the two ends agreed on, so
// that a recording of the bus, as people attach them to bug reports, holds none.
// There is no fallback to the plain form.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

const (
	// patience is how long the service may take to answer. It may have to be
	// started first.
	patience = 25 * time.Second

	// promptTime is how long a person may take to answer.
	promptTime = 2 * time.Minute

	// peace is how long nobody is asked again who has sent a question away, unless
	// the keyring changes meanwhile.
	peace = 10 * time.Minute
)

// Options of a Keyring.
type Options struct {
	// Dial joins the bus. The connection is the keyring's alone.
	Dial func(context.Context) (*conn.Conn, error)

	// Changed is called when something in the keyring may have changed: it was
	// unlocked, somebody stored a secret, the service came or went. It runs on the
	// goroutine that reads from the bus and must not wait. It may be nil.
	Changed func()
}

// A Keyring is a client of the Secret Service. It may be used by several
// goroutines. What it cannot do is an *engine.Error: of kind SecretLocked if the
// keyring is locked and was not opened, AuthRequired if it has no such secret,
// Offline if there is no keyring.
type Keyring struct {
	o Options

	// one holds a token while the link and the session are looked at or made.
	one     chan struct{}
	link    *link
	session *session // on link; nil if there is none yet

	// asking holds a token while a person is asked: one question at a time.
	asking chan struct{}

	mu      sync.Mutex
	snubbed time.Time // when a person last sent a question away
}

// New makes a keyring. Nothing is asked of it yet, not even whether it is there.
func New(o Options) *Keyring {
	return &Keyring{o: o, one: make(chan struct{}, 1), asking: make(chan struct{}, 1)}
}

// Dial gives what joins the bus at an address.
func Dial(address string) func(context.Context) (*conn.Conn, error) {
	return func(ctx context.Context) (*conn.Conn, error) { return conn.Dial(ctx, address, conn.Options{}) }
}

// Close leaves the bus, and with it ends the session.
func (k *Keyring) Close() {
	k.one <- struct{}{}
	defer func() { <-k.one }()
	if k.link != nil {
		k.link.bus.Close()
		k.link, k.session = nil, nil
	}
}

// Listen joins the bus, so that Changed is called from now on. The service is
// not started for it.
func (k *Keyring) Listen(ctx context.Context) error {
	_, err := k.open(ctx, false)
	return err
}

type quiet struct{}

// Quiet makes a context in which nobody is asked to unlock the keyring.
func Quiet(ctx context.Context) context.Context { return context.WithValue(ctx, quiet{}, true) }

// Get reads a secret. If the keyring is locked, a person is asked to unlock it,
// once; who sends the question away is left in peace.
func (k *Keyring) Get(ctx context.Context, account engine.AccountID, name string) ([]byte, error) {
	var value []byte
	err := k.do(ctx, "read", account, name, func(ctx context.Context, s *session, attributes map[string]string) error {
		items, err := k.unlockedItems(ctx, s, attributes)
		if err != nil {
			return err
		}
		item, err := s.newest(ctx, items)
		if err == nil {
			value, err = s.secret(ctx, item)
		}
		return err
	})
	return value, err
}

// Set stores a secret: in place of the one that is there, or in the collection
// that the desktop uses by default.
func (k *Keyring) Set(ctx context.Context, account engine.AccountID, name string, value []byte) error {
	return k.do(ctx, "store", account, name, func(ctx context.Context, s *session, attributes map[string]string) error {
		items, err := k.unlockedItems(ctx, s, attributes)
		if errors.Is(err, errMissing) {
			return k.create(ctx, s, attributes, fmt.Sprintf("davbus: %s (%s)", account, name), value)
		}
		for _, item := range items {
			if err = s.setSecret(ctx, item, value); err != nil {
				return err
			}
		}
		return err
	})
}

// Forget removes a secret. It is no error if there is none.
func (k *Keyring) Forget(ctx context.Context, account engine.AccountID, name string) error {
	return k.do(ctx, "remove", account, name, func(ctx context.Context, s *session, attributes map[string]string) error {
		items, err := k.unlockedItems(ctx, s, attributes)
		if errors.Is(err, errMissing) {
			return nil
		}
		for _, item := range items {
			var prompt dbus.ObjectPath
			if err := s.call(ctx, item, itemIface+".Delete", []any{&prompt}); err != nil {
				return err
			}
			if _, err := k.ask(ctx, s, prompt); err != nil {
				return err
			}
		}
		return err
	})
}

// attributes are how a secret is found, by us and by secret-tool.
func attributes(account engine.AccountID, name string) map[string]string {
	return map[string]string{"service": "davbus", "account": string(account), "name": name}
}

// do runs one operation, again if the session or an item had ended under it.
func (k *Keyring) do(ctx context.Context, op string, account engine.AccountID, name string, run func(context.Context, *session, map[string]string) error) error {
	var err error
	for range 2 {
		var s *session
		if s, err = k.open(ctx, true); err != nil {
			break
		}
		err = run(ctx, s, attributes(account, name))
		if !stale(err) {
			break
		}
		k.drop(s)
	}
	return explain(op+" the "+name+" of", string(account), err)
}

// open joins the bus, if it has to, and gives an open session, if one is wanted.
func (k *Keyring) open(ctx context.Context, wanted bool) (*session, error) {
	select {
	case k.one <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-k.one }()
	if k.link != nil && k.link.bus.Err() != nil {
		k.link.bus.Close()
		k.link, k.session = nil, nil
	}
	if k.link == nil {
		l, err := k.join(ctx)
		if err != nil {
			return nil, err
		}
		k.link = l
	}
	if k.session == nil && wanted {
		s, err := k.link.agree(ctx)
		if err != nil {
			return nil, err
		}
		k.session = s
	}
	return k.session, nil
}

// join makes a connection.
func (k *Keyring) join(ctx context.Context) (*link, error) {
	bus, err := k.o.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoService, err)
	}
	l := &link{bus: bus, prompts: map[dbus.ObjectPath]chan<- *dbus.Signal{}}
	bus.Listen(func(m *dbus.Signal) { k.heard(l, m) })
	for _, rule := range rules {
		if err := bus.AddMatch(ctx, rule); err != nil {
			bus.Close()
			return nil, err
		}
	}
	return l, nil
}

// drop forgets a session that the service has ended.
func (k *Keyring) drop(s *session) {
	k.one <- struct{}{}
	defer func() { <-k.one }()
	if k.session == s {
		k.session = nil
	}
}

// heard is told of every signal of the service.
func (k *Keyring) heard(l *link, m *dbus.Signal) {
	if m.Name == promptIface+".Completed" {
		l.completed(m)
		return
	}
	k.mu.Lock()
	k.snubbed = time.Time{}
	k.mu.Unlock()
	if k.o.Changed != nil {
		k.o.Changed()
	}
}
