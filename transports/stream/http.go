package stream

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// ServeHTTP speaks HTTP on the connection to its end. What came by a port must
// name the port as its host and must not come from a web page, which a browser
// would let any site do; where a password is asked for it must be there. The
// handler sees no header Authorization.
func (c *Conn) ServeHTTP(ctx context.Context, h http.Handler) error {
	l := &oneConn{conn: c, closed: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	server := &http.Server{
		Handler: c.guard(h), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 10 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				l.Close()
			}
		},
	}
	if err := server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

func (c *Conn) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := c.foreign(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		if !c.mayEnter(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="davbus", charset="UTF-8"`)
			http.Error(w, "the password is the cookie that was given for this port; the user name may be anything", http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		h.ServeHTTP(w, r)
	})
}

// foreign tells why a request that came by a port was not meant for it.
func (c *Conn) foreign(r *http.Request) string {
	if c.hosts == nil {
		return ""
	}
	if !slices.Contains(c.hosts, strings.ToLower(r.Host)) {
		return "this port is not the host that was asked for; it is one of " + strings.Join(c.hosts, ", ")
	}
	origins := r.Header.Values("Origin")
	for _, o := range origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "http" || !slices.Contains(c.hosts, strings.ToLower(u.Host)) {
			return "web pages are not served here"
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return "web pages are not served here"
	}
	return ""
}

func (c *Conn) mayEnter(r *http.Request) bool {
	if c.password == "" {
		return true
	}
	_, password, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(password), []byte(c.password)) == 1
}

// oneConn is a listener that one connection comes from, and that ends with it.
type oneConn struct {
	conn   net.Conn
	given  sync.Once
	end    sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	var c net.Conn
	l.given.Do(func() { c = l.conn })
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.end.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }
