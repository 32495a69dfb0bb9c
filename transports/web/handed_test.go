//go:build unix

package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/transports/route"
)

// one is a listener that has one connection.
type one struct {
	net.Listener
	c    chan net.Conn
	once sync.Once
}

func (o *one) Accept() (net.Conn, error) {
	if c, ok := <-o.c; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (o *one) Close() error {
	o.once.Do(func() { close(o.c) })
	return o.Listener.Close()
}

// handed serves one connection, and gives the route to it.
func handed(t *testing.T, h http.Handler) *route.Dialer {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "server")
	conn, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	s := httptest.NewUnstartedServer(h)
	l := &one{Listener: s.Listener, c: make(chan net.Conn, 1)}
	l.c <- conn
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	d := via(t, "fd:server")
	d.Env.Handed = &route.Handed{}
	d.Env.Handed.Add("server", os.NewFile(uintptr(fds[0]), "client"))
	t.Cleanup(d.Env.Handed.Close)
	return d
}

func TestV15TheOneConnectionServesEveryClientInTurn(t *testing.T) {
	d := handed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	var wg sync.WaitGroup
	for i := range 4 {
		c := client(t, Options{Route: d})
		wg.Go(func() {
			defer c.Close()
			for n := range 5 {
				want := fmt.Sprintf("/%d/%d", i, n)
				if status, body, err := do(t, c, "GET", "http://localhost"+want, ""); err != nil || status != 200 || body != want {
					t.Errorf("%s: %d %q %v", want, status, body, err)
				}
			}
		})
	}
	wg.Wait()
}

// The answer that nobody waited for must not be taken for that of the next
// request.
func TestV15AfterARequestThatWasGivenUpTheConnectionIsNotUsedAgain(t *testing.T) {
	asked, answer := make(chan bool, 1), make(chan bool)
	d := handed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-answer
	}))
	c := client(t, Options{Route: d})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := send(c, req)
		ended <- err
	}()
	<-asked
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was answered")
	}
	close(answer)
	if _, _, err := do(t, c, "GET", "http://localhost/", ""); err == nil || !strings.Contains(err.Error(), "used up") {
		t.Errorf("the next request: %v", err)
	}
}
