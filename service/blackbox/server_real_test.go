//go:build real && further

package blackbox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// A site is a server that people also write to directly.
type site struct {
	url  string
	home string
	do   func(ctx context.Context, method, path, body string, headers ...string) (*http.Response, error)
	make func(ctx context.Context, name string) error
}

func realSite(s *lab.Server) *site {
	return &site{url: s.URL, home: s.Calendar, do: s.Do, make: func(ctx context.Context, name string) error {
		_, err := s.Make(ctx, name)
		return err
	}}
}

// ourSite is the embedded server.
func ourSite(t *testing.T) *site {
	return siteOf(t, davtest.New(t, davtest.Options{User: lab.Alice, Password: lab.AlicePassword}))
}

func siteOf(t *testing.T, srv *davtest.Server) *site {
	c := srv.Client(t)
	return &site{
		url: srv.URL, home: srv.Home("calendar"),
		do: func(ctx context.Context, method, path, body string, headers ...string) (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, method, srv.URL+path, strings.NewReader(body))
			if err != nil {
				return nil, err
			}
			req.SetBasicAuth(lab.Alice, lab.AlicePassword)
			for i := 0; i+1 < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			return c.Do(req)
		},
		make: func(_ context.Context, name string) error { srv.Calendar(name); return nil },
	}
}

// ask gives the status, the etag and the body of an answer.
func (s *site) ask(ctx context.Context, method, path, body string, headers ...string) (status int, etag, text string, err error) {
	resp, err := s.do(ctx, method, path, body, headers...)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("ETag"), string(all), err
}

// A serverPlace is a calendar on a site, edited by conditional requests.
type serverPlace struct {
	*site
	ctx  context.Context
	path string
}

func (s serverPlace) name() string { return "server" }

func (s serverPlace) edit(uid string, with func(props) props) (displaced, now props, err error) {
	path := s.path + uid + ".ics"
	for range 1000 {
		status, etag, text, err := s.ask(s.ctx, "GET", path, "")
		if err != nil {
			return props{}, props{}, err
		}
		var was props
		if status == http.StatusOK {
			was = read(text)
		}
		if now = with(was); now == was {
			return was, now, nil
		}
		condition, method, body := []string{"If-Match", etag, "Content-Type", "text/calendar; charset=utf-8"}, "PUT", now.text(uid)
		if was == (props{}) {
			condition[0], condition[1] = "If-None-Match", "*"
		}
		if now == (props{}) {
			method, body = "DELETE", ""
		}
		status, _, text, err = s.ask(s.ctx, method, path, body, condition...)
		switch {
		case err != nil:
			return props{}, props{}, err
		case status == 200 || status == 201 || status == 204:
			return was, now, nil
		case status != 412 && status != 404 && status != 409 && status != 207:
			return props{}, props{}, fmt.Errorf("%s %s: %d %s", method, path, status, text)
		}
	}
	return props{}, props{}, fmt.Errorf("%s changes all the time", path)
}

var href = regexp.MustCompile(`<(?:[A-Za-z0-9]+:)?href>([^<]*\.ics)</`)

func (s serverPlace) all() (map[string]props, []string, error) {
	status, _, list, err := s.ask(s.ctx, "PROPFIND", s.path, `<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>`, "Depth", "1", "Content-Type", "application/xml")
	if err != nil || status != 207 {
		return nil, nil, fmt.Errorf("PROPFIND %s: %d, %v", s.path, status, err)
	}
	items, twice, seen := map[string]props{}, []string(nil), map[string]bool{}
	for _, m := range href.FindAllStringSubmatch(list, -1) {
		if seen[m[1]] {
			continue
		}
		seen[m[1]] = true
		status, _, text, err := s.ask(s.ctx, "GET", m[1], "")
		if err != nil || status != 200 {
			return nil, nil, fmt.Errorf("GET %s: %d, %v", m[1], status, err)
		}
		uid := uidOf.FindStringSubmatch(text)
		if uid == nil {
			return nil, nil, fmt.Errorf("%s has no UID: %q", m[1], text)
		}
		if _, there := items[uid[1]]; there {
			twice = append(twice, uid[1])
		}
		items[uid[1]] = read(text)
	}
	return items, twice, nil
}
