package dav

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

const lookProps = `<D:resourcetype/><D:displayname/><D:sync-token/><S:getctag/>` +
	`<A:calendar-color/><B:addressbook-color/><A:calendar-order/><C:calendar-description/><R:addressbook-description/>` +
	`<C:supported-calendar-component-set/><D:current-user-privilege-set/><D:supported-report-set/>` +
	`<C:max-resource-size/><R:max-resource-size/><R:supported-address-data/>`

// Look asks each home once. An account in which nothing has moved costs one
// request for each home set, calendars and address books together where the
// server keeps them together.
func (s *Source) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	f, err := s.discovered(ctx, fresh)
	if err != nil {
		return nil, err
	}
	all, err := s.lookAll(ctx, f)
	if engine.IsKind(err, engine.CollectionGone) && !fresh {
		// The homes are elsewhere now.
		if f, err = s.discovered(ctx, true); err == nil {
			all, err = s.lookAll(ctx, f)
		}
	}
	return all, err
}

func (s *Source) lookAll(ctx context.Context, f *found) ([]engine.Collection, error) {
	var all []engine.Collection
	var seen []string
	for _, h := range f.homes {
		cols, err := s.lookAt(ctx, h, f)
		if err != nil {
			return nil, err
		}
		for _, c := range cols {
			if !slices.Contains(seen, c.Identity) {
				seen = append(seen, c.Identity)
				all = append(all, c)
			}
		}
	}
	return all, nil
}

func (s *Source) discovered(ctx context.Context, fresh bool) (*found, error) {
	s.mu.Lock()
	f := s.found
	s.mu.Unlock()
	if f != nil && !fresh {
		return f, nil
	}
	f, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = f
	return f, nil
}

func (s *Source) lookAt(ctx context.Context, h home, f *found) ([]engine.Collection, error) {
	return again(func() ([]engine.Collection, error) { return s.lookOnce(ctx, h, f) })
}

