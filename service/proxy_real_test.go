//go:build real

package service

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/service/lab"
)

// encrypted puts TLS in front of a server, and gives its URL and the file of its
// certificate.
func encrypted(t *testing.T, server *lab.Server) (at, ca string) {
	t.Helper()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(lab.EndBodies(&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorLog: stdlog.New(io.Discard, "", 0),
	}))
	s.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, ca
}

// said runs a program and gives everything that it says, of its two outputs
// together, whatever it ends with.
func said(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestRealT18CurlAndCaldavReachAnEncryptedServerWithoutAPassword(t *testing.T) {
	server := lab.Radicale(t)
	at, ca := encrypted(t, server)
	d := home(t)
	d.start()
	a := d.asker()
	_, err := server.Make(t.Context(), "work")
	d.must(err)
	d.write("pw", lab.AlicePassword+"\n")
	d.account("work", "dav", "url", at+"/", "ca-file", ca, "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")})

	path := a.ask("Shell.Proxy", map[string]any{"account": "work"})["address"].(string)
	curl := func(args ...string) string {
		return said(t, "curl", append([]string{"-sSv", "--unix-socket", path, "-w", "status %{http_code}\n"}, args...)...)
	}
	var everything strings.Builder
	try := func(want string, args ...string) {
		t.Helper()
		got := curl(args...)
		everything.WriteString(got)
		if !strings.Contains(got, want) {
			t.Errorf("curl %q: no %q in\n%s", args, want, got)
		}
	}
	propfind := []string{"-X", "PROPFIND", "-H", "Depth: 1"}
	try("<href>/alice/work/</href>", append(propfind, "http://localhost/alice/")...)
	try("status 207", append(propfind, "-u", "mallory:guess", "http://localhost/alice/")...)
	try("status 405", "-T", "/dev/null", "http://localhost/alice/work/x.ics")
	try("status 400", "--request-target", "http://evil.example/", "http://localhost/")
	try("status 403", append(propfind, "http://localhost/bob/")...) // Radicale's own word

	address, cookie, _ := a.stream("Account.OpenProxy", "work", map[string]any{"read-only": false}, map[string]any{"address_type": "tcp"})
	python := func(args ...string) string {
		return tool(t, "", "/usr/bin/python3", append([]string{"testdata/caldavcal.py", "http://" + address + "/", "me", cookie, "work"}, args...)...)
	}
	python("add", "one", "Through a proxy", "2026-03-04")
	python("add", "two", "Another", "2026-05-06")
	python("edit", "one", "Edited through a proxy")
	if got := python("between", "2026-03-01", "2026-03-31"); got != "Edited through a proxy\n" {
		t.Errorf("%q", got)
	}
	python("remove", "two")
	resp, err := server.Do(t.Context(), "GET", "/alice/work/", "")
	d.must(err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !bytes.Contains(body, []byte("Edited through a proxy")) || bytes.Contains(body, []byte("Another")) {
		t.Errorf("on the server: %s", body)
	}
	for args, want := range map[string]string{"-sS": "401", "-sSu x:" + strings.Repeat("0", 32): "401", "-sSH Host:evil.example -u x:" + cookie: "403"} {
		got := said(t, "curl", append(strings.Fields(args), "-w", "%{http_code}", "http://"+address+"/alice/")...)
		everything.WriteString(got)
		if !strings.HasSuffix(got, want) {
			t.Errorf("curl %s: %s", args, got)
		}
	}
	d.hidden(everything.String())
}

// hidden demands that no password is in a text, nor in the log.
func (d *rig) hidden(text string) {
	d.Helper()
	for _, where := range []string{text, d.log.String()} {
		for _, secret := range []string{lab.AlicePassword, "YWxpY2U6"} { // "alice:" in Base64
			if i := strings.Index(where, secret); i >= 0 {
				d.Errorf("a password shows: …%s…", where[max(0, i-60):min(len(where), i+60)])
			}
		}
	}
}

func TestRealAProxyFollowsTheAccountAndHasNoneForAFolder(t *testing.T) {
	answers := func(text string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) }))
		t.Cleanup(s.Close)
		return s
	}
	old, moved := answers("old"), answers("moved")
	d, a := withFolder(t)
	d.account("work", "dav", "url", old.URL+"/")
	path := a.ask("Shell.Proxy", map[string]any{"account": "work"})["address"].(string)
	get := func() string { return said(t, "curl", "-sS", "--unix-socket", path, "http://localhost/") }
	if got := get(); got != "old" {
		t.Errorf("%q", got)
	}
	d.must(d.c.UpdateAccount(t.Context(), "work", map[string]any{"url": moved.URL + "/"}, nil))
	if got := get(); got != "moved" {
		t.Errorf("after a change: %q", got)
	}
	a.ask("Properties.Set", map[string]any{"object": "work", "interface": "Account", "property": "Enabled", "value": false})
	if got := get(); !strings.Contains(got, "disabled") {
		t.Errorf("of a disabled account: %q", got)
	}
	if err := a.c.Call(t.Context(), "Shell.Proxy", map[string]any{"account": "here"}, nil); err == nil || !strings.Contains(err.Error(), "has no server") {
		t.Errorf("of a folder: %v", err)
	}
}
