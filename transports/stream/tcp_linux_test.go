package stream

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialTCP connects, from a port of its own if one is given.
func dialTCP(t *testing.T, address string, from *net.TCPAddr) *net.TCPConn {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTCP("tcp", from, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// talkTCP says something, closes its side and hears what comes back.
func talkTCP(c *net.TCPConn, text string) string {
	io.WriteString(c, text)
	c.CloseWrite()
	got, _ := io.ReadAll(c)
	return string(got)
}

// freePort is a port that nobody has now.
func freePort(t *testing.T, host string) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// loopbacks are those that this machine has.
func loopbacks() []string {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return []string{"127.0.0.1"}
	}
	l.Close()
	return []string{"127.0.0.1", "::1"}
}

func TestT7OnlyTheSourcePortThatWasToldMayConnect(t *testing.T) {
	for _, host := range loopbacks() {
		from := freePort(t, host)
		s, events := open(t, Options{Max: 4})
		address, _, _, err := s.Listen(Door{Address: "tcp", Access: "port", SourcePort: uint16(from.Port)})
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(address)
		address = net.JoinHostPort(host, port)
		if got := talkTCP(dialTCP(t, address, nil), "hello"); got != "" {
			t.Errorf("%s: another port was answered %q", host, got)
		}
		if len(events) > 0 {
			t.Errorf("%s: another port was told: %+v", host, <-events)
		}
		if got := talkTCP(dialTCP(t, address, from), "hello"); got != "hello" {
			t.Errorf("%s: the port was answered %q", host, got)
		}
	}
}

func TestT5CookieOverALoopbackPort(t *testing.T) {
	s, events := open(t, Options{Max: 4})
	address, cookie, access, err := s.Listen(Door{Address: "tcp"})
	if err != nil || access != "cookie" || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatal(address, access, err)
	}
	if got := talkTCP(dialTCP(t, address, nil), strings.Repeat("0", 32)+"\nhello"); got != "" {
		t.Errorf("a wrong cookie was answered %q", got)
	}
	if len(events) > 0 {
		t.Errorf("told of it: %+v", <-events)
	}
	if got := talkTCP(dialTCP(t, address, nil), cookie+"\nhello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	// One that shows nothing is closed with the stream.
	silent := dialTCP(t, address, nil)
	io.WriteString(silent, "0")
	s.Close()
	if n, err := silent.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error(n, err)
	}
}

func TestT14AsManyConnectionsAsAreAllowed(t *testing.T) {
	for _, address := range []string{"tcp", "unix"} {
		s, events := open(t, Options{Max: 9})
		where, cookie, _, err := s.Listen(Door{Address: address, Access: "cookie", Max: 2})
		if err != nil {
			t.Fatal(err)
		}
		connect := func() net.Conn {
			c, err := net.Dial(address, where)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(30 * time.Second))
			io.WriteString(c, cookie+"\nx")
			return c
		}
		one, two := connect(), connect()
		for _, c := range []net.Conn{one, two} {
			if n, err := c.Read(make([]byte, 1)); n != 1 {
				t.Fatal(address, err)
			}
		}
		if n, _ := connect().Read(make([]byte, 1)); n != 0 {
			t.Errorf("%s: a third one was served", address)
		}
		one.Close()
		for e := range events {
			if e.Disconnected > 0 {
				break
			}
		}
		served := false
		for deadline := time.Now().Add(30 * time.Second); !served && time.Now().Before(deadline); {
			n, _ := connect().Read(make([]byte, 1))
			served = n == 1
		}
		if !served {
			t.Errorf("%s: the free place was not given again", address)
		}
	}
}

// hello answers every request, and tells the header that nobody behind the door
// may see.
func hello(ctx context.Context, c *Conn) error {
	return c.ServeHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello "+r.Header.Get("Authorization"))
	}))
}

func TestPasswordHostAndOriginOfAPort(t *testing.T) {
	s, _ := open(t, Options{Max: 9, HTTP: true, Handle: hello})
	address, cookie, access, err := s.Listen(Door{Address: "tcp"})
	if err != nil || access != "password" || len(cookie) != 32 {
		t.Fatal(access, cookie, err)
	}
	_, port, _ := net.SplitHostPort(address)
	for _, x := range []struct {
		name, host, password string
		header, value        string
		status               int
	}{
		{"right", "127.0.0.1:" + port, cookie, "", "", 200},
		{"by name", "LOCALHOST:" + port, cookie, "", "", 200},
		{"its own page", "localhost:" + port, cookie, "Origin", "http://localhost:" + port, 200},
		{"no password", "127.0.0.1:" + port, "", "", "", 401},
		{"wrong password", "127.0.0.1:" + port, strings.Repeat("0", 32), "", "", 401},
		{"another host", "evil.example:" + port, cookie, "", "", 403},
		{"another port", "localhost:1", cookie, "", "", 403},
		{"no port", "localhost", cookie, "", "", 403},
		{"a page", "localhost:" + port, cookie, "Origin", "http://evil.example", 403},
		{"a page of a file", "localhost:" + port, cookie, "Origin", "null", 403},
		{"a page, encrypted", "localhost:" + port, cookie, "Origin", "https://localhost:" + port, 403},
		{"a link in a page", "localhost:" + port, cookie, "Sec-Fetch-Site", "cross-site", 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Host = x.host; x.password != "" {
			r.SetBasicAuth("anybody", x.password)
		}
		if x.header != "" {
			r.Header.Set(x.header, x.value)
		}
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.status || x.status == 200 && string(body) != "hello " || strings.Contains(string(body), cookie) {
			t.Errorf("%s: %s %s", x.name, resp.Status, body)
		}
	}
}

func TestOnAPathAnyHostIsRight(t *testing.T) {
	s, _ := open(t, Options{HTTP: true, Handle: hello})
	path, _ := listen(t, s, "peer")
	got, err := talk(t, path, "GET / HTTP/1.1\r\nHost: dav.example.org\r\nConnection: close\r\nAuthorization: Basic eDp5\r\n\r\n")
	if err != nil || !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.HasSuffix(got, "hello ") {
		t.Errorf("%q %v", got, err)
	}
}

func TestBothLoopbacksAndNothingElse(t *testing.T) {
	p, err := openPort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, l := range p.ends {
		a := l.Addr().(*net.TCPAddr)
		if !a.IP.IsLoopback() || a.Port != p.number {
			t.Errorf("listens at %v, not at port %s of the loopback", a, strconv.Itoa(p.number))
		}
	}
}
