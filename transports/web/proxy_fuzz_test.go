package web

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzProxy(f *testing.F) {
	f.Add("GET", "/dav/x", "Host", "/y")
	f.Add("MOVE", "//evil/../x", "Destination", "http://evil/")
	wire := &http.Transport{DisableKeepAlives: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.Header.Get("Destination"); to != "" && !strings.HasPrefix(to, "http://"+r.Host+"/dav") || !strings.HasPrefix(r.URL.Path, "/dav") {
			w.WriteHeader(299)
		}
	}))
	f.Cleanup(server.Close)
	f.Cleanup(wire.CloseIdleConnections)
	u, err := url.Parse(server.URL)
	if err != nil {
		f.Fatal(err)
	}
	c, err := New(Options{Origins: []*url.URL{u}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	p := &Proxy{Client: c, Server: u, Prefix: "/dav"}
	f.Fuzz(func(t *testing.T, method, target, name, value string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + name + ": " + value + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code == 299 {
			t.Errorf("outside of the prefix: %q", raw)
		}
	})
}
