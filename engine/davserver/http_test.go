package davserver_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"davbus.org/davbus/engine/davserver/davtest"
)

// A peer speaks plain HTTP to a server and knows nothing of DAV.
type peer struct {
	t      testing.TB
	srv    *davtest.Server
	client *http.Client
}

func newPeer(t testing.TB, srv *davtest.Server) *peer {
	c := srv.Client(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &peer{t, srv, c}
}

type answer struct {
	*http.Response
	body string
}

// do sends a request; headers are "Name", "value", ...
func (p *peer) do(method, path, body string, headers ...string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.srv.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{resp, string(all)}
}

// want does it and checks the status.
func (p *peer) want(status int, method, path, body string, headers ...string) answer {
	p.t.Helper()
	a := p.do(method, path, body, headers...)
	if a.StatusCode != status {
		p.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.StatusCode, status, a.body)
	}
	return a
}

const home = "/user/calendars/home/"

func event(uid, summary string, more ...string) string {
	return strings.ReplaceAll(fmt.Sprintf(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//davbus//test//EN
BEGIN:VEVENT
UID:%s
DTSTAMP:20260101T000000Z
SUMMARY:%s
%sEND:VEVENT
END:VCALENDAR
`, uid, summary, strings.Join(append(more, ""), "\n")), "\n", "\r\n")
}

func task(uid, summary string, more ...string) string {
	return strings.ReplaceAll(event(uid, summary, more...), "VEVENT", "VTODO")
}

func card(uid, name string, more ...string) string {
	return strings.ReplaceAll(fmt.Sprintf("BEGIN:VCARD\nVERSION:3.0\nUID:%s\nFN:%s\nN:%s;;;;\n%sEND:VCARD\n",
		uid, name, name, strings.Join(append(more, ""), "\n")), "\n", "\r\n")
}

func request(t testing.TB, method, url, body string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}
