//go:build real

package group_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/service/lab"
)

// distantServers are the real ones, each of which is started once, by the first
// scenario that needs it.
var distantServers = []string{"radicale", "xandikos"}

var (
	lobby   desk
	servers = map[string]func() *lab.Server{
		"radicale": sync.OnceValue(func() *lab.Server { return lab.Radicale(&lobby) }),
		"xandikos": sync.OnceValue(func() *lab.Server { return lab.Xandikos(&lobby) }),
	}
	calendars atomic.Int32
)

func stopServers() { lobby.close() }

// newDistant makes a calendar on a real server.
func newDistant(t *testing.T, name string) *distant {
	s := servers[name]()
	src, err := dav.New(dav.Options{URL: s.URL + "/", User: lab.Alice, Client: login{}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := src.Make(t.Context(), engine.Collection{Name: fmt.Sprint("c", calendars.Add(1)), Kind: engine.Calendar})
	if err != nil {
		t.Fatal(err)
	}
	return &distant{counting: opened(t, src, made), t: t, identity: made.Identity, url: s.URL + s.Calendar + made.Name + "/", client: login{}}
}

// login is Alice's.
type login struct{}

func (login) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(lab.Alice, lab.AlicePassword)
	return http.DefaultTransport.RoundTrip(r)
}

func (login) CloseIdleConnections() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() }

// A desk is what the lab asks of a test, for servers that outlive one.
type desk struct {
	mu   sync.Mutex
	last []func()
}

func (d *desk) Helper()                   {}
func (d *desk) Logf(string, ...any)       {}
func (d *desk) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (d *desk) Cleanup(f func())          { d.mu.Lock(); d.last = append(d.last, f); d.mu.Unlock() }
func (d *desk) TempDir() string {
	dir, err := os.MkdirTemp("", "davbus-server-")
	if err != nil {
		d.Fatalf("%v", err)
	}
	d.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (d *desk) close() {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for i := len(d.last) - 1; i >= 0; i-- {
		d.last[i]()
	}
}
