package web

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// certificate makes one for hosts, signed by another or by itself.
func certificate(t *testing.T, until time.Time, by *tls.Certificate, hosts ...string) tls.Certificate {
	t.Helper()
	return certificateOf(t, strong(t), time.Now().Add(-48*time.Hour), until, by, hosts...)
}

func strong(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificateOf(t *testing.T, key crypto.Signer, from, until time.Time, by *tls.Certificate, hosts ...string) tls.Certificate {
	t.Helper()
	var err error
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: hosts,
		NotBefore: from, NotAfter: until, IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signer := c, any(key)
	if by != nil {
		if parent, err = x509.ParseCertificate(by.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		signer = by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsOnSocket is an HTTPS server on a Unix socket; it tells the SNI it saw.
func tlsOnSocket(t *testing.T, conf *tls.Config) (path string, names func() string) {
	t.Helper()
	var sni atomic.Value
	sni.Store("")
	cert := conf.Certificates[0]
	conf.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		sni.Store(h.ServerName)
		return &cert, nil
	}
	conf.Certificates = nil
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: tls.NewListener(l, conf), Config: &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }),
	}}
	s.Start()
	t.Cleanup(s.Close)
	return path, func() string { return sni.Load().(string) }
}

func TestScenario72TLSInsideASocketIsOfTheURLsHost(t *testing.T) {
	year := time.Now().Add(365 * 24 * time.Hour)
	ca := certificate(t, year, nil, "ca")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	good := certificate(t, year, &ca, "dav.example.org")
	expired := certificate(t, time.Now().Add(-24*time.Hour), &ca, "dav.example.org")
	self := certificate(t, year, nil, "dav.example.org")
	other := certificate(t, year, &ca, "other.example.org")
	early := certificateOf(t, strong(t), year.Add(-24*time.Hour), year, &ca, "dav.example.org")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	worst := certificateOf(t, weak, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour), nil, "other.example.org")
	pin := func(c tls.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Certificate[0])) }
	for name, c := range map[string]struct {
		cert    tls.Certificate
		opt     Options
		most    uint16
		problem string
		shown   string // everything that a person is told
	}{
		"a known authority":        {good, Options{CAFile: caFile}, 0, "", ""},
		"an unknown authority":     {good, Options{}, 0, "untrusted", "unknown-authority"},
		"signed by itself":         {self, Options{CAFile: caFile}, 0, "untrusted", "unknown-authority"},
		"expired":                  {expired, Options{CAFile: caFile}, 0, "expired", "expired"},
		"everything at once":       {worst, Options{}, 0, "expired", "unknown-authority expired wrong-host weak"},
		"not valid yet":            {early, Options{CAFile: caFile}, 0, "expired", "not-yet-valid"},
		"for another host":         {other, Options{CAFile: caFile}, 0, "host", "wrong-host"},
		"pinned":                   {self, Options{Pin: pin(self)}, 0, "", ""},
		"pinned, another":          {good, Options{CAFile: caFile, Pin: pin(self)}, 0, "untrusted", "not-pinned"},
		"an old version of TLS":    {good, Options{CAFile: caFile}, tls.VersionTLS11, "invalid", ""},
		"an old version and a pin": {self, Options{Pin: pin(self)}, tls.VersionTLS11, "invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path, sni := tlsOnSocket(t, &tls.Config{Certificates: []tls.Certificate{c.cert}, MinVersion: tls.VersionTLS10, MaxVersion: c.most})
			c.opt.Route = via(t, "unix:"+path)
			refused := make(chan *Shown, 2)
			c.opt.Refused = func(s *Shown) { refused <- s }
			cl := client(t, c.opt)
			_, text, err := do(t, cl, "GET", "https://dav.example.org:8443/", "")
			var steps []string
			perr := cl.Probe(t.Context(), parse(t, "https://dav.example.org:8443/"), func(step, _ string, err error) { steps = append(steps, step) })
			if strings.Join(steps, " ") != "stat connect uid tls" {
				t.Errorf("steps %q", steps)
			}
			if len(refused) != map[bool]int{true: 2}[c.shown != ""] {
				t.Errorf("%d certificates were shown", len(refused))
			}
			for len(refused) > 0 {
				s := <-refused
				block, _ := pem.Decode([]byte(s.PEM()))
				if got := strings.Join(s.Problems(time.Now()), " "); got != c.shown || s.Pin() != pin(c.cert) || s.Host != "dav.example.org:8443" || !bytes.Equal(block.Bytes, c.cert.Certificate[0]) {
					t.Errorf("problems %q, want %q; of %s", got, c.shown, s.Host)
				}
			}
			if c.problem == "" {
				if err != nil || perr != nil || text != "dav.example.org:8443" || sni() != "dav.example.org" {
					t.Errorf("%q, SNI %q, %v, %v", text, sni(), err, perr)
				}
				return
			}
			for _, err := range []error{err, perr} {
				if p, ok := errors.AsType[*Cert](err); !ok || p.CertReason() != c.problem || !strings.Contains(err.Error(), "dav.example.org") {
					t.Errorf("%v, want %q", err, c.problem)
				}
			}
		})
	}
}

func TestWhatIsNoTLSServerIsToldSo(t *testing.T) {
	j := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	c := client(t, Options{})
	_, _, err := do(t, c, "GET", strings.Replace(j.URL, "http:", "https:", 1), "")
	if p, ok := errors.AsType[*Cert](err); !ok || p.Reason != "invalid" {
		t.Errorf("%v", err)
	}
}

func TestScenario72PinsAndFilesThatMakeNoSenseAreRefusedAtOnce(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	hex := fmt.Sprintf("%X", sum)
	colons := strings.TrimSuffix(strings.Join(strings.SplitAfterN(fmt.Sprintf("% X", sum), " ", -1), ":"), ":")
	for _, pin := range []string{hex, strings.ToLower(hex), strings.ReplaceAll(colons, " ", ""), "sha256:" + hex, "SHA256 Fingerprint=" + hex, "sha256/" + base64.StdEncoding.EncodeToString(sum[:])} {
		if got, err := parsePin(pin); err != nil || string(got) != string(sum[:]) {
			t.Errorf("%q: %x, %v", pin, got, err)
		}
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Pin: "abc"}, {Pin: hex[:62]}, {Pin: hex + "00"}, {Pin: "x" + hex[1:]}, {CAFile: file}, {CAFile: file + "-none"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
