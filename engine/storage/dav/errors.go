package dav

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"davbus.org/davbus/engine"
)

// kindOfNet says what it means that a request got no answer, or only part of
// one. The transport marks its errors with one small method each.
func kindOfNet(ctx context.Context, err error) engine.Kind {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e.Kind // of the login
	}
	if k, ok := markedKind(err); ok {
		return k
	}
	var (
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		late    net.Error
	)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled):
		return engine.Cancelled
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return engine.HostNotFound
		}
		return engine.Offline
	case errors.Is(err, syscall.ECONNREFUSED):
		return engine.ConnectionRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return engine.Offline
	case errors.As(err, &unknown):
		return engine.CertUntrusted
	case errors.As(err, &host):
		return engine.CertHostMismatch
	case errors.As(err, &invalid):
		if invalid.Reason == x509.Expired {
			return engine.CertExpired
		}
		return engine.CertInvalid
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return engine.Timeout
	case errors.As(err, new(*malformed)), errors.As(err, new(*elsewhere)):
		return engine.ServerNonconforming
	}
	return engine.ConnectionLost
}

func markedKind(err error) (engine.Kind, bool) {
	var (
		route    interface{ RouteUnavailable() bool }
		peer     interface{ PeerRefused() bool }
		cert     interface{ CertReason() string }
		large    interface{ BodyTooLarge() bool }
		redirect interface{ RedirectTo() *url.URL }
	)
	switch {
	case errors.As(err, &peer):
		return engine.PeerRefused, true
	case errors.As(err, &route):
		return engine.Offline, true
	case errors.As(err, &cert):
		k, ok := map[string]engine.Kind{
			"untrusted": engine.CertUntrusted, "expired": engine.CertExpired,
			"host": engine.CertHostMismatch, "revoked": engine.CertRevoked,
		}[cert.CertReason()]
		if !ok {
			k = engine.CertInvalid
		}
		return k, true
	case errors.As(err, &large):
		return engine.TooLarge, true
	case errors.As(err, &redirect):
		return engine.ServerNonconforming, true
	}
	return 0, false
}

// kindOfStatus says what a status means for a request about a collection or an
// account; why is the precondition that failed.
func kindOfStatus(status int, why string) engine.Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return engine.AuthFailed
	case why == "no-uid-conflict":
		return engine.AlreadyExists
	case why == "max-resource-size", status == http.StatusRequestEntityTooLarge:
		return engine.TooLarge
	case why == "quota-not-exceeded", status == http.StatusInsufficientStorage:
		return engine.QuotaExceeded
	case status == http.StatusForbidden:
		return engine.Forbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return engine.CollectionGone
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return engine.ServerBusy
	case status == http.StatusPreconditionFailed:
		return engine.Changed
	case status == http.StatusLocked:
		return engine.Busy
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return engine.Timeout
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return engine.NotSupported
	case status >= 500:
		return engine.ServerError
	}
	return engine.ServerNonconforming
}

// statusError is an error for an answer that means failure.
func statusError(op, on string, resp *http.Response, why string) *engine.Error {
	kind := kindOfStatus(resp.StatusCode, why)
	e := engine.Fail(kind, op, on, "%s", sayStatus(resp.StatusCode, why))
	if kind == engine.AuthFailed {
		e.Err = fmt.Errorf("%w; check user name and password", e.Err)
	}
	e.Status = resp.StatusCode
	e.RetryAfter = retryAfter(resp.Header, time.Now())
	return e
}

func sayStatus(status int, why string) string {
	s := fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	if why != "" {
		s += " (" + why + ")"
	}
	return s
}

// ambiguous reports whether the server may have done what was asked although
// no answer says so.
func ambiguous(err error) bool {
	switch engine.KindOf(err) {
	case engine.ConnectionLost, engine.Timeout, engine.Cancelled:
		return true
	case engine.ServerError, engine.ServerBusy:
		e, ok := errors.AsType[*engine.Error](err)
		return ok && e.Status != http.StatusServiceUnavailable && e.Status != http.StatusTooManyRequests
	}
	return errors.Is(err, io.ErrUnexpectedEOF)
}
