package dav_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/transports/route"
	"davbus.org/davbus/transports/web"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// account makes an account on a server, by TCP or by a Unix socket.
func account(t testing.TB, rawURL, socket, user, password string) (*dav.Source, *web.Client) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	via := ""
	if socket != "" {
		via = "unix:" + socket
	}
	r, err := route.Parse(via)
	if err != nil {
		t.Fatal(err)
	}
	c, err := web.New(web.Options{
		Route: &route.Dialer{Route: r}, Origins: []*url.URL{u},
		Login: func(context.Context) (string, string, error) { return user, password, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dav.New(dav.Options{URL: rawURL, User: user, Client: c, Close: c.Close,
		Probe: func(ctx context.Context, u *url.URL, step func(string, string, error)) error {
			return c.Probe(ctx, u, step)
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, c
}

// source is an account on a test's own server.
func source(t testing.TB, s *davtest.Server, o davtest.Options) *dav.Source {
	t.Helper()
	src, _ := account(t, s.URL+o.Prefix+"/", s.Socket, o.User, o.Password)
	return src
}

func TestEveryServerOfOursKeepsThePromisesOfAStorage(t *testing.T) {
	for name, o := range map[string]davtest.Options{
		"TCP":              {},
		"a Unix socket":    {Unix: true, User: "alice", Password: "secret"},
		"Digest, sub-path": {Digest: true, User: "alice", Password: "secret", Prefix: "/remote.php/dav"},
		"pages of three":   {PageSize: 3},
	} {
		for _, kind := range []string{engine.Calendar, engine.AddressBook} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var n atomic.Int32
				server := davtest.New(t, o)
				s := source(t, server, o)
				storagetest.Suite{Kind: kind, Fresh: func(tb testing.TB) engine.Storage {
					return made(tb, s, fmt.Sprint("c", n.Add(1)), kind)
				}}.Run(t)
			})
		}
	}
}

func TestASourceKeepsThePromisesOfSources(t *testing.T) {
	storagetest.RunSource(t, func(tb testing.TB) engine.Source {
		return source(tb, davtest.New(tb, davtest.Options{}), davtest.Options{})
	})
}

func made(t testing.TB, s *dav.Source, name, kind string) engine.Storage {
	t.Helper()
	c, err := s.Make(t.Context(), engine.Collection{Name: name, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// open is a collection of a server as a source finds it.
func open(t testing.TB, s *dav.Source, name string) *dav.Storage {
	t.Helper()
	found, err := s.Look(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(c engine.Collection) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%q is not among %v", name, found)
	}
	st, err := s.Open(found[i])
	if err != nil {
		t.Fatal(err)
	}
	return st.(*dav.Storage)
}

func event(uid, summary string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

func create(uid, summary string) engine.Write {
	return engine.Write{Verb: engine.Create, UID: engine.UID(uid), Text: event(uid, summary)}
}

// apply carries out writes and gives the outcome of each; whole is the failure
// of the batch. A write that was not yielded has neither head nor error.
func apply(t testing.TB, st engine.Storage, ws ...engine.Write) (outs []engine.Outcome, whole error) {
	t.Helper()
	outs = make([]engine.Outcome, len(ws))
	for i, o := range st.Apply(t.Context(), ws) {
		if i < 0 {
			whole = o.Err
			continue
		}
		outs[i] = o
	}
	return outs, whole
}

func list(t testing.TB, st engine.Storage) (map[engine.Ref]engine.Etag, error) {
	t.Helper()
	heads := map[engine.Ref]engine.Etag{}
	for h, err := range st.List(t.Context()) {
		if err != nil {
			return heads, err
		}
		heads[h.Ref] = h.Etag
	}
	return heads, nil
}

// fetch gives the texts that came, the errors of single items, and that of the
// whole.
func fetch(t testing.TB, st engine.Storage, refs ...engine.Ref) (texts map[engine.Ref]string, bad map[engine.Ref]error, whole error) {
	t.Helper()
	texts, bad = map[engine.Ref]string{}, map[engine.Ref]error{}
	for it, err := range st.Fetch(t.Context(), refs) {
		switch {
		case err != nil && it.Ref == "":
			whole = err
		case err != nil:
			bad[it.Ref] = err
		default:
			texts[it.Ref] = string(it.Text)
		}
	}
	return texts, bad, whole
}

func wantKind(t testing.TB, err error, kinds ...engine.Kind) {
	t.Helper()
	if err == nil || !slices.Contains(kinds, engine.KindOf(err)) {
		t.Errorf("got the error %v, want one of %v", err, kinds)
	}
}

// methods lists what a server was asked, "PROPFIND 1" with its depth.
func methods(s *davtest.Server) string {
	var out []string
	for _, r := range s.Log() {
		m := r.Method
		if m == "PROPFIND" {
			m += " " + r.Header.Get("Depth")
		}
		out = append(out, m)
	}
	return strings.Join(out, ", ")
}
