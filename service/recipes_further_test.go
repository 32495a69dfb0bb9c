//go:build real && further

package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	stdlog "log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// Every block of docs/recipes.md is used as it stands there, but for the names
// that a person is told to replace: files are written, servers run, accounts
// added by the command, and a calendar goes both ways over each.
func TestFurtherV3V4V5V6V7V8V15EveryRecipeOfTheDocsWorks(t *testing.T) {
	bin := t.TempDir()
	tool(t, "", "go", "build", "-o", bin, "./davbus")
	d := home(t)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := &recipes{rig: d, blocks: readRecipes(t), used: map[string]bool{}}
	r.upstream()
	d.start()
	for _, c := range []struct{ account, server string }{
		{"xandikos", "xandikos"}, {"certificate", "nginx"}, {"login", ""}, {"stunnel", "stunnel"}, {"socat", "socat"},
		{"ssh", "ssh"}, {"ssh-socket", "ssh-socket"}, {"ssh-command", ""}, {"proxy", ""}, {"pin", ""},
	} {
		t.Run(c.account, func(t *testing.T) {
			if c.server != "" {
				r.serve(t, c.server)
			}
			r.account(t, c.account)
		})
	}
	for name := range r.blocks {
		if !r.used[name] {
			t.Errorf("the block %q of docs/recipes.md is tried by nobody", name)
		}
	}
}

type recipes struct {
	*rig
	blocks map[string]string
	used   map[string]bool
	names  *strings.Replacer
}

// readRecipes gives the blocks of the document by what stands behind their
// language: "file nginx", "server nginx", "account login".
func readRecipes(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for i, part := range strings.Split(string(text), "\n```") {
		if head, body, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
			_, name, _ := strings.Cut(head, " ")
			blocks[name] = body
		}
	}
	return blocks
}

func (r *recipes) block(t *testing.T, name string) string {
	t.Helper()
	text, ok := r.blocks[name]
	if !ok {
		t.Fatalf("docs/recipes.md has no block %q", name)
	}
	r.used[name] = true
	return r.names.Replace(text)
}

