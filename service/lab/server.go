package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Users of the servers. Xandikos asks for no login and has Alice alone.
const (
	Alice, AlicePassword = "alice", "planted-secret-a"
	Bob, BobPassword     = "bob", "secret-b"
)

// A Server is a real CalDAV and CardDAV server. It is reached by TCP and by a
// Unix socket; one of the two is its own, the other is forwarded byte by byte.
type Server struct {
	Name     string // "radicale", "xandikos"
	URL      string // "http://127.0.0.1:PORT"; what a client says is http://127.0.0.1:PORT by the socket too
	Socket   string
	Login    bool   // it asks for user and password
	Calendar string // the path below which Alice's calendars are made, "/alice/"
	Contacts string // and her address books
	Data     string // the folder with its data

	t       T
	run     func(s *Server) (*Program, error)
	network string // its own way: "tcp" or "unix"
	addr    string
	program *Program
}

// Radicale starts /usr/bin/radicale.
func Radicale(t T) *Server {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "users", fmt.Sprintf("%s:%s\n%s:%s\n", Alice, AlicePassword, Bob, BobPassword))
	s := &Server{
		Name: "radicale", Login: true, Calendar: "/alice/", Contacts: "/alice/", Data: filepath.Join(memory(t), "data"),
		t: t, network: "tcp",
	}
	s.run = func(s *Server) (*Program, error) {
		config := write(t, dir, "config", fmt.Sprintf(radicaleConfig, s.addr, dir, s.Data))
		return Start(plainEnv("HOME="+dir), "/usr/bin/radicale", "--config", config)
	}
	s.begin()
	return s
}

const radicaleConfig = `[server]
hosts = %s
max_connections = 32
[auth]
type = htpasswd
htpasswd_filename = %s/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = %s
[web]
type = none
[logging]
level = warning
`

// Xandikos starts /usr/bin/xandikos on a TCP port.
func Xandikos(t T) *Server {
	t.Helper()
	return xandikos(t, "tcp")
}

// XandikosOnSocket starts /usr/bin/xandikos on a Unix socket of its own.
func XandikosOnSocket(t T) *Server {
	t.Helper()
	return xandikos(t, "unix")
}

func xandikos(t T, network string) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{
		Name: "xandikos", Calendar: "/alice/calendars/", Contacts: "/alice/contacts/", Data: filepath.Join(memory(t), "data"),
		t: t, network: network,
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		t.Fatalf("cannot make xandikos's folder: %v", err)
	}
	s.run = func(s *Server) (*Program, error) {
		if err := unlock(s.Data); err != nil {
			return nil, err
		}
		args := []string{"-d", s.Data, "--defaults", "--current-user-principal", "/alice/", "-l", s.addr}
		if network == "tcp" {
			host, port, err := net.SplitHostPort(s.addr)
			if err != nil {
				return nil, err
			}
			args = append(args[:len(args)-1], host, "-p", port)
		}
		return Start(plainEnv("HOME="+dir), "/usr/bin/xandikos", args...)
	}
	s.begin()
	return s
}

// unlock removes the lock files that a killed git leaves in its repositories: it
// refuses every write until whoever runs it has done so.
func unlock(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".lock") {
			return err
		}
		return os.Remove(path)
	})
}

// begin starts a server for the first time and the forwarding to it.
func (s *Server) begin() {
	s.t.Helper()
	s.Socket = filepath.Join(shortDir(s.t), s.Name+".sock")
	s.t.Cleanup(s.Stop)
	if s.network == "unix" {
		s.addr = s.Socket
		if err := s.Start(); err != nil {
			s.t.Fatalf("%v", err)
		}
		s.URL = "http://" + forward(s.t, "tcp", "127.0.0.1:0", "unix", s.Socket)
		return
	}
	var err error
	for range 5 { // somebody else may take a free port before the server does
		if s.addr, err = freePort(); err != nil {
			break
		}
		if err = s.Start(); err == nil {
			s.URL = "http://" + s.addr
			forward(s.t, "unix", s.Socket, "tcp", s.addr)
			return
		}
		s.t.Logf("%v; once more with another port", err)
	}
	s.t.Fatalf("%v", err)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Start runs the server on its data, where it was before, and waits until it
// answers.
func (s *Server) Start() error {
	if s.network == "unix" {
		os.Remove(s.addr) // left over from a kill
	}
	p, err := s.run(s)
	if err != nil {
		return err
	}
	client := dialer(s.network, s.addr)
	defer client.CloseIdleConnections()
	ready := Within(patience, func() bool { return p.Ended() || answers(client) })
	if p.Ended() {
		return fmt.Errorf("%s ended at once: %v\n%v", s.Name, p.err, p)
	}
	if !ready {
		p.Kill()
		return fmt.Errorf("%s does not answer within %v\n%v", s.Name, patience, p)
	}
	s.program = p
	return nil
}

// answers tells whether somebody speaks HTTP there.
func answers(c *http.Client) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "OPTIONS", "http://127.0.0.1/", nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode < 500
}

// Kill ends the server as a crash would; its data stays.
func (s *Server) Kill() {
	if s.program != nil {
		s.program.Kill()
		s.program = nil
	}
}

// Stop ends the server in order. It may be called twice.
func (s *Server) Stop() {
	if s.program != nil {
		s.program.Stop(5 * time.Second)
		s.program = nil
	}
}

// Restart runs a server again that was killed or stopped.
func (s *Server) Restart() error {
	s.Stop()
	return s.Start()
}

// Pid is the server's process, 0 if it does not run.
func (s *Server) Pid() int {
	if s.program == nil {
		return 0
	}
	return s.program.Pid()
}

// Do asks the server something as Alice, past any proxy. Headers are "Name",
// "value", ...
func (s *Server) Do(ctx context.Context, method, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if s.Login {
		req.SetBasicAuth(Alice, AlicePassword)
	}
	c := dialer(s.network, s.addr)
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c.Do(req)
}

// Make makes a calendar, or an address book if the name ends in ".contacts", in
// Alice's home and gives its path.
func (s *Server) Make(ctx context.Context, name string) (string, error) {
	path, kind := s.Calendar+name+"/", `<C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>`
	if strings.HasSuffix(name, ".contacts") {
		path, kind = s.Contacts+name+"/", `<C:addressbook xmlns:C="urn:ietf:params:xml:ns:carddav"/>`
	}
	resp, err := s.Do(ctx, "MKCOL", path, `<?xml version="1.0" encoding="utf-8"?><D:mkcol xmlns:D="DAV:"><D:set><D:prop><D:resourcetype><D:collection/>`+
		kind+`</D:resourcetype></D:prop></D:set></D:mkcol>`, "Content-Type", "application/xml; charset=utf-8")
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return "", errors.New(s.Name + " does not make " + path + ": " + resp.Status)
	}
	return path, nil
}

// dialer is a client that connects to one place, whatever the URL says.
func dialer(network, addr string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}}
}
