package secrets

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// rules are the signals that we want: answers to prompts, and whatever tells
// that the keyring is not what it was.
var rules = []string{
	"type='signal',sender='" + serviceName + "',interface='" + promptIface + "'",
	"type='signal',sender='" + serviceName + "',interface='" + serviceIface + "'",
	"type='signal',sender='" + serviceName + "',interface='" + collectionIface + "'",
	"type='signal',sender='" + serviceName + "',interface='" + properties + "',path_namespace='" + string(servicePath) + "'",
	"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + serviceName + "'",
}

// unlockedItems finds the items with the attributes, after unlocking what has to
// be. It gives at least one, or errMissing.
func (k *Keyring) unlockedItems(ctx context.Context, s *session, attributes map[string]string) ([]dbus.ObjectPath, error) {
	for again := true; ; again = false {
		var open, locked []dbus.ObjectPath
		if err := s.call(ctx, servicePath, serviceIface+".SearchItems", []any{&open, &locked}, attributes); err != nil {
			return nil, err
		}
		if len(open) > 0 {
			return open, nil
		}
		if len(locked) == 0 && again {
			// Some keyrings hide what is in a locked collection.
			var err error
			if locked, err = s.hiding(ctx); err != nil {
				return nil, err
			}
		}
		if len(locked) == 0 {
			return nil, errMissing
		}
		if !again {
			return nil, errLocked
		}
		if err := k.unlock(ctx, s, locked); err != nil {
			return nil, err
		}
	}
}

// hiding finds the locked collections that show no items.
func (l *link) hiding(ctx context.Context) ([]dbus.ObjectPath, error) {
	all, err := l.collections(ctx)
	if err != nil {
		return nil, err
	}
	var out []dbus.ObjectPath
	for _, c := range all {
		var locked bool
		var items []dbus.ObjectPath
		if err := l.property(ctx, c, collectionIface, "Locked", &locked); err != nil {
			return nil, err
		}
		if !locked {
			continue
		}
		if err := l.property(ctx, c, collectionIface, "Items", &items); err != nil {
			return nil, err
		}
		if len(items) == 0 {
			out = append(out, c)
		}
	}
	return out, nil
}

func (l *link) collections(ctx context.Context) ([]dbus.ObjectPath, error) {
	var all []dbus.ObjectPath
	err := l.property(ctx, servicePath, serviceIface, "Collections", &all)
	return all, err
}

// unlock unlocks items or collections, asking a person if need be.
func (k *Keyring) unlock(ctx context.Context, s *session, what []dbus.ObjectPath) error {
	if err := k.mayAsk(ctx); err != nil {
		return err
	}
	var done []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := s.call(ctx, servicePath, serviceIface+".Unlock", []any{&done, &prompt}, what); err != nil {
		return err
	}
	_, err := k.ask(ctx, s, prompt)
	return err
}

// mayAsk reports why nobody is asked just now.
func (k *Keyring) mayAsk(ctx context.Context) error {
	if ctx.Value(quiet{}) != nil {
		return errLocked
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.snubbed.IsZero() && time.Since(k.snubbed) < peace {
		return errDismissed
	}
	return nil
}

// ask has the keyring ask a person what it wants to ask, and gives what came of
// it. There is nothing to ask if the prompt is "/".
func (k *Keyring) ask(ctx context.Context, s *session, prompt dbus.ObjectPath) (dbus.Variant, error) {
	if prompt == "/" || prompt == "" {
		return dbus.Variant{}, nil
	}
	select {
	case k.asking <- struct{}{}:
	case <-ctx.Done():
		return dbus.Variant{}, context.Cause(ctx)
	}
	defer func() { <-k.asking }()
	if err := k.mayAsk(ctx); err != nil { // somebody was asked while we waited for our turn
		return dbus.Variant{}, err
	}
	answer := s.await(prompt)
	defer s.unawait(prompt)
	late, stop := context.WithTimeout(ctx, promptTime)
	defer stop()
	err := s.call(late, prompt, promptIface+".Prompt", nil, "")
	if err != nil && late.Err() == nil {
		return dbus.Variant{}, err
	}
	select {
	case m := <-answer:
		return k.answered(m)
	case <-late.Done():
		// The question is moot: take it from the screen.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.call(end, prompt, promptIface+".Dismiss", nil)
		if err := context.Cause(ctx); err != nil {
			return dbus.Variant{}, err
		}
		return dbus.Variant{}, errDismissed
	case <-s.bus.Done():
		return dbus.Variant{}, s.bus.Err()
	}
}

// answered notes what a person said.
func (k *Keyring) answered(m *dbus.Signal) (dbus.Variant, error) {
	dismissed, _ := m.Body[0].(bool)
	result, _ := m.Body[1].(dbus.Variant)
	k.mu.Lock()
	defer k.mu.Unlock()
	if dismissed {
		k.snubbed = time.Now()
		return result, errDismissed
	}
	k.snubbed = time.Time{}
	return result, nil
}

func (l *link) await(prompt dbus.ObjectPath) <-chan *dbus.Signal {
	ch := make(chan *dbus.Signal, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prompts[prompt] = ch
	return ch
}

func (l *link) unawait(prompt dbus.ObjectPath) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.prompts, prompt)
}

func (l *link) completed(m *dbus.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch := l.prompts[m.Path]; ch != nil && len(m.Body) == 2 {
		delete(l.prompts, m.Path)
		ch <- m
	}
}
