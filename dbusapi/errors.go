package dbusapi

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

const (
	standard = "org.freedesktop.DBus.Error."
	ours     = BusName + ".Error."
)

// errorNames is the only place where a kind of error gets its name on the bus.
// The names are part of the contract: never change one, only add.
var errorNames = [engine.KindCount]string{
	engine.Internal:            ours + "Internal",
	engine.Invalid:             standard + "InvalidArgs",
	engine.NotSupported:        standard + "NotSupported",
	engine.Denied:              standard + "AccessDenied",
	engine.LimitExceeded:       standard + "LimitsExceeded",
	engine.NotFound:            ours + "NotFound",
	engine.AlreadyExists:       ours + "AlreadyExists",
	engine.Disabled:            ours + "Disabled",
	engine.Busy:                ours + "Busy",
	engine.InvalidConfig:       ours + "InvalidConfig",
	engine.Managed:             ours + "Managed",
	engine.Offline:             ours + "Offline",
	engine.Timeout:             ours + "Timeout",
	engine.Cancelled:           ours + "Cancelled",
	engine.AuthRequired:        ours + "AuthRequired",
	engine.AuthFailed:          ours + "AuthFailed",
	engine.SecretLocked:        ours + "SecretLocked",
	engine.Forbidden:           ours + "Forbidden",
	engine.CertUntrusted:       ours + "CertUntrusted",
	engine.CertExpired:         ours + "CertExpired",
	engine.CertHostMismatch:    ours + "CertHostMismatch",
	engine.CertRevoked:         ours + "CertRevoked",
	engine.CertInvalid:         ours + "CertInvalid",
	engine.ConnectionRefused:   ours + "ConnectionRefused",
	engine.ConnectionLost:      ours + "ConnectionLost",
	engine.HostNotFound:        ours + "HostNotFound",
	engine.ServerError:         ours + "ServerError",
	engine.ServerBusy:          ours + "ServerBusy",
	engine.ServerNonconforming: ours + "ServerNonconforming",
	engine.CollectionGone:      ours + "CollectionGone",
	engine.ReadOnly:            ours + "ReadOnly",
	engine.QuotaExceeded:       ours + "QuotaExceeded",
	engine.InvalidItem:         ours + "InvalidItem",
	engine.TooLarge:            ours + "TooLarge",
	engine.Changed:             ours + "PreconditionFailed",
	engine.NeedsConfirmation:   ours + "NeedsConfirmation",
	engine.PluginMissing:       ours + "PluginMissing",
	engine.PluginGone:          ours + "PluginGone",
	engine.PluginProtocol:      ours + "PluginProtocol",
	engine.PluginError:         ours + "PluginError",
	engine.PeerRefused:         ours + "PeerRefused",
	engine.StorageError:        ours + "StorageError",
}

// errorName names a kind; one that has no name is a bug of ours.
func errorName(k engine.Kind) string {
	if k < engine.KindCount && errorNames[k] != "" {
		return errorNames[k]
	}
	return errorNames[engine.Internal]
}

// ErrorReply makes the error that the bus carries of any error that a method
// returned. Its name tells a program what to do, its text tells a person what
// happened. What has a name already keeps it.
func ErrorReply(err error) *dbus.Error {
	if e, ok := errors.AsType[*dbus.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[dbus.Error](err); ok {
		return &e
	}
	kind := engine.KindOf(err)
	if _, known := errors.AsType[*engine.Error](err); !known {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			kind = engine.Timeout
		case errors.Is(err, context.Canceled), errors.Is(err, tree.ErrStopped), errors.Is(err, tree.ErrCallerGone):
			kind = engine.Cancelled
		}
	}
	return dbus.NewError(errorName(kind), []any{message(err.Error())})
}

// failureError is the error of a job that failed, as its caller gets it.
func failureError(f engine.Failure, fallback engine.Kind, otherwise string) error {
	if !f.Set {
		return dbus.NewError(errorName(fallback), []any{otherwise})
	}
	return dbus.NewError(errorName(f.Kind), []any{message(f.Message)})
}

// maxMessage bounds an error text: a server may send a page of HTML.
const maxMessage = 2048

func message(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return text(s)
}
