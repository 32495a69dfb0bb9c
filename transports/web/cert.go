package web

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Shown is the chain of certificates that a server showed and that was not
// accepted, for a person to decide about.
type Shown struct {
	Host  string // HOST or HOST:PORT, as connected to
	chain []*x509.Certificate
	roots *x509.CertPool // nil for those of the system
	pin   string         // that was wanted; "" if none
}

// PEM is the chain as text, the server's own certificate first.
func (s *Shown) PEM() string {
	var b strings.Builder
	for _, c := range s.chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}

// Pin is the value of tls-pin that accepts exactly this certificate.
func (s *Shown) Pin() string { return fmt.Sprintf("%x", sha256.Sum256(s.chain[0].Raw)) }

// Problems are everything that is wrong with it, of "unknown-authority",
// "expired", "not-yet-valid", "wrong-host", "weak" and "not-pinned": who pins it
// accepts all of them.
func (s *Shown) Problems(now time.Time) []string {
	leaf := s.chain[0]
	var all []string
	add := func(wrong bool, problem string) {
		if wrong && !slices.Contains(all, problem) {
			all = append(all, problem)
		}
	}
	rest := x509.NewCertPool()
	for _, c := range s.chain[1:] {
		rest.AddCert(c)
	}
	// As of a moment when it was valid: its time is another question.
	_, err := leaf.Verify(x509.VerifyOptions{Roots: s.roots, Intermediates: rest, CurrentTime: leaf.NotAfter.Add(-time.Second)})
	unsafe, _ := errors.AsType[x509.InsecureAlgorithmError](err)
	add(err != nil, "unknown-authority")
	for _, c := range s.chain {
		add(now.After(c.NotAfter), "expired")
		add(now.Before(c.NotBefore), "not-yet-valid")
	}
	host := s.Host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	add(leaf.VerifyHostname(strings.Trim(host, "[]")) != nil, "wrong-host")
	key, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	add(unsafe != 0 || isRSA && key.N.BitLen() < 2048, "weak")
	add(s.pin != "", "not-pinned")
	return all
}

// An unpinned certificate is not the one that was pinned.
type unpinned struct{ chain []*x509.Certificate }

func (e *unpinned) Error() string {
	if len(e.chain) == 0 {
		return errPin.Error()
	}
	return fmt.Sprintf("%v but %x", errPin, sha256.Sum256(e.chain[0].Raw))
}

func (e *unpinned) Unwrap() error { return errPin }

// shown finds the chain in the error of a handshake; nil if it was not about one.
func (c *Client) shown(cert *Cert) *Shown {
	s := &Shown{Host: cert.Host, roots: c.wire.TLSClientConfig.RootCAs, pin: c.opt.Pin}
	if e, ok := errors.AsType[*unpinned](cert.Err); ok {
		s.chain = e.chain
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](cert.Err); ok {
		s.chain = e.UnverifiedCertificates
	}
	if len(s.chain) == 0 {
		return nil
	}
	return s
}

// refused tells of a certificate that was not accepted.
func (c *Client) refused(err error) error {
	if cert, ok := errors.AsType[*Cert](err); ok && c.opt.Refused != nil {
		if s := c.shown(cert); s != nil {
			c.opt.Refused(s)
		}
	}
	return err
}
