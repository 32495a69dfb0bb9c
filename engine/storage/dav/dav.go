// Package dav reads and writes calendars on CalDAV servers and address books on
// CardDAV servers.
//
// It speaks through an http.RoundTripper, which brings the route, the login and
// the handling of redirects; it makes up its own requests and reads answers in
// its own streaming way, because item texts must stay the bytes they are and
// because one bad item must not spoil the rest. What servers do differently
// from the book is handled where it happens and named there; engine.md and the
// quirk table of the tests say which servers.
package dav

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"davbus.org/davbus/engine"
)

// A Resolver looks up where a domain keeps its calendars. A *net.Resolver is
// one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options say which account a source is for.
type Options struct {
	// URL is https://host/path, a bare domain, or user@domain.
	URL string

	// User is part of the identity of the collections.
	User string

	// Client carries the requests. It answers challenges, and follows redirects
	// to the same origin only. The body of an answer decodes itself.
	Client http.RoundTripper

	// Trust is told of a further origin that the account belongs to, before the
	// first request to it; nil if Client sends the login anywhere.
	Trust func(*url.URL)

	// Resolver finds the servers of a bare domain; nil where there is no DNS.
	Resolver Resolver

	// Kinds of collection to look for; nil for all.
	Kinds []string

	// Probe connects and tells the steps "stat", "connect", "uid" and "tls" for
	// Check; nil leaves them out.
	Probe func(ctx context.Context, u *url.URL, step func(name, detail string, err error)) error

	// Close ends the client's connections; may be nil.
	Close func()

	// Now is the clock; nil for the real one.
	Now func() time.Time
}

// A Source is one account on one server. It may be used by several goroutines.
type Source struct {
	opt  Options
	pace *pace

	mu     sync.Mutex
	found  *found               // nil before discovery
	memory map[string]*memory   // by collection URL
	kept   int                  // bodies kept in a row; see trust.go
	stores int                  // bodies stored
	wrote  map[string]bodyPrint // by item URL: what was stored and not seen again yet
}

// New makes a source. Nothing is asked of the server yet.
func New(o Options) (*Source, error) {
	if _, err := candidates(o); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Trust == nil {
		o.Trust = func(*url.URL) {}
	}
	return &Source{opt: o, pace: newPace(), memory: map[string]*memory{}, wrote: map[string]bodyPrint{}}, nil
}

// memory is what a source knows of one collection while it runs. All of it may
// be lost at any time.
type memory struct {
	mu        sync.Mutex
	spelled   map[engine.Ref]string      // how the server writes an href, where it is not how we would
	size      int                        // how many items there were; -1 while not known
	heads     map[engine.Ref]engine.Etag // as of token
	token     engine.Token
	listUntil time.Time // no sync-collection before
	reports   []string  // that it says it answers; nil if it does not say
	inline    answer    // whether sync-collection gives texts
	batch     int       // the largest multiget that it does not refuse for its size; 0 while not known
	noMulti   bool      // there is no multiget
	noQuery   bool      // a query for all texts gives none
}

// An answer is what is known about something that a server may give.
type answer uint8

const (
	untried answer = iota
	given
	withheld
)

func (s *Source) remember(u *url.URL) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := placeOf(u)
	m := s.memory[key]
	if m == nil {
		m = &memory{spelled: map[engine.Ref]string{}, size: -1}
		s.memory[key] = m
	}
	return m
}

// Close ends connections.
func (s *Source) Close() error {
	if s.opt.Close != nil {
		s.opt.Close()
	}
	return nil
}

func (s *Source) wants(kind string) bool {
	if len(s.opt.Kinds) == 0 {
		return true
	}
	for _, k := range s.opt.Kinds {
		if k == kind {
			return true
		}
	}
	return false
}
