package remote

import (
	"context"
	"errors"

	"davbus.org/davbus/engine"
)

// kinds are the error names of the protocol, each with what it means here.
var kinds = map[string]engine.Kind{
	"not-found":       engine.NotFound,
	"exists":          engine.AlreadyExists,
	"changed":         engine.Changed,
	"invalid-item":    engine.InvalidItem,
	"too-large":       engine.TooLarge,
	"read-only":       engine.ReadOnly,
	"quota":           engine.QuotaExceeded,
	"busy":            engine.Busy,
	"locked":          engine.Busy,
	"temporary":       engine.Offline,
	"no-connection":   engine.Offline,
	"timeout":         engine.Timeout,
	"auth-required":   engine.AuthRequired,
	"auth-failed":     engine.AuthFailed,
	"forbidden":       engine.Forbidden,
	"collection-gone": engine.CollectionGone,
	"not-supported":   engine.NotSupported,
	"misconfigured":   engine.Invalid,
	"cancelled":       engine.Cancelled,
	"io":              engine.StorageError,
	"generic":         engine.PluginError,
}

// NameOf gives the protocol's name for an error, for the side that serves.
func NameOf(err error) string {
	switch engine.KindOf(err) {
	case engine.NotFound:
		return "not-found"
	case engine.AlreadyExists:
		return "exists"
	case engine.Changed:
		return "changed"
	case engine.InvalidItem:
		return "invalid-item"
	case engine.TooLarge:
		return "too-large"
	case engine.ReadOnly:
		return "read-only"
	case engine.QuotaExceeded:
		return "quota"
	case engine.Busy:
		return "busy"
	case engine.Offline, engine.ConnectionLost, engine.ConnectionRefused, engine.HostNotFound, engine.ServerBusy:
		return "temporary"
	case engine.Timeout:
		return "timeout"
	case engine.AuthRequired, engine.SecretLocked:
		return "auth-required"
	case engine.AuthFailed:
		return "auth-failed"
	case engine.Forbidden, engine.Denied:
		return "forbidden"
	case engine.CollectionGone:
		return "collection-gone"
	case engine.NotSupported:
		return "not-supported"
	case engine.Invalid:
		return "misconfigured"
	case engine.Cancelled:
		return "cancelled"
	case engine.StorageError:
		return "io"
	}
	return "generic"
}

// asEngine gives an error of a call the kind that the engine acts on. What the
// transport knows, it tells by small interfaces, so that neither imports the
// other.
func asEngine(op, on string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e
	}
	kind := engine.PluginError
	var named interface{ ErrorName() string }
	var fault interface{ PluginFault() string }
	switch {
	case errors.Is(err, context.Canceled):
		kind = engine.Cancelled
	case errors.As(err, &fault):
		kind = map[string]engine.Kind{"gone": engine.PluginGone, "missing": engine.PluginMissing, "timeout": engine.Timeout, "hung": engine.Timeout}[fault.PluginFault()]
		if kind == 0 {
			kind = engine.PluginProtocol
		}
	case errors.As(err, &named):
		if k, ok := kinds[named.ErrorName()]; ok {
			kind = k
		}
	case errors.Is(err, context.DeadlineExceeded):
		kind = engine.Timeout
	}
	return &engine.Error{Op: op, On: on, Kind: kind, Err: err}
}

// broken is an answer that makes no sense.
func broken(op, on, format string, args ...any) error {
	return engine.Fail(engine.PluginProtocol, op, on, format, args...)
}
