package secrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// What went wrong, in this package's words.
var (
	errMissing   = errors.New("the keyring has no such secret")
	errLocked    = errors.New("unlock it, or answer the question it asks")
	errDismissed = fmt.Errorf("%w (it was sent away)", errLocked)
	errNoService = errors.New("there is no keyring")
	errNoHome    = errors.New("the keyring has no collection to store secrets in; create one with the keyring's own program")
)

// stale reports whether the session, or an item that was just found, is gone.
func stale(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return false
	}
	switch e.Name {
	case "org.freedesktop.Secret.Error.NoSession", "org.freedesktop.Secret.Error.NoSuchObject",
		"org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod":
		return true
	}
	return false
}

// explain gives an error the kind that callers act on.
func explain(op, on string, err error) error {
	if err == nil {
		return nil
	}
	kind := engine.Offline
	e, isBus := errors.AsType[dbus.Error](err)
	switch {
	case errors.Is(err, errMissing):
		kind = engine.AuthRequired
	case errors.Is(err, errNoHome):
		kind = engine.NotFound
	case errors.Is(err, errLocked), isBus && e.Name == "org.freedesktop.Secret.Error.IsLocked":
		kind = engine.SecretLocked
	case errors.Is(err, errCipher):
		kind = engine.Internal
	case errors.Is(err, context.Canceled):
		kind = engine.Cancelled
	case isBus && e.Name == "org.freedesktop.DBus.Error.ServiceUnknown":
		err = errNoService
	case !errors.Is(err, errNoService):
		err = fmt.Errorf("the keyring does not work: %w", err)
	}
	return engine.Fail(kind, op, on, "%w", err)
}
