package lab

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Proxy stands in front of a server and logs each request. Nothing is changed
// on the way.
type Proxy struct {
	URL    string // "http://127.0.0.1:PORT"
	Socket string // the same on a Unix socket

	mu     sync.Mutex
	log    []*Request
	before func(n int, r *http.Request)
}

// A Request is one that went through a Proxy. In and Out are bytes of the bodies,
// of what came from the client and of what it got.
type Request struct {
	N       int
	Method  string
	Path    string // escaped, as it was sent
	Depth   string
	Chunked bool
	Status  int // 0 if it is under way, or if the server or the client was lost
	In, Out int64
}

// CountingProxy starts a proxy in front of "http://HOST:PORT" or of the path of a
// Unix socket.
func CountingProxy(t T, target string) *Proxy {
	t.Helper()
	network, addr := "unix", target
	if rest, ok := strings.CutPrefix(target, "http://"); ok {
		network, addr = "tcp", strings.TrimRight(rest, "/")
	}
	p := &Proxy{}
	client := dialer(network, addr)
	handler := &httputil.ReverseProxy{
		Transport: client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "server"
			r.Out.Host = r.In.Host
			if r.In.Header.Values("User-Agent") == nil {
				r.Out.Header.Set("User-Agent", "")
			}
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		// The server was lost: so is the client's connection, as without a proxy.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	srv := &http.Server{Handler: p.count1(EndBodies(handler)), ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	p.Socket = filepath.Join(shortDir(t), "proxy.sock")
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", p.Socket}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.Fatalf("cannot listen on %s: %v", at[1], err)
		}
		if at[0] == "tcp" {
			p.URL = "http://" + l.Addr().String()
		}
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				panic(err)
			}
		})
	}
	t.Cleanup(func() {
		srv.Close()
		wg.Wait()
		client.CloseIdleConnections()
	})
	return p
}

func (p *Proxy) count1(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &Request{Method: r.Method, Path: r.URL.EscapedPath(), Depth: r.Header.Get("Depth"), Chunked: r.ContentLength < 0}
		p.mu.Lock()
		req.N = len(p.log)
		p.log = append(p.log, req)
		before := p.before
		p.mu.Unlock()
		if before != nil {
			before(req.N, r)
		}
		// The body may still be read when its answer has ended.
		var in atomic.Int64
		r.Body = &inCount{ReadCloser: r.Body, n: &in}
		out := &outCount{ResponseWriter: w}
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			req.In, req.Out, req.Status = in.Load(), out.n, out.status
		}()
		next.ServeHTTP(out, r)
	})
}

// Before is called before each request is passed on, with its number since the
// last Reset. It may end the server, or wait.
func (p *Proxy) Before(f func(n int, r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = f
}

// Log gives the requests since the last Reset, in the order in which they came.
// Those under way are among them, with nothing yet of how they end.
func (p *Proxy) Log() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Request, 0, len(p.log))
	for _, r := range p.log {
		all = append(all, *r)
	}
	return all
}

// Count is how many requests of the given methods there were since the last
// Reset; without methods all of them.
func (p *Proxy) Count(methods ...string) int {
	n := 0
	for _, r := range p.Log() {
		if len(methods) == 0 || slices.Contains(methods, r.Method) {
			n++
		}
	}
	return n
}

// Writes is how many requests there were that change something.
func (p *Proxy) Writes() int {
	return p.Count("PUT", "POST", "DELETE", "MKCOL", "MKCALENDAR", "PROPPATCH", "MOVE", "COPY")
}

// Reset empties the log and counts from 0 again.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = nil
}

type inCount struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *inCount) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}

type outCount struct {
	http.ResponseWriter
	n      int64
	status int
}

func (c *outCount) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *outCount) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

func (c *outCount) Unwrap() http.ResponseWriter { return c.ResponseWriter }
