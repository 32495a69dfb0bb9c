package lab

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAProxyCountsAndChangesNothing(t *testing.T) {
	// A client may try "/cut" again on a new connection, so two can be here at once.
	type arrived struct {
		*http.Request
		body string
	}
	asked := make(chan arrived, 1)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		all, _ := io.ReadAll(r.Body)
		asked <- arrived{r, string(all)}
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, "12345")
	}))
	behind.Config.ErrorLog = nil
	defer behind.Close()
	p := CountingProxy(t, behind.URL)
	for _, c := range []*http.Client{dialer("tcp", strings.TrimPrefix(p.URL, "http://")), dialer("unix", p.Socket)} {
		defer c.CloseIdleConnections()
		p.Reset()
		req, err := http.NewRequestWithContext(t.Context(), "PROPFIND", "http://example.org/a%2Fb/?q=%20", strings.NewReader("abc"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Depth", "1")
		req.Header.Set("Authorization", "Basic eA==")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(all) != "12345" || resp.StatusCode != 207 || resp.Header.Get("ETag") != `"1"` {
			t.Errorf("the answer came as %d %q %v", resp.StatusCode, all, err)
		}
		got := <-asked
		if got.RequestURI != "/a%2Fb/?q=%20" || got.Host != "example.org" || got.body != "abc" || got.ContentLength != 3 ||
			got.Header.Get("Authorization") == "" || got.Header.Get("X-Forwarded-For") != "" {
			t.Errorf("the request came as %s %s %q %v", got.Host, got.RequestURI, got.body, got.Header)
		}
		want := []Request{{N: 0, Method: "PROPFIND", Path: "/a%2Fb/", Depth: "1", Status: 207, In: 3, Out: 5}}
		// The answer can be here before its end is in the log.
		if !Within(patience, func() bool { return slices.Equal(p.Log(), want) }) {
			t.Errorf("the log is %+v, want %+v", p.Log(), want)
		}
		if _, err := c.Get("http://example.org/cut"); err == nil {
			t.Error("a connection that the server cut was answered")
		}
	}
}

func TestABodyIsNotReadPastItsLength(t *testing.T) {
	r := httptest.NewRequest("PUT", "/", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(http.ErrBodyReadAfterClose)))
	r.ContentLength = 3
	EndBodies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != "abc" {
			t.Errorf("%q %v", got, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestForwardingCarriesBothWaysAndEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	socket := shortDir(t) + "/s"
	forward(t, "unix", socket, "tcp", l.Addr().String())
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	c.(*net.UnixConn).CloseWrite()
	if back, err := io.ReadAll(c); err != nil || string(back) != "hello" {
		t.Errorf("got %q back, %v", back, err)
	}
}

func TestAProgramThatEndsIsNoticedWithWhatItSaid(t *testing.T) {
	if _, err := Start(nil, "davbus-no-such-program"); err == nil {
		t.Error("a missing program was started")
	}
	if Within(0, func() bool { return false }) {
		t.Error("a condition that never holds was met")
	}
}