// serve writes the file of a recipe, if it has one, and runs its server until the
// test of all ends.
func (r *recipes) serve(t *testing.T, name string) {
	t.Helper()
	if _, ok := r.blocks["file "+name]; ok {
		text := r.block(t, "file "+name)
		first, _, _ := strings.Cut(text, "\n")
		_, path, _ := strings.Cut(first, " ")
		if os.Geteuid() == 0 {
			text = strings.Replace(text, "daemon off;", "daemon off;\nuser root;", 1) // else its children are nobody
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := lab.Start(os.Environ(), "sh", "-c", "exec "+r.block(t, "server "+name))
	if err != nil {
		t.Fatal(err)
	}
	r.Cleanup(func() { p.Stop(10 * time.Second) })
	sockets := map[string]string{"nginx": "dav-login", "ssh-socket": "dav-there", "xandikos": "xandikos"}
	path := filepath.Join(r.Runtime, sockets[name]+".sock")
	if sockets[name] == "" {
		path = filepath.Join(r.Runtime, "dav-"+name+".sock")
	}
	if !lab.Within(patience, func() bool { return p.Ended() || accepts(path) }) || p.Ended() {
		t.Fatalf("it does not listen at %s\n%v", path, p)
	}
}

func accepts(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// account adds the account, has it checked, and syncs it with a folder.
func (r *recipes) account(t *testing.T, name string) {
	t.Helper()
	d := r.rig
	if _, ok := r.blocks[name]; ok {
		if got := tool(t, "", "sh", "-ec", r.block(t, name)); !strings.Contains(strings.ToLower(got), "sha256 fingerprint=") {
			t.Errorf("it prints %q", got)
		}
	}
	tool(t, "", "sh", "-ec", r.block(t, "account "+name))
	if name != "login" && name != "certificate" {
		d.must(d.c.SetSecret(t.Context(), name, "password", []byte("right"), client.Options{"store": "session"}))
	}
	if result, lines := d.check(name); result != "success" {
		t.Fatalf("check: %s\n%s\n%s", result, lines, d.log.String())
	}
	local := "local-" + name
	d.account(local, "vdir", "path", "~/"+local)
	_, err := d.c.AddGroup(t.Context(), "group-"+name, []string{name, local}, client.Options{"create-missing": []string{local}})
	d.must(err)
	d.sync("group-"+name, "success")
	calendar := map[bool]string{true: "calendar", false: "work"}[name == "xandikos"]
	d.write(filepath.Join(local, calendar, "new.ics"), vevent("new-"+name, "by "+name))
	if report := d.sync("group-"+name, "success"); report.Int("added") != 1 {
		t.Errorf("the event did not go up: %v", report.Plain())
	}
}

// upstream is dav.example.org: it demands a login, or a certificate, or a token
// that only nginx knows. Its authority, the keys and what else the document names
// are laid where it says.
func (r *recipes) upstream() {
	t := r.T
	server := davtest.New(t, davtest.Options{User: "me", Password: "right"})
	server.Calendar("work")
	ca := r.authority()
	conf := filepath.Join(r.Config, "davbus")
	r.must(os.MkdirAll(conf, 0o700))
	r.must(os.MkdirAll(filepath.Join(r.Share, "xandikos"), 0o700))
	r.must(os.WriteFile(filepath.Join(conf, "ca.pem"), ca.pem(), 0o600))
	own := ca.sign("me", r)
	r.must(os.WriteFile(filepath.Join(conf, "me.pem"), own.pem(), 0o600))
	r.must(os.WriteFile(filepath.Join(conf, "me.key"), own.key(r), 0o600))
	r.must(os.WriteFile(filepath.Join(conf, "login.conf"), []byte("proxy_set_header Authorization \"Bearer t0ken\";\n"), 0o600))

	to, err := url.Parse(server.URL)
	r.must(err)
	quiet := stdlog.New(io.Discard, "", 0)
	forward := func(known func(*http.Request) bool) http.Handler {
		return lab.EndBodies(&httputil.ReverseProxy{ErrorLog: quiet, Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			if known(p.In) {
				p.Out.SetBasicAuth("me", "right")
			}
		}})
	}
	front := httptest.NewUnstartedServer(forward(func(req *http.Request) bool {
		certs := req.TLS.PeerCertificates
		return len(certs) > 0 && certs[0].Subject.CommonName == "me" || req.Header.Get("Authorization") == "Bearer t0ken"
	}))
	front.Config.ErrorLog = quiet
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.pem())
	front.TLS = &tls.Config{Certificates: []tls.Certificate{ca.sign("dav.example.org", r).Certificate}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	front.StartTLS()
	t.Cleanup(front.Close)
	there := filepath.Join(r.Runtime, "radicale.sock")
	l, err := net.Listen("unix", there)
	r.must(err)
	behind := &httptest.Server{Listener: l, Config: &http.Server{Handler: forward(func(*http.Request) bool { return true }), ErrorLog: quiet}}
	behind.Start()
	t.Cleanup(behind.Close)

	sshConfig, login := lab.SSH(t, "gate.example.org")
	at := front.Listener.Addr().(*net.TCPAddr)
	r.names = strings.NewReplacer("dav.example.org:443", at.String(), "dav.example.org 443", strings.ReplaceAll(at.String(), ":", " "),
		"proxy.example.org:3128", connectProxy(t), "ssh -", "ssh -F "+sshConfig+" -", "me@gate.example.org", login+"@gate.example.org",
		"/run/radicale.sock", there, "/home/me", r.Dir, "/run/user/1000", r.Runtime)
}

// connectProxy is an HTTP proxy that knows CONNECT alone.
func connectProxy(t testing.TB) string {
	t.Helper()
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(out, buf)
			out.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(in, out)
		in.Close()
		<-done
	}))
	t.Cleanup(p.Close)
	return p.Listener.Addr().String()
}

type pair struct{ tls.Certificate }

// authority makes one that signs what the recipes need.
func (r *recipes) authority() pair { return certificate(r, "authority", nil) }

func (p pair) sign(name string, r *recipes) pair { return certificate(r, name, &p) }

func certificate(r *recipes, name string, by *pair) pair {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signer := c, any(key)
	if by != nil {
		parent, err = x509.ParseCertificate(by.Certificate.Certificate[0])
		r.must(err)
		signer = by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	r.must(err)
	return pair{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

func (p pair) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Certificate[0]})
}

func (p pair) key(r *recipes) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(p.PrivateKey)
	r.must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
