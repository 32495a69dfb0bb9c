package davtest

import (
	"io"
	"log"
	"net/http"
	"slices"
)

// A scripted fault and when it happens.
type scripted struct {
	match func(Request) bool
	times int // how often it still happens; below 0 for ever
	fault Fault
}

// Log gives the requests that were answered since the last ResetLog, in the
// order of their end.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Count is how many requests of the given methods there were; without methods
// all of them.
func (s *Server) Count(methods ...string) int {
	n := 0
	for _, r := range s.Log() {
		if len(methods) == 0 || slices.Contains(methods, r.Method) {
			n++
		}
	}
	return n
}

// ResetLog empties the log and counts requests from 0 again.
func (s *Server) ResetLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.count = nil, 0
}

// At lets a fault happen at request n, counted from 0 since the last ResetLog.
func (s *Server) At(n int, f Fault) {
	s.When(1, func(r Request) bool { return r.N == n }, f)
}

// Always lets a fault happen at every request of a method; "" is any.
func (s *Server) Always(method string, f Fault) {
	s.When(-1, func(r Request) bool { return method == "" || r.Method == method }, f)
}

// When lets a fault happen at the first requests that match, as often as times
// says; below 0 is always. Of several faults that match, the one that was set
// first is the outermost. match is called with the server's lock held.
func (s *Server) When(times int, match func(Request) bool, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, scripted{match, times, f})
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// begin numbers a request and finds what happens to it.
func (s *Server) begin(r *http.Request) (Request, http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := Request{
		N: s.count, Method: r.Method, Path: r.URL.EscapedPath(), Header: r.Header.Clone(),
		Chunked: r.ContentLength < 0,
	}
	s.count++
	h := s.handler
	for i := len(s.faults) - 1; i >= 0; i-- {
		if f := &s.faults[i]; f.times != 0 && f.match(req) {
			f.times--
			h = f.fault(h)
		}
	}
	return req, h
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	req, h := s.begin(r)
	in := &countingReader{ReadCloser: r.Body}
	r.Body = in
	out := &countingWriter{ResponseWriter: w}
	defer func() {
		req.In, req.Out, req.Status = in.n, out.n, out.status
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, req)
	}()
	h.ServeHTTP(out, r)
	if out.status == 0 && !out.cut {
		out.status = http.StatusOK
	}
}

type countingReader struct {
	io.ReadCloser
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	n      int64
	status int
	cut    bool
}

func (c *countingWriter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// quiet keeps what net/http says of cut connections out of a test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
