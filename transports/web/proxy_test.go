package web

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// behind starts a server and a proxy to it, and gives both.
func behind(t *testing.T, h http.HandlerFunc, change func(*Proxy)) (server *journal, at string) {
	t.Helper()
	server = serve(t, h)
	u := parse(t, server.URL)
	p := &Proxy{Client: client(t, Options{Origins: []*url.URL{u}, Login: alice}), Server: u}
	if change != nil {
		change(p)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return server, s.URL
}

// through makes one request of a proxy, and follows nothing.
func through(t *testing.T, method, at, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// basic lets alice in alone.
func basic(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "alice" || pass != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func TestAProxyLogsInAndPassesNothingOfEitherLogin(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("alice:secret"))
	seen := make(chan http.Header, 1)
	_, at := behind(t, basic(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r.Header.Clone():
		default:
		}
		for name, value := range map[string]string{
			"Set-Cookie": "session=1", "WWW-Authenticate": "Basic", "Authentication-Info": "x", "Strict-Transport-Security": "max-age=1",
			"Alt-Svc": "h3", "Keep-Alive": "timeout=5", "Connection": "X-Only-Here", "X-Only-Here": "1", "Etag": `"e"`, "Dav": "1, 3",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(207)
		fmt.Fprint(w, r.Method, " ", r.RequestURI)
	}), nil)
	resp, text := through(t, "PROPFIND", at+"/a%2Fb/c?d=e", "<x/>", "Authorization", "Basic bWFsbG9yeTp4", "Cookie", "a=b", "Depth", "1",
		"Connection", "X-Hop", "X-Hop", "1", "Te", "trailers", "Upgrade", "websocket", "Proxy-Authorization", "Basic x", "X-Forwarded-For", "10.0.0.1", "If-Match", `"e"`)
	if resp.StatusCode != 207 || text != "PROPFIND /a%2Fb/c?d=e" || resp.Header.Get("Etag") != `"e"` || resp.Header.Get("Dav") != "1, 3" {
		t.Errorf("%s %q %v", resp.Status, text, resp.Header)
	}
	for _, name := range []string{"Set-Cookie", "Www-Authenticate", "Authentication-Info", "Strict-Transport-Security", "Alt-Svc", "Keep-Alive", "X-Only-Here"} {
		if v := resp.Header.Get(name); v != "" {
			t.Errorf("the client is told %s: %s", name, v)
		}
	}
	got := <-seen
	if got.Get("Authorization") != "Basic "+secret || got.Get("Depth") != "1" || got.Get("If-Match") != `"e"` {
		t.Errorf("the server got %v", got)
	}
	for _, name := range []string{"Cookie", "X-Hop", "Te", "Upgrade", "Proxy-Authorization", "X-Forwarded-For", "Connection"} {
		if v := got.Get(name); v != "" {
			t.Errorf("the server is told %s: %s", name, v)
		}
	}
}

func TestAProxyReachesOneServerAndOnlyWhatWasOpened(t *testing.T) {
	server, at := behind(t, func(http.ResponseWriter, *http.Request) {}, func(p *Proxy) { p.ReadOnly, p.Prefix = true, "/dav/alice/" })
	host := strings.TrimPrefix(at, "http://")
	for _, x := range []struct {
		line   string
		status int
	}{
		{"GET /dav/alice/cal HTTP/1.1", 200},
		{"REPORT /dav/alice HTTP/1.1", 200},
		{"OPTIONS /dav/alice/ HTTP/1.1", 200},
		{"GET /dav/bob/ HTTP/1.1", 403},
		{"GET /dav/alicex HTTP/1.1", 403},
		{"GET /dav/alice/../bob HTTP/1.1", 400},
		{"GET /dav/alice/%2e%2e/bob HTTP/1.1", 400},
		{"GET /dav/alice%2f..%2fbob HTTP/1.1", 400},
		{"GET http://evil.example/dav/alice/ HTTP/1.1", 400},
		{"GET " + server.URL + "/dav/alice/ HTTP/1.1", 400},
		{"PUT /dav/alice/x HTTP/1.1", 405},
		{"DELETE /dav/alice/x HTTP/1.1", 405},
		{"MKCALENDAR /dav/alice/x HTTP/1.1", 405},
		{"PROPPATCH /dav/alice/x HTTP/1.1", 405},
		{"TRACE /dav/alice/ HTTP/1.1", 405},
	} {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(c, "%s\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", x.line, host)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err != nil || resp.StatusCode != x.status {
			t.Errorf("%s: %v %v", x.line, resp, err)
		}
	}
	if n := len(server.asked()); n != 3 {
		t.Errorf("the server was asked %d times: %q", n, server.asked())
	}
}

func TestAProxyLetsWritesThroughOnceAsked(t *testing.T) {
	server, at := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.Header.Get("Destination"))
		w.WriteHeader(201)
	}, nil)
	host := strings.TrimPrefix(at, "http://")
	for _, to := range []string{"/b/c", at + "/b/c", server.URL + "/b/c"} {
		resp, _ := through(t, "MOVE", at+"/a", "", "Destination", to)
		if got := resp.Header.Get("Location"); resp.StatusCode != 201 || got != "/b/c" {
			t.Errorf("%s: %s, moved to %q", to, resp.Status, got)
		}
	}
	for _, to := range []string{"http://evil.example/b", "https://" + host + "x/b", "b", "http://user:pass@evil/b", server.URL + "/a/../b"} {
		if resp, _ := through(t, "MOVE", at+"/a", "", "Destination", to); resp.StatusCode/100 == 2 {
			t.Errorf("moved to %s", to)
		}
	}
	if n := len(server.asked()); n != 3 {
		t.Errorf("the server was asked %d times: %q", n, server.asked())
	}
}

