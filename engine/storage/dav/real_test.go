//go:build real

package dav_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/route"
	"davbus.org/davbus/transports/web"
)

// realServers are each real server by each way to it.
var realServers = []struct {
	name  string
	start func(lab.T) *lab.Server
	unix  bool
}{
	{"radicale over TCP", lab.Radicale, false},
	{"radicale over a Unix socket", lab.Radicale, true},
	{"xandikos over TCP", lab.Xandikos, false},
	{"xandikos over a Unix socket", lab.XandikosOnSocket, true},
}

// account makes the account of Alice on a server.
func account(t testing.TB, rawURL, socket string) (*dav.Source, *web.Client) {
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
		Login: func(context.Context) (string, string, error) { return lab.Alice, lab.AlicePassword, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dav.New(dav.Options{URL: rawURL, User: lab.Alice, Client: c, Close: c.Close,
		Probe: func(ctx context.Context, u *url.URL, step func(string, string, error)) error {
			return c.Probe(ctx, u, step)
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, c
}

func TestRealServersKeepThePromisesOfAStorage(t *testing.T) {
	for _, rs := range realServers {
		t.Run(rs.name, func(t *testing.T) {
			server := rs.start(t)
			socket := ""
			if rs.unix {
				socket = server.Socket
			}
			s, _ := account(t, server.URL+"/", socket)
			var n atomic.Int32
			for _, kind := range []string{engine.Calendar, engine.AddressBook} {
				t.Run(kind, func(t *testing.T) {
					storagetest.Suite{Kind: kind, Fresh: func(tb testing.TB) engine.Storage {
						c, err := s.Make(tb.Context(), engine.Collection{Name: fmt.Sprint("c", n.Add(1)), Kind: kind})
						if err != nil {
							tb.Fatal(err)
						}
						st, err := s.Open(c)
						if err != nil {
							tb.Fatal(err)
						}
						return st
					}}.Run(t)
				})
			}
		})
	}
}
