package davtest

import (
	"io"
	"log"
	"net"
	"net/http"
	"slices"
)

// A scripted fault and when it happens.
type scripted struct {
	match func(Request) bool
	times int // how often it still happens; below 0 for ever
	fault Fault
}

// Log gives the requests since the last ResetLog whose answers have begun or that
// were cut, in this order. No client sees a byte or an end that is not in it.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, 0, len(s.log))
	for _, r := range s.log {
		all = append(all, *r)
	}
	return all
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
	out := &loggingWriter{ResponseWriter: w, s: s, req: &req}
	r.Body = &countingReader{ReadCloser: r.Body, w: out}
	defer out.end()
	h.ServeHTTP(out, r)
	if out.conn == nil {
		out.answer(http.StatusOK, 0)
	}
}

type countingReader struct {
	io.ReadCloser
	w *loggingWriter
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.w.s.mu.Lock()
	defer c.w.s.mu.Unlock()
	c.w.req.In += int64(n)
	return n, err
}

type loggingWriter struct {
	http.ResponseWriter
	s      *Server
	req    *Request
	logged bool
	conn   net.Conn // to be closed once the request is logged
}

// answer logs what is about to be sent, before it is.
func (w *loggingWriter) answer(status, length int) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.req.Status == 0 {
		w.req.Status = status
	}
	w.req.Out += int64(length)
	w.log()
}

func (w *loggingWriter) log() {
	if !w.logged {
		w.logged = true
		w.s.log = append(w.s.log, w.req)
	}
}

func (w *loggingWriter) end() {
	w.s.mu.Lock()
	w.log()
	w.s.mu.Unlock()
	if w.conn != nil {
		w.conn.Close()
	}
}

func (w *loggingWriter) WriteHeader(status int) {
	w.answer(status, 0)
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggingWriter) Write(p []byte) (int, error) {
	w.answer(http.StatusOK, len(p))
	return w.ResponseWriter.Write(p)
}

func (w *loggingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// quiet keeps what net/http says of cut connections out of a test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
