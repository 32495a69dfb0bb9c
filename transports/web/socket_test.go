package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/transports/route"
)

func onSocket(t *testing.T, h http.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return path
}

func via(t *testing.T, s string) *route.Dialer {
	t.Helper()
	r, err := route.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return &route.Dialer{Route: r}
}

func TestV9S6ASocketIsAskedInTheNameOfTheURLAndNobodyElseIs(t *testing.T) {
	asked := make(chan string, 10)
	path := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + r.URL.Path
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusTemporaryRedirect)
		}
	}))
	c := client(t, Options{Route: via(t, "unix:"+path)})
	if status, _, err := do(t, c, "GET", "http://dav.example.org:8080/sub/path", ""); err != nil || status != 200 {
		t.Errorf("%d, %v", status, err)
	}
	if _, _, err := do(t, c, "GET", "http://dav.example.org/away", ""); !errors.As(err, new(*Redirect)) {
		t.Errorf("led away: %v", err)
	}
	named := client(t, Options{Route: via(t, "unix:"+path), Host: "other.example", Origins: []*url.URL{{Scheme: "http", Host: "localhost"}}})
	if _, _, err := do(t, named, "GET", "http://localhost/x", ""); err != nil {
		t.Error(err)
	}
	close(asked)
	var hosts []string
	for host := range asked {
		hosts = append(hosts, host)
	}
	if want := []string{"dav.example.org:8080/sub/path", "dav.example.org/away", "other.example/x"}; !slices.Equal(hosts, want) {
		t.Errorf("asked %q, want %q", hosts, want)
	}
	dead := client(t, Options{Route: via(t, "unix:"+path+"-none")})
	_, _, err := do(t, dead, "GET", "http://localhost/", "")
	var u interface{ RouteUnavailable() bool }
	if !errors.As(err, &u) {
		t.Errorf("a dead socket: %v", err)
	}
}

func TestBodiesGoWithTheirLength(t *testing.T) {
	lengths := make(chan int64, 10)
	j := serve(t, func(w http.ResponseWriter, r *http.Request) { lengths <- r.ContentLength })
	c := client(t, Options{})
	req, _ := http.NewRequestWithContext(t.Context(), "REPORT", j.URL, io.NopCloser(strings.NewReader("12345")))
	if _, _, err := send(c, req); err != nil {
		t.Fatal(err)
	}
	if _, _, err := do(t, c, "PUT", j.URL, ""); err != nil {
		t.Fatal(err)
	}
	if one, two := <-lengths, <-lengths; one != 5 || two != 0 || len(lengths) > 0 || !slices.Equal(j.asked(), []string{"REPORT / 12345", "PUT /"}) {
		t.Errorf("lengths %d, %d and %d more", one, two, len(lengths))
	}
}

func TestConnectionsAreKeptAndCounted(t *testing.T) {
	j := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(404)
		}
		fmt.Fprint(w, strings.Repeat("x", 1000))
	})
	c := client(t, Options{})
	for _, path := range []string{"/", "/", "/bad", "/"} {
		if _, _, err := do(t, c, "GET", j.URL+path, ""); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Stats()
	if s.Requests != 4 || s.Class[2] != 3 || s.Class[4] != 1 || s.Dials != 1 || s.In < 4000 || s.In > 6000 || s.Out < 100 || s.Out > 2000 {
		t.Errorf("%+v", s)
	}
	j.CloseClientConnections()
	j.Close()
	if _, _, err := do(t, c, "GET", j.URL, ""); err == nil || c.Stats().Class[0] != 1 {
		t.Errorf("%v, %+v", err, c.Stats())
	}
}

// The variables themselves are read by net/http once in a process, so what is
// looked at is whether they are asked at all.
func TestV14TheProxyOfTheEnvironmentIsAskedForPlainTCPAlone(t *testing.T) {
	for _, v := range []string{"unix:/s", "unix:@s", "tcp:127.0.0.1:1", "fd:s", "exec:true"} {
		if client(t, Options{Route: via(t, v)}).wire.Proxy != nil {
			t.Errorf("%s asks for a proxy", v)
		}
	}
	if client(t, Options{}).wire.Proxy == nil || client(t, Options{Route: via(t, "")}).wire.Proxy == nil {
		t.Error("plain TCP does not ask for a proxy")
	}
}