func TestARedirectIsTheClientsAndStaysOnTheServer(t *testing.T) {
	where := ""
	server, at := behind(t, func(w http.ResponseWriter, r *http.Request) {
		where = r.URL.Query().Get("to")
		w.Header().Set("Location", where)
		w.WriteHeader(301)
	}, nil)
	for to, want := range map[string]string{"/dav/": "/dav/", server.URL + "/x?y": "/x?y", "http://evil.example/": "", "//evil.example/": "", "https" + strings.TrimPrefix(server.URL, "http"): ""} {
		resp, text := through(t, "GET", at+"/?to="+url.QueryEscape(to), "")
		got := resp.Header.Get("Location")
		if want != "" && (resp.StatusCode != 301 || got != want) || want == "" && (resp.StatusCode != 502 || got != "" || strings.Contains(text, "evil")) {
			t.Errorf("%s: %s to %q: %s", to, resp.Status, got, text)
		}
	}
}

func TestALoginThatIsRefusedIsNotAskedOfTheClient(t *testing.T) {
	_, at := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="the server"`)
		w.WriteHeader(401)
	}, nil)
	for _, body := range []string{"", strings.Repeat("x", small+1)} {
		resp, text := through(t, "PUT", at+"/x", body)
		if resp.StatusCode != 502 || resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(text, "refused the account's login") || strings.Contains(text, "secret") {
			t.Errorf("%d bytes: %s %v %s", len(body), resp.Status, resp.Header, text)
		}
	}
}

// digested is a server that asks for Digest, and answers with the sum of what it
// was sent and how.
func digested(g *guarded) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in := httptest.NewRecorder()
		if g.ServeHTTP(in, r); in.Code != 200 {
			g.ServeHTTP(w, r)
			return
		}
		sum := sha256.Sum256(body)
		fmt.Fprint(w, hex.EncodeToString(sum[:]), " ", len(body), " ", r.ContentLength, " ", len(r.TransferEncoding))
	}
}

func TestBodiesOfEverySizePassADigestLogin(t *testing.T) {
	g := &guarded{offer: []string{digestOffer}, secret: "secret", nonce: "n1"}
	_, at := behind(t, digested(g), nil)
	for _, size := range []int{0, 1, small - 1, small, small + 1, 5 << 20} {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		sum := sha256.Sum256(body)
		want := fmt.Sprint(hex.EncodeToString(sum[:]), " ", size, " ", size, " 0")
		if resp, got := through(t, "PUT", at+"/x", string(body)); resp.StatusCode != 200 || got != want {
			t.Errorf("%d bytes: %s %q, want %q", size, resp.Status, got, want)
		}
	}
}

func TestALargeBodyIsNotReadPastItsLength(t *testing.T) {
	text := strings.Repeat("x", small+1)
	r := httptest.NewRequest("PUT", "/", io.MultiReader(strings.NewReader(text), iotest.ErrReader(http.ErrBodyReadAfterClose)))
	r.ContentLength = int64(len(text))
	rest, err := new(Proxy).body(r, r.Clone(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rest); err != nil || string(got) != text {
		t.Errorf("%d bytes of %d: %v", len(got), len(text), err)
	}
}

func TestABodyWithoutLengthIsKeptUpToALimit(t *testing.T) {
	g := &guarded{offer: []string{digestOffer}, secret: "secret", nonce: "n1"}
	server, at := behind(t, digested(g), nil)
	for size, want := range map[int]int{small: 200, small + 1: 411} {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", at+"/x", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 200 && !strings.HasSuffix(string(text), fmt.Sprint(" ", size, " ", size, " 0")) {
			t.Errorf("%d bytes: %s %s", size, resp.Status, text)
		}
	}
	if n := len(server.asked()); n != 2 {
		t.Errorf("asked %q", server.asked())
	}
}

func TestAnAnswerPassesAsItComesAndACutOneIsSeen(t *testing.T) {
	more := make(chan bool)
	_, at := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "12345")
		w.(http.Flusher).Flush()
		if !<-more {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "67890")
	}, nil)
	for _, whole := range []bool{true, false} {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", at+"/", nil))
		if err != nil {
			t.Fatal(err)
		}
		half := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, half); err != nil || string(half) != "12345" {
			t.Errorf("%q %v", half, err)
		}
		more <- whole
		rest, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if whole != (err == nil && string(rest) == "67890") {
			t.Errorf("whole %v: %q %v", whole, rest, err)
		}
	}
}
