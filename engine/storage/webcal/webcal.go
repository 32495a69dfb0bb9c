// Package webcal reads a calendar that a web server publishes as one file: what
// people subscribe to. It is read-only. The whole file is kept in memory and
// asked for with the validators of the last answer, so that a calendar at rest
// costs one empty answer.
//
// An item's etag is its sum, since many servers write times of their own into
// every answer.
package webcal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/dav"
)

// largest is the size of the largest file that is read.
const largest = 64 << 20

// Options say where the calendar is.
type Options struct {
	URL  string // http, https, webcal or webcals
	User string // is part of the identity; the login is the client's

	// Client carries the requests. It answers challenges, and follows redirects
	// to the same origin only. The body of an answer decodes itself.
	Client http.RoundTripper

	// Probe connects and tells its steps for Check; nil leaves them out.
	Probe func(ctx context.Context, u *url.URL, step func(name, detail string, err error)) error

	// Close ends the client's connections; may be nil.
	Close func()
}

// A Source is one published calendar. It may be used by several goroutines.
type Source struct {
	opt  Options
	url  *url.URL
	name string // the URL for people, without its query: that is often a secret

	mu   sync.Mutex // held while the server is asked
	last *answer    // the newest; nil before the first
	new  bool       // last has not been listed yet
}

var _ engine.Checker = (*Source)(nil)

// An answer is the calendar as it was served.
type answer struct {
	etag, modified string // validators
	calendar
}

// New makes a source. The server is not asked yet.
func New(opt Options) (*Source, error) {
	u, err := url.Parse(opt.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, engine.Fail(engine.Invalid, "open", "the web calendar", "the parameter \"url\" is no https://HOST/PATH without user and password")
	}
	switch u.Scheme {
	case "webcal", "webcals": // says what it is, not how to reach it
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, engine.Fail(engine.Invalid, "open", "the web calendar", "the scheme of the URL is https, http, webcal or webcals")
	}
	u.Fragment = ""
	return &Source{opt: opt, url: u, name: u.Scheme + "://" + u.Host + u.EscapedPath()}, nil
}

// Look asks for the calendar. Fresh asks without validators.
func (s *Source) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ask(ctx, "look at", fresh); err != nil {
		return nil, err
	}
	s.new = true
	return []engine.Collection{s.collection()}, nil
}

func (s *Source) collection() engine.Collection {
	base := path.Base(s.url.Path)
	name := strings.TrimSuffix(base, path.Ext(base))
	if name == "" || name == "/" || name == "." {
		name = "calendar"
	}
	return engine.Collection{
		Name: name, Parent: s.url.Host, Kind: s.last.kind, Components: s.last.components, Meta: s.last.meta,
		URL: s.name, Identity: "webcal:" + s.opt.User + "@" + s.url.String(), State: s.last.state,
	}
}

// ask brings s.last up to date.
func (s *Source) ask(ctx context.Context, op string, fresh bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return engine.Fail(engine.Invalid, op, s.name, "%w", err)
	}
	req.Header.Set("Accept", "text/calendar, text/vcard;q=0.9, */*;q=0.1")
	if s.last != nil && !fresh {
		if s.last.etag != "" {
			req.Header.Set("If-None-Match", s.last.etag)
		}
		if s.last.modified != "" {
			req.Header.Set("If-Modified-Since", s.last.modified)
		}
	}
	engine.Requested(ctx)
	resp, err := s.opt.Client.RoundTrip(req)
	if err != nil {
		return dav.Unanswered(ctx, op, s.name, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && s.last != nil && !fresh:
		return nil
	case resp.StatusCode != http.StatusOK:
		return dav.Refused(op, s.name, resp)
	}
	next := answer{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}
	text, err := io.ReadAll(io.LimitReader(resp.Body, largest+1))
	if err != nil {
		return dav.Unanswered(ctx, op, s.name, err)
	}
	if len(text) > largest {
		return engine.Fail(engine.TooLarge, op, s.name, "the calendar is larger than %d MiB", largest>>20)
	}
	if next.calendar, err = read(utf8Text(text, resp.Header.Get("Content-Type"))); err != nil {
		kind := engine.ServerNonconforming
		if err == errLines {
			kind = engine.TooLarge
		}
		return engine.Fail(kind, op, s.name, "%w", err)
	}
	s.last = &next
	return nil
}

// Open gives the storage of the calendar.
func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	if want := "webcal:" + s.opt.User + "@" + s.url.String(); c.Identity != want {
		return nil, engine.Fail(engine.CollectionGone, "open", s.name, "the calendar that was meant had another address or user")
	}
	return &Storage{s}, nil
}

// Make is not possible.
func (s *Source) Make(_ context.Context, c engine.Collection) (engine.Collection, error) {
	return engine.Collection{}, engine.Fail(engine.NotSupported, "make", c.Name, "a web calendar is read-only")
}

// Capabilities is empty.
func (s *Source) Capabilities() []string { return nil }

// Close ends the client's connections.
func (s *Source) Close() error {
	if s.opt.Close != nil {
		s.opt.Close()
	}
	return nil
}

// Check connects and reads the calendar.
func (s *Source) Check(ctx context.Context, step func(engine.Step)) error {
	if s.opt.Probe != nil {
		err := s.opt.Probe(ctx, s.url, func(name, detail string, err error) { step(engine.Step{Name: name, Detail: detail, Err: err}) })
		if err != nil {
			return dav.Unanswered(ctx, "reach", s.name, err)
		}
	}
	_, err := s.Look(ctx, true)
	detail := ""
	if err == nil {
		s.mu.Lock()
		detail = fmt.Sprintf("%d items", len(s.last.items))
		s.mu.Unlock()
	}
	step(engine.Step{Name: "collections", Detail: detail, Err: err})
	return err
}

// A Storage is the items of the calendar.
type Storage struct{ source *Source }

// List asks the server, unless a Look did so since the last listing.
func (s *Storage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		items, err := s.source.listed(ctx)
		if err != nil {
			yield(engine.Head{}, err)
			return
		}
		for _, it := range items {
			if !yield(it.Head, nil) {
				return
			}
		}
	}
}

func (s *Source) listed(ctx context.Context) ([]engine.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, engine.Fail(engine.Cancelled, "list", s.name, "%w", err)
	}
	if !s.new {
		if err := s.ask(ctx, "list", false); err != nil {
			return nil, err
		}
	}
	s.new = false
	return s.last.items, nil
}

// Fetch gives items of the last listing.
func (s *Storage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		if len(refs) == 0 {
			return
		}
		last, err := s.source.latest(ctx)
		if err != nil {
			yield(engine.Item{}, err)
			return
		}
		for _, ref := range refs {
			if err := ctx.Err(); err != nil {
				yield(engine.Item{}, engine.Fail(engine.Cancelled, "fetch", s.source.name, "%w", err))
				return
			}
			if i, ok := last.where[ref]; ok {
				it := last.items[i]
				it.Text = bytes.Clone(it.Text)
				if !yield(it, nil) {
					return
				}
			}
		}
	}
}

func (s *Source) latest(ctx context.Context) (*answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		if err := s.ask(ctx, "fetch", false); err != nil {
			return nil, err
		}
	}
	return s.last, nil
}

// Apply refuses every write.
func (s *Storage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i, w := range writes {
			err := engine.Fail(engine.ReadOnly, w.Verb.String(), string(w.Old.Ref), "a web calendar is read-only")
			if !yield(i, engine.Outcome{Err: err}) {
				return
			}
		}
	}
}
