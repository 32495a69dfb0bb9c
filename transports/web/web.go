// Package web makes HTTP requests over any route, safely: a login goes to its
// own origin and nowhere else, a redirect keeps method and body or is refused,
// nothing decoded is larger than allowed, and nothing waits for ever.
//
// It knows no calendars. What fails is told in error types that carry a small
// marking method each, so that callers need not import this package.
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/transports/route"
)

// Options say how a client reaches its server.
type Options struct {
	// Route is the way; nil is plain TCP, with the proxy of the environment.
	Route *route.Dialer

	// Origins are where the login may go: scheme, host and port count, no more.
	Origins []*url.URL

	// Auth is "auto" (answer what the server asks for), "basic", "digest",
	// "bearer", "oauth2" or "none".
	Auth string

	// Login gives user and secret. It is called when they are needed first, and
	// again when the server refuses them: a token may have been renewed. Its
	// error comes back from RoundTrip, wrapped. Nil means none.
	Login func(context.Context) (user, secret string, err error)

	CAFile string // further certificate authorities, PEM
	Pin    string // SHA-256 of the one certificate that is accepted

	// Refused is told of a certificate that was not accepted. It must not wait.
	// Nil is nobody.
	Refused func(*Shown)

	Host      string // another Host header
	UserAgent string

	// HeaderTimeout is how long an answer may take to begin (30 s; four times as
	// long for REPORT and for PROPFIND of a collection's members: a big one
	// takes some servers that long). IdleTimeout is how long a body may stand
	// still (60 s).
	HeaderTimeout time.Duration
	IdleTimeout   time.Duration

	// MaxBody is how large one answer may be once decoded (64 MiB).
	MaxBody int64
}

// resting is how long the only connection of an fd route is kept from others when
// nothing is under way on it.
const resting = 100 * time.Millisecond

// MaxBody is the default limit of one decoded answer.
const MaxBody = 64 << 20

// A Client is an http.RoundTripper. It may be used by several goroutines.
type Client struct {
	opt   Options
	wire  *http.Transport
	count counters
	login login

	mu      sync.Mutex
	origins map[string]bool
}

// New makes a client; nothing is dialled yet.
func New(o Options) (*Client, error) {
	o = withDefaults(o)
	if err := validAuth(o.Auth); err != nil {
		return nil, err
	}
	conf, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	c := &Client{opt: o, origins: map[string]bool{}}
	c.login = login{opt: &c.opt, turn: make(chan struct{}, 1)}
	c.login.unlock()
	for _, u := range o.Origins {
		c.Trust(u)
	}
	c.wire = &http.Transport{
		DialContext: c.dial,
		// HTTP/1.1 alone: a request that is given up closes its own connection
		// and disturbs no other, and several servers break under multiplexing.
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    o.HeaderTimeout,
		DisableCompression:     true, // decoded here, counted
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        8,
		IdleConnTimeout:        75 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
	switch {
	case !o.Route.Route.Private():
		c.wire.Proxy = http.ProxyFromEnvironment
	case o.Route.Route.Kind == route.FD:
		// There is no second connection, so this one is given back when nobody
		// asks anything; one with TLS in it is not worth anything after that.
		c.wire.MaxConnsPerHost, c.wire.IdleConnTimeout = 1, resting
		if slices.ContainsFunc(o.Origins, func(u *url.URL) bool { return u.Scheme == "https" }) {
			c.wire.IdleConnTimeout = 0
		}
	}
	return c, nil
}

func withDefaults(o Options) Options {
	if o.Route == nil {
		o.Route = &route.Dialer{Route: route.Route{Kind: route.TCP}}
	}
	if o.Auth == "" {
		o.Auth = "auto"
	}
	if o.UserAgent == "" {
		o.UserAgent = "davbus"
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 30 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 60 * time.Second
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	return o
}

// Trust lets the login go to one more origin.
func (c *Client) Trust(u *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.origins[Origin(u)] = true
}

func (c *Client) trusted(u *url.URL) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.origins[Origin(u)]
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.wire.CloseIdleConnections() }

// Origin is scheme, host and port of a URL, in one spelling.
func Origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// RoundTrip makes one request, answers a challenge, and follows redirects. The
// answer's Request is the one that was answered, so its URL may be another.
// A body must be one that can be sent twice (http.NewRequest with a reader of
// package bytes or strings); it always goes with its length, never chunked.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	req, err := c.prepare(req)
	if err != nil {
		return nil, err
	}
	for hop := 0; ; hop++ {
		resp, err := c.authorized(req)
		if err != nil {
			return nil, err
		}
		next, err := c.redirected(req, resp, hop)
		if err != nil || next == nil {
			if err != nil {
				discard(resp)
				return nil, err
			}
			return resp, nil
		}
		discard(resp)
		req = next
	}
}

// prepare makes our own copy of a request, as a RoundTripper must.
func (c *Client) prepare(req *http.Request) (*http.Request, error) {
	out := req.Clone(req.Context())
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil || out.ContentLength < 0 {
		// Some servers read a chunked body as an empty one.
		text, err := io.ReadAll(req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	}
	if c.opt.Host != "" && c.trusted(req.URL) {
		out.Host = c.opt.Host
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", c.opt.UserAgent)
	}
	out.Header.Del("Authorization")
	out.Header.Del("Cookie")
	return out, nil
}

// once makes one exchange on the wire.
func (c *Client) once(req *http.Request) (*http.Response, error) {
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	// An entity tag may depend on the coding, so it is asked only where no tag
	// of a single item is concerned.
	if req.Method == "PROPFIND" || req.Method == "REPORT" {
		req.Header.Set("Accept-Encoding", "gzip")
	} else {
		req.Header.Set("Accept-Encoding", "identity")
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	var answered atomic.Bool
	timer := time.AfterFunc(time.Hour, func() {
		if !answered.Load() {
			cancel(&Timeout{Waiting: "an answer to begin"})
		}
	})
	// It runs from when the request was sent: dialling and writing have limits of
	// their own, and a large body takes its time.
	trace := busy()
	trace.WroteRequest = func(httptrace.WroteRequestInfo) { timer.Reset(c.patience(req)) }
	sent := httptrace.WithClientTrace(ctx, trace)
	resp, err := c.wire.RoundTrip(req.WithContext(sent))
	answered.Store(true) // some servers answer before they have heard all
	timer.Stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && req.Context().Err() == nil {
			err = cause
		}
		cancel(nil)
		c.count.failed()
		return nil, c.refused(tlsError(req.URL, err))
	}
	c.count.answered(resp.StatusCode)
	resp.Request = req
	return c.guardBody(ctx, cancel, resp)
}

// busy tells a connection when an exchange on it begins, and when it has ended
// as it should.
func busy() *httptrace.ClientTrace {
	var on atomic.Value // its func(int32), for the goroutine that reads the answer
	return &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if b, ok := i.Conn.(*counted); ok {
				on.Store(b.Busy)
				b.Busy(1)
			}
		},
		PutIdleConn: func(err error) {
			if count, ok := on.Load().(func(int32)); ok && err == nil {
				count(-1)
			}
		},
	}
}

func (c *Client) patience(req *http.Request) time.Duration {
	if req.Method == "REPORT" || req.Method == "PROPFIND" && req.Header.Get("Depth") != "0" {
		return 4 * c.opt.HeaderTimeout
	}
	return c.opt.HeaderTimeout
}

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	resp.Body.Close()
}