func (s *Source) lookOnce(ctx context.Context, h home, f *found) ([]engine.Collection, error) {
	var out []engine.Collection
	own := false
	_, err := s.propfind(ctx, "list the collections at", h.url, h.depth, lookProps, func(r *response) error {
		u, err := resolve(h.url, r.href)
		if err != nil {
			if errors.As(err, new(*elsewhere)) {
				return nil // somebody else's, shown here: not ours to follow
			}
			return failf(engine.ServerNonconforming, "list the collections at", h.url, "%w", err)
		}
		if placeOf(u) == placeOf(h.url) {
			own = true
			if r.status/100 > 2 {
				e := failf(kindOfStatus(r.status, r.why), "list the collections at", h.url, "%s", sayStatus(r.status, r.why))
				e.Status = r.status
				return e
			}
		}
		if r.status == http.StatusInsufficientStorage {
			return failf(engine.ServerNonconforming, "list the collections at", h.url, "the server sent a part of the list only")
		}
		if c, ok := s.collection(r, u, f); ok {
			out = append(out, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !own && len(out) == 0 {
		return nil, failf(engine.ServerNonconforming, "list the collections at", h.url,
			"the server's list is empty and does not name the place itself")
	}
	return out, nil
}

// kindOf tells from a resourcetype what kind of collection a resource is.
func kindOf(n *node) string {
	switch {
	case n.has("calendar"):
		return engine.Calendar
	case n.has("addressbook"):
		return engine.AddressBook
	}
	return ""
}

// collection reads one response of a home. It is none of ours if it is another
// kind of resource: an inbox, a folder, a subscription to something elsewhere.
func (s *Source) collection(r *response, u *url.URL, f *found) (engine.Collection, bool) {
	rt := r.prop("resourcetype")
	kind := kindOf(rt)
	if kind == "" || !s.wants(kind) || r.status/100 > 2 ||
		rt.has("schedule-inbox") || rt.has("schedule-outbox") || rt.has("notification") || rt.has("deleted-calendar") {
		return engine.Collection{}, false
	}
	u = slashed(u)
	c := engine.Collection{
		Kind: kind, Meta: metaOf(r, u, kind), Writable: writable(r), URL: u.Redacted(),
		Scheduling: kind == engine.Calendar && f.scheduled,
		Identity:   placeOf(u) + " " + s.opt.User,
		State:      stateOf(r),
	}
	c.Name, c.Parent = nameOf(u)
	if kind == engine.AddressBook {
		c.Components, c.Formats = []string{"VCARD"}, formatsOf(r)
	} else if set := r.prop("supported-calendar-component-set"); set != nil {
		for _, k := range set.kids {
			if n := strings.ToUpper(k.attr["name"]); k.name == "comp" && n != "" && n != "VTIMEZONE" && !slices.Contains(c.Components, n) {
				c.Components = append(c.Components, n)
			}
		}
	}
	m := s.remember(u)
	m.mu.Lock()
	m.reports = reportsOf(r)
	m.mu.Unlock()
	return c, true
}

// formatsOf are the versions of vCard that an address book says it takes. One
// that says nothing is taken to take all: what servers leave out is as often a
// property that they lack as a version. Some name the element by its attribute.
func formatsOf(r *response) (formats []string) {
	set := r.prop("supported-address-data")
	if set == nil {
		return nil
	}
	for _, k := range set.kids {
		if !strings.EqualFold(k.attr["content-type"], "text/vcard") {
			continue
		}
		switch k.attr["version"] {
		case "3.0", "":
			formats = append(formats, engine.VCard3)
		case "4.0":
			formats = append(formats, engine.VCard4)
		}
	}
	return formats
}

// nameOf is what people know a collection by: the last segment of its path, and
// the one before. Google's calendars all end in "events".
func nameOf(u *url.URL) (name, parent string) {
	segs := segments(u)
	if n := len(segs); n > 2 && segs[n-1] == "events" && strings.HasSuffix(u.Hostname(), "googleusercontent.com") {
		segs = segs[:n-1]
	}
	if n := len(segs); n > 0 {
		name = segs[n-1]
		if n > 1 {
			parent = segs[n-2]
		}
	}
	return name, parent
}

// stateOf joins both marks of a state that a server may give: what moves either
// has moved.
func stateOf(r *response) string {
	token, _ := r.value("sync-token")
	ctag, _ := r.value("getctag")
	switch {
	case token == "" && ctag == "":
		return ""
	case ctag == "":
		return "token " + token
	case token == "":
		return "ctag " + ctag
	}
	return "token " + token + " ctag " + ctag
}

// writable reads the privileges; a server that tells none is taken at no word.
func writable(r *response) bool {
	set := r.prop("current-user-privilege-set")
	if set == nil || len(set.kids) == 0 {
		return true
	}
	for _, p := range set.kids {
		for _, w := range []string{"all", "write", "write-content", "bind"} {
			if p.has(w) {
				return true
			}
		}
	}
	return false
}

// reportsOf lists the reports that a collection says it answers; nil if it does
// not say.
func reportsOf(r *response) []string {
	var out []string
	if set := r.prop("supported-report-set"); set != nil {
		for _, sr := range set.kids {
			if rep := sr.child("report"); rep != nil {
				for _, k := range rep.kids {
					out = append(out, k.name)
				}
			} else if len(sr.kids) == 0 {
				out = append(out, sr.word())
			}
		}
	}
	return out
}

// Open gives the storage of a collection.
func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	if c.URL == "" {
		return nil, engine.Fail(engine.CollectionGone, "open", c.Name, "it has no url")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, engine.Fail(engine.Invalid, "open", c.Name, "its url %q cannot be read", c.URL)
	}
	return &Storage{s: s, url: slashed(u), c: c, mem: s.remember(u)}, nil
}

// Capabilities is what the server says it can do, after Look.
func (s *Source) Capabilities() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil {
		return nil
	}
	return slices.Clone(s.found.features)
}
