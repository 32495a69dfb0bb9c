//go:build real

package service

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/storage/memory"
)

// tlsServer is one whose certificate nobody signed; what it logs is of no use.
func tlsServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func TestACertificateIsAskedAboutAndExactlyThisOneIsPinned(t *testing.T) {
	server := tlsServer(davserver.New(davserver.Options{Backend: &memory.Source{}, User: "user"}))
	t.Cleanup(server.Close)
	d := home(t)
	d.start()
	d.account("work", "dav", "url", server.URL+"/", "auth", "none")
	a := &scripted{certificate: func(host, text string, _ []string) (bool, error) {
		block, _ := pem.Decode([]byte(text))
		if block == nil || !slices.Equal(block.Bytes, server.Certificate().Raw) || !strings.Contains(server.URL, host) {
			t.Errorf("%s shows %s", host, text)
		}
		return true, nil
	}}
	d.agent(a, nil)
	job, err := d.c.Check(t.Context(), "work")
	d.must(err)
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	if result != "success" || a.said() != "certificate of work: unknown-authority" {
		t.Errorf("%s %v; asked %q", result, report.Plain(), a.said())
	}
	text, err := os.ReadFile(filepath.Join(d.Config, "davbus/accounts/work.yaml"))
	d.must(err)
	if want := fmt.Sprintf("tls-pin: \"%x\"", sha256.Sum256(server.Certificate().Raw)); !strings.Contains(string(text), want) {
		t.Errorf("the file has no %s:\n%s", want, text)
	}
}

func TestACertificateThatTheUserRejectsStaysRefused(t *testing.T) {
	server := tlsServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	d := home(t)
	d.start()
	d.account("work", "dav", "url", server.URL+"/", "auth", "none")
	d.agent(&scripted{certificate: func(string, string, []string) (bool, error) { return false, nil }}, nil)
	job, err := d.c.Check(t.Context(), "work")
	d.must(err)
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	if result != "failed" || report.Str("error-name") != client.Name+".Error.CertUntrusted" {
		t.Errorf("%s %v", result, report.Plain())
	}
}
