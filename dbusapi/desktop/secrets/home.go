package secrets

import (
	"context"
	"errors"
	"slices"

	"github.com/godbus/dbus/v5"
)

// create stores a new item.
func (k *Keyring) create(ctx context.Context, s *session, attributes map[string]string, label string, value []byte) error {
	home, err := k.home(ctx, s)
	if err != nil {
		return err
	}
	w, err := s.encipher(value)
	if err != nil {
		return err
	}
	var item, prompt dbus.ObjectPath
	err = s.call(ctx, home, collectionIface+".CreateItem", []any{&item, &prompt}, map[string]dbus.Variant{
		itemIface + ".Label": dbus.MakeVariant(label), itemIface + ".Attributes": dbus.MakeVariant(attributes),
	}, w, true)
	if err == nil && item == "/" {
		_, err = k.ask(ctx, s, prompt)
	}
	return err
}

// home finds the collection for new secrets and unlocks it: the one that the
// desktop calls its default, or "login", or any that outlasts the session. If
// there is none, a person is asked to make one.
func (k *Keyring) home(ctx context.Context, s *session) (dbus.ObjectPath, error) {
	found, err := s.findHome(ctx)
	if err != nil {
		return "", err
	}
	if found == "/" {
		return k.makeHome(ctx, s)
	}
	var locked bool
	if err := s.property(ctx, found, collectionIface, "Locked", &locked); err != nil || !locked {
		return found, err
	}
	if err := k.unlock(ctx, s, []dbus.ObjectPath{found}); err != nil {
		return "", err
	}
	return found, nil
}

func (l *link) findHome(ctx context.Context) (dbus.ObjectPath, error) {
	for _, alias := range []string{"default", "login"} {
		var found dbus.ObjectPath
		if err := l.call(ctx, servicePath, serviceIface+".ReadAlias", []any{&found}, alias); err != nil {
			return "", err
		}
		if found != "/" {
			return found, nil
		}
	}
	all, err := l.collections(ctx)
	if err != nil {
		return "", err
	}
	var passing dbus.ObjectPath // of this session only
	if err := l.call(ctx, servicePath, serviceIface+".ReadAlias", []any{&passing}, "session"); err != nil {
		return "", err
	}
	login := servicePath + "/collection/login"
	if slices.Contains(all, login) {
		return login, nil
	}
	for _, c := range all {
		if c != passing {
			return c, nil
		}
	}
	return "/", nil
}

func (k *Keyring) makeHome(ctx context.Context, s *session) (dbus.ObjectPath, error) {
	if k.mayAsk(ctx) != nil {
		return "", errNoHome
	}
	var made, prompt dbus.ObjectPath
	err := s.call(ctx, servicePath, serviceIface+".CreateCollection", []any{&made, &prompt},
		map[string]dbus.Variant{collectionIface + ".Label": dbus.MakeVariant("Login")}, "default")
	if err != nil || made != "/" {
		return made, err
	}
	result, err := k.ask(ctx, s, prompt)
	if errors.Is(err, errDismissed) {
		return "", errNoHome
	}
	if made, _ = result.Value().(dbus.ObjectPath); err == nil && (made == "/" || made == "") {
		err = errNoHome
	}
	return made, err
}
