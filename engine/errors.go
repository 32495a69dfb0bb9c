package engine

import (
	"errors"
	"fmt"
	"time"
)

// A Kind says what went wrong in a way that a caller can act on. Each has one
// name on the bus: see dbusapi/errors.go, where a test finds them all.
type Kind uint8

const (
	Internal Kind = iota // never expected: a bug
	Invalid              // an argument, option or parameter makes no sense
	NotSupported
	Denied // this caller may not
	LimitExceeded
	NotFound
	AlreadyExists
	Disabled
	Busy
	InvalidConfig // the message names file, line and column
	Managed       // defined in a file we do not write
	Offline       // no network, or the route is unavailable
	Timeout
	Cancelled
	AuthRequired // no secret
	AuthFailed   // the server refused user or secret
	SecretLocked
	Forbidden // the server: 403
	CertUntrusted
	CertExpired
	CertHostMismatch
	CertRevoked
	CertInvalid
	ConnectionRefused
	ConnectionLost
	HostNotFound
	ServerError // 5xx
	ServerBusy  // 429, 503
	ServerNonconforming
	CollectionGone // 404 or 410 on the collection
	ReadOnly
	QuotaExceeded // 507, or the disk is full
	InvalidItem   // refused, or not parsable
	TooLarge
	Changed           // the item changed meanwhile
	NeedsConfirmation // deletions are held; the rest was done
	PluginMissing
	PluginGone
	PluginProtocol
	PluginError
	PeerRefused
	StorageError // local files or state
	KindCount    // how many there are; not a kind
)

var kindTexts = [KindCount]string{
	"internal error", "invalid", "not supported", "access denied", "limit exceeded", "not found", "already exists",
	"disabled", "busy", "invalid configuration", "managed elsewhere", "offline", "timed out", "cancelled",
	"password needed", "login refused", "keyring is locked", "forbidden",
	"certificate not trusted", "certificate expired", "certificate is for another host", "certificate revoked", "certificate invalid",
	"connection refused", "connection lost", "host not found", "server error", "server is busy", "server does not conform",
	"collection is gone", "read-only", "quota exceeded", "invalid item", "too large", "changed meanwhile", "needs confirmation",
	"plugin missing", "plugin gone", "plugin broke the protocol", "plugin failed", "peer refused", "storage error",
}

func (k Kind) String() string {
	if k < KindCount {
		return kindTexts[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An Error says what could not be done, to what, and why; its Kind says what the
// caller may do about it.
type Error struct {
	Op   string // "list", "replace"
	On   string // "work/home/a.ics"; may be ""
	Kind Kind
	Err  error // may be nil

	Status     int           // HTTP status, if there was one
	RetryAfter time.Duration // as the server asked; 0 if it did not
}

func (e *Error) Error() string {
	s := "cannot " + e.Op
	if e.On != "" {
		s += " " + e.On
	}
	// A cause of the same kind says it too, and nearer to what happened.
	if cause, ok := errors.AsType[*Error](e.Err); !ok || cause.Kind != e.Kind {
		s += ": " + e.Kind.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Fail makes an Error from a format; %w keeps the cause.
func Fail(kind Kind, op, on, format string, args ...any) *Error {
	var err error
	if format != "" {
		err = fmt.Errorf(format, args...)
	}
	return &Error{Op: op, On: on, Kind: kind, Err: err}
}

// KindOf finds the kind of an error; Internal for one that has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// IsKind reports whether err is of kind k; a nil error is of none.
func IsKind(err error, k Kind) bool { return err != nil && KindOf(err) == k }
