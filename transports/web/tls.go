package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// A Cert is a certificate that was not accepted, or a connection that was not
// made for it. There is no switch to accept it all the same: name its authority
// (ca-file), pin it (tls-pin), or put a proxy of your own behind a socket.
type Cert struct {
	Host   string
	Reason string // "untrusted", "expired", "host", "revoked", "invalid"
	Err    error
}

func (e *Cert) Error() string {
	what := map[string]string{
		"untrusted": "the certificate of %s is not signed by an authority that this system trusts; if it is right, name the authority as ca-file or the certificate as tls-pin",
		"expired":   "the certificate of %s has expired or is not valid yet; the server's owner must renew it (or the clock here is wrong)",
		"host":      "the certificate shown for %s belongs to another host; check the url",
		"revoked":   "the certificate of %s was revoked",
	}[e.Reason]
	if what == "" {
		what = "no secure connection to %s"
	}
	return fmt.Sprintf(what, e.Host) + ": " + e.Err.Error()
}

func (e *Cert) Unwrap() error { return e.Err }

// CertReason marks the error for callers that do not know this package.
func (e *Cert) CertReason() string { return e.Reason }

var errPin = errors.New("its SHA-256 is not the pinned one")

// tlsError gives the errors of a handshake their reason; others pass.
func tlsError(u *url.URL, err error) error {
	if _, ok := errors.AsType[*Cert](err); ok {
		return err
	}
	reason := ""
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case errors.Is(err, errPin), errors.As(err, &unknown):
		reason = "untrusted"
	case errors.As(err, &host):
		reason = "host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		reason = "expired"
	case errors.As(err, &alert) && strings.Contains(alert.Error(), "revoked"):
		reason = "revoked"
	case errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert),
		strings.Contains(err.Error(), "tls: "):
		reason = "invalid"
	default:
		return err
	}
	return &Cert{u.Host, reason, err}
}

func tlsConfig(o Options) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca-file cannot be read: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca-file %s holds no certificate in PEM form", o.CAFile)
		}
		conf.RootCAs = pool
	}
	if o.Pin == "" {
		return conf, nil
	}
	pin, err := parsePin(o.Pin)
	if err != nil {
		return nil, err
	}
	// The pin takes the place of the authorities: it names one certificate, so
	// who signed it and for which name says nothing more.
	conf.InsecureSkipVerify = true
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) > 0 {
			if sum := sha256.Sum256(s.PeerCertificates[0].Raw); bytes.Equal(sum[:], pin) {
				return nil
			}
		}
		return &unpinned{s.PeerCertificates}
	}
	return conf, nil
}

// parsePin reads a SHA-256 in hexadecimal, with colons or without, or base64.
func parsePin(s string) ([]byte, error) {
	t := strings.TrimSpace(s)
	if i := strings.Index(strings.ToLower(t), "fingerprint="); i >= 0 {
		t = t[i+len("fingerprint="):]
	} else if len(t) > 7 && strings.EqualFold(t[:6], "sha256") {
		t = strings.TrimLeft(t[6:], ":/-= ")
	}
	if b, err := hex.DecodeString(strings.ReplaceAll(t, ":", "")); err == nil && len(b) == sha256.Size {
		return b, nil
	}
	if b, err := base64.StdEncoding.DecodeString(t); err == nil && len(b) == sha256.Size {
		return b, nil
	}
	return nil, fmt.Errorf("tls-pin is not a SHA-256: 64 hexadecimal digits, as openssl x509 -fingerprint -sha256 prints them")
}
