package dav

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"davbus.org/davbus/engine"
)

// Marks as the transports make them; nothing else is known of them here.
type (
	noRoute  struct{ error }
	stranger struct{ error }
	badCert  struct{ error }
	bomb     struct{ error }
	leadsOff struct{ error }
	late     struct{ error }
)

func (noRoute) RouteUnavailable() bool { return true }
func (stranger) PeerRefused() bool     { return true }
func (c badCert) CertReason() string   { return c.Error() }
func (bomb) BodyTooLarge() bool        { return true }
func (leadsOff) RedirectTo() *url.URL  { return &url.URL{} }
func (late) Timeout() bool             { return true }
func (late) Temporary() bool           { return true }

func TestEveryFailureOfTheTransportHasAKind(t *testing.T) {
	x := errors.New("x")
	for _, c := range []struct {
		err  error
		kind engine.Kind
	}{
		{noRoute{syscall.ECONNREFUSED}, engine.Offline},
		{stranger{x}, engine.PeerRefused},
		{badCert{errors.New("untrusted")}, engine.CertUntrusted},
		{badCert{errors.New("expired")}, engine.CertExpired},
		{badCert{errors.New("host")}, engine.CertHostMismatch},
		{badCert{errors.New("revoked")}, engine.CertRevoked},
		{badCert{errors.New("invalid")}, engine.CertInvalid},
		{x509.UnknownAuthorityError{}, engine.CertUntrusted},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, engine.CertHostMismatch},
		{x509.CertificateInvalidError{Reason: x509.Expired}, engine.CertExpired},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, engine.CertInvalid},
		{bomb{x}, engine.TooLarge},
		{leadsOff{x}, engine.ServerNonconforming},
		{late{x}, engine.Timeout},
		{context.DeadlineExceeded, engine.Timeout},
		{context.Canceled, engine.Cancelled},
		{os.ErrDeadlineExceeded, engine.Timeout},
		{&net.DNSError{IsNotFound: true}, engine.HostNotFound},
		{&net.DNSError{IsTimeout: true}, engine.Offline},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, engine.ConnectionRefused},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, engine.Offline},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, engine.Offline},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, engine.ConnectionLost},
		{io.ErrUnexpectedEOF, engine.ConnectionLost},
		{io.EOF, engine.ConnectionLost},
		{&malformed{"x"}, engine.ServerNonconforming},
		{&elsewhere{&url.URL{}}, engine.ServerNonconforming},
		{&tooLarge{1}, engine.TooLarge},
		{engine.Fail(engine.SecretLocked, "read", "x", ""), engine.SecretLocked},
		{engine.Fail(engine.AuthRequired, "read", "x", ""), engine.AuthRequired},
	} {
		if got := kindOfNet(t.Context(), fmt.Errorf("wrapped: %w", c.err)); got != c.kind {
			t.Errorf("%T %v is %v, want %v", c.err, c.err, got, c.kind)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := kindOfNet(ctx, io.EOF); got != engine.Cancelled {
		t.Errorf("after a cancel: %v", got)
	}
}
