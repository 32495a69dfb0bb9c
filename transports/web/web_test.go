package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A journal is a server that notes what it is asked, "METHOD path body [auth]".
type journal struct {
	*httptest.Server
	mu    sync.Mutex
	lines []string
}

func serve(t *testing.T, h http.HandlerFunc) *journal {
	t.Helper()
	j := &journal{}
	j.Server = httptest.NewServer(j.note(h))
	t.Cleanup(j.Close)
	return j
}

func (j *journal) note(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		line := r.Method + " " + r.URL.Path + " " + string(body)
		if a := r.Header.Get("Authorization"); a != "" {
			kind, _, _ := strings.Cut(a, " ")
			line += " [" + kind + "]"
		}
		j.mu.Lock()
		j.lines = append(j.lines, strings.TrimSpace(strings.ReplaceAll(line, "  ", " ")))
		j.mu.Unlock()
		h(w, r)
	})
}

func (j *journal) asked() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.lines
	j.lines = nil
	return out
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func alice(context.Context) (string, string, error) { return "alice", "secret", nil }

// do makes a request and reads the answer to its end.
func do(t *testing.T, c *Client, method, url, body string) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return send(c, req)
}

func send(c *Client, req *http.Request) (status int, text string, err error) {
	resp, err := c.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

func TestScenario75RedirectsKeepMethodAndBodyAndTheLoginStaysHome(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "other") })
	var code int
	var to string
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			w.Header().Set("Location", to)
			w.WriteHeader(code)
			return
		}
		fmt.Fprint(w, "home")
	})
	for _, code = range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "HEAD", "PROPFIND", "REPORT", "PUT", "DELETE"} {
			for name, target := range map[string]string{
				"the same origin": home.URL + "/to", "a path": "/to", "another port": other.URL + "/to",
				"another scheme": strings.Replace(home.URL, "http:", "ftp:", 1) + "/to",
			} {
				c := client(t, Options{Origins: []*url.URL{parse(t, home.URL)}, Auth: "basic", Login: alice})
				to = target
				home.asked()
				other.asked()
				_, _, err := do(t, c, method, home.URL+"/from", "body")
				reading := method == "GET" || method == "HEAD"
				same := name == "the same origin" || name == "a path"
				follow := (same || name == "another port" && reading) && (code != 303 || reading)
				if (err == nil) != follow {
					t.Errorf("%d %s to %s: %v", code, method, name, err)
					continue
				}
				want := []string{method + " /from body [Basic]"}
				if follow && same {
					want = append(want, method+" /to body [Basic]")
				}
				if got := home.asked(); !slices.Equal(got, want) {
					t.Errorf("%d %s to %s: home was asked %q, want %q", code, method, name, got, want)
				}
				away := other.asked()
				if follow && !same && !slices.Equal(away, []string{method + " /to body"}) || (!follow || same) && len(away) > 0 {
					t.Errorf("%d %s to %s: the other was asked %q", code, method, name, away)
				}
				if !follow {
					r, ok := errors.AsType[*Redirect](err)
					if !ok || r.RedirectTo().Path != "/to" {
						t.Errorf("%d %s to %s: %v", code, method, name, err)
					}
				}
			}
		}
	}
}

func TestRedirectsEnd(t *testing.T) {
	j := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/%d", &n)
		if n == 0 {
			fmt.Fprint(w, "there")
			return
		}
		http.Redirect(w, r, fmt.Sprint("/", n-1), http.StatusTemporaryRedirect)
	})
	c := client(t, Options{})
	if _, text, err := do(t, c, "REPORT", j.URL+"/5", "x"); err != nil || text != "there" {
		t.Errorf("five hops: %q, %v", text, err)
	}
	if _, _, err := do(t, c, "REPORT", j.URL+"/6", "x"); !errors.As(err, new(*Redirect)) {
		t.Errorf("six hops: %v", err)
	}
}

func TestATrustedOriginIsFollowedWithTheLoginAndAnyOtherNot(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/to", http.StatusPermanentRedirect)
	})
	c := client(t, Options{Origins: []*url.URL{parse(t, home.URL)}, Auth: "basic", Login: alice})
	if _, _, err := do(t, c, "PUT", home.URL+"/", "x"); err == nil || len(other.asked()) > 0 {
		t.Errorf("before: %v", err)
	}
	c.Trust(parse(t, other.URL))
	if _, _, err := do(t, c, "PUT", home.URL+"/", "x"); err != nil {
		t.Errorf("after: %v", err)
	}
	if got := other.asked(); !slices.Equal(got, []string{"PUT /to x [Basic]"}) {
		t.Errorf("the other was asked %q", got)
	}
	stranger := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) })
	if status, _, err := do(t, c, "GET", stranger.URL+"/", ""); status != 401 || err != nil || !slices.Equal(stranger.asked(), []string{"GET /"}) {
		t.Errorf("a stranger: %d, %v", status, err)
	}
}

func TestOriginsAreComparedAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"http://x/", "http://X:80/a", true}, {"https://x/", "https://x:443", true}, {"http://x/", "https://x/", false},
		{"http://x/", "http://x:8080/", false}, {"http://x.example/", "http://y.example/", false}, {"http://[::1]/", "http://[::1]:80/", true}, {"https://x:80/", "http://x/", false},
	} {
		if got := Origin(parse(t, c.a)) == Origin(parse(t, c.b)); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
