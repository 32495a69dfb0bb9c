// Package davserver serves collections of items as CalDAV and CardDAV: to
// programs that speak nothing else, to the demo, and to the tests.
//
// Item text is served and stored byte for byte. Every write is conditional on
// the version that was looked at, also where the client set no condition.
package davserver

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// A Backend gives the collections that are served. Every engine.Source is one.
// Look and Make are never called at once.
type Backend interface {
	Look(ctx context.Context, fresh bool) ([]engine.Collection, error)
	Open(c engine.Collection) (engine.Storage, error)
	Make(ctx context.Context, c engine.Collection) (engine.Collection, error)
}

// Options are how a Server serves. Only Backend is needed.
type Options struct {
	Backend Backend

	// Prefix is the path below which everything lies, "" or "/dav".
	Prefix string
	// User names the one principal; "" is "user".
	User string
	// Login decides whether a user may come in; nil asks nobody.
	Login func(user, password string) bool
	// Zone is where times happen that name no zone; nil is UTC.
	Zone *time.Location
	// ReadOnly refuses every change.
	ReadOnly bool

	// MaxItem is the largest item in bytes; 0 is 10 MiB.
	MaxItem int64
	// PageSize is how many items one sync-collection names at most; 0 is all.
	PageSize int
}

// Limits of what a request may carry.
const (
	defaultMaxItem = 10 << 20
	maxXML         = 64 << 20
	maxDepth       = 256
	maxElements    = 1 << 18
)

// A Server is an http.Handler for one person's collections. It serves on any
// connection; who may connect is decided by whoever listens.
type Server struct {
	opt     Options
	catalog catalog
}

// New makes a Server.
func New(opt Options) *Server {
	opt.Prefix = strings.TrimRight(opt.Prefix, "/")
	if opt.User == "" {
		opt.User = "user"
	}
	if opt.MaxItem == 0 {
		opt.MaxItem = defaultMaxItem
	}
	if opt.Zone == nil {
		opt.Zone = time.UTC
	}
	return &Server{opt: opt, catalog: newCatalog(opt.Backend)}
}

// LoginAs makes a Login that lets exactly one user in.
func LoginAs(user, password string) func(string, string) bool {
	return func(u, p string) bool {
		same := subtle.ConstantTimeCompare([]byte(u), []byte(user))
		return same&subtle.ConstantTimeCompare([]byte(p), []byte(password)) == 1
	}
}

// Classes of the DAV header: what a client may expect here.
const davClasses = "1, 3, extended-mkcol, calendar-access, addressbook"

const allowed = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL"

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		writeRefusal(w, r, err)
	}
}

// serve answers a request, or returns why it is refused; then it has written
// nothing.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	switch strings.TrimRight(r.URL.Path, "/") {
	case "/.well-known/caldav", "/.well-known/carddav":
		w.Header().Set("Location", s.opt.Prefix+"/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	if s.opt.Login != nil {
		if user, password, ok := r.BasicAuth(); !ok || !s.opt.Login(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="davbus", charset="UTF-8"`)
			return refuse(http.StatusUnauthorized, "log in with the user and password of this server")
		}
	}
	at, ok := s.place(r.URL)
	if !ok {
		return refuse(http.StatusNotFound, "there is nothing here; collections lie below %s", s.href(place{kind: atPrincipal}))
	}
	w.Header().Set("DAV", davClasses)
	if s.opt.ReadOnly && changes(r.Method) {
		return refuse(http.StatusForbidden, "this server is read-only").because(davNS, "need-privileges")
	}
	return s.dispatch(w, r, at)
}

func changes(method string) bool {
	switch method {
	case "PUT", "DELETE", "PROPPATCH", "MKCALENDAR", "MKCOL":
		return true
	}
	return false
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, at place) error {
	switch r.Method {
	case "OPTIONS":
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusOK)
		return nil
	case "PROPFIND":
		return s.propfind(w, r, at)
	case "PROPPATCH":
		return s.proppatch(w, r, at)
	case "REPORT":
		return s.report(w, r, at)
	case "MKCALENDAR", "MKCOL":
		return s.makeCollection(w, r, at)
	case "GET", "HEAD":
		return s.get(w, r, at)
	case "PUT":
		return s.put(w, r, at)
	case "DELETE":
		return s.delete(w, r, at)
	}
	w.Header().Set("Allow", allowed)
	return refuse(http.StatusMethodNotAllowed, "%s is not supported", r.Method)
}
