package dav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// A home is a place whose members are collections, or one collection itself.
type home struct {
	url   *url.URL
	kinds []string
	depth int // 1 for a home set, 0 for a collection that the account names itself
}

// found is what discovery learned. It does not change afterwards.
type found struct {
	principal *url.URL // nil if there is none
	homes     []home
	features  []string // of the DAV header
	scheduled bool     // the server sends invitations
}

// discover finds the homes of an account.
func (s *Source) discover(ctx context.Context) (*found, error) {
	starts, err := candidates(s.opt)
	if err != nil {
		return nil, err
	}
	f := &found{}
	var first error
	if len(starts) == 0 {
		starts, first = s.starts(ctx, domainOf(s.opt.URL))
	}
	for _, st := range starts {
		if err := s.discoverAt(ctx, st, f); err != nil {
			if e, ok := errors.AsType[*engine.Error](err); ok && e.Kind == engine.CollectionGone {
				e.Kind = engine.NotFound
				e.Err = fmt.Errorf("%w; check the url", e.Err)
			}
			if first == nil || proposes(err) {
				first = err
			}
			if stops(err) {
				return nil, err
			}
		}
	}
	if len(f.homes) == 0 {
		if first == nil {
			first = engine.Fail(engine.NotFound, "find the collections", s.opt.URL, "the server names no calendars and no address books; check the url")
		}
		return nil, first
	}
	for _, h := range f.homes {
		s.options(ctx, h.url, f)
	}
	return f, nil
}

// proposes reports whether an error says which url to try.
func proposes(err error) bool {
	var re interface{ RedirectTo() *url.URL }
	return errors.As(err, &re) || errors.As(err, new(*elsewhere))
}

// stops reports whether trying elsewhere makes no sense after an error.
func stops(err error) bool {
	switch engine.KindOf(err) {
	case engine.NotFound, engine.CollectionGone, engine.NotSupported, engine.ServerNonconforming,
		engine.Forbidden, engine.ServerError, engine.HostNotFound, engine.ConnectionRefused:
		return false
	}
	return true
}

const discoverProps = `<D:resourcetype/><D:current-user-principal/><D:principal-URL/><C:calendar-home-set/><R:addressbook-home-set/>`

// discoverAt follows one start to its homes: a collection, a principal, what
// names a principal, .well-known, or a plain folder of collections.
func (s *Source) discoverAt(ctx context.Context, st start, f *found) error {
	if f.covers(st.kinds) {
		return nil
	}
	r, at, err := s.describe(ctx, st.url)
	if err == nil {
		if f.take(r, at, st, s) {
			return nil
		}
		done, perr := s.principal(ctx, r, at, st, f)
		if done || perr != nil && stops(perr) {
			return perr
		}
		err = perr
	} else if stops(err) {
		return err
	}
	// The address itself does not tell; ask where a server must say it.
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		if !s.wants(kind) || len(st.kinds) > 0 && !slices.Contains(st.kinds, kind) || strings.HasPrefix(st.url.Path, "/.well-known/") {
			continue
		}
		wk := &url.URL{Scheme: st.url.Scheme, Host: st.url.Host, Path: wellKnown[kind]}
		wr, wat, werr := s.describe(ctx, wk)
		if werr != nil {
			if stops(werr) {
				return werr
			}
			if proposes(werr) {
				err = werr // it says where to look
			}
			continue
		}
		sub := start{wk, st.kinds}
		if f.take(wr, wat, sub, s) {
			continue
		}
		if _, werr := s.principal(ctx, wr, wat, sub, f); werr != nil && stops(werr) {
			return werr
		}
	}
	if len(f.homes) > 0 {
		return nil
	}
	if r != nil && r.prop("resourcetype").has("collection") {
		// No principal anywhere, as on small servers: its members may be collections.
		f.add(home{slashed(at), st.kinds, 1})
		return nil
	}
	return err
}

// describe asks for what discovery needs of one resource. A redirect of a
// domain's .well-known to a host of the same domain is followed.
func (s *Source) describe(ctx context.Context, u *url.URL) (*response, *url.URL, error) {
	var first *response
	get := func(u *url.URL) (document, error) {
		return again(func() (document, error) {
			first = nil
			return s.propfind(ctx, "find the collections at", u, 0, discoverProps, func(r *response) error {
				if first == nil {
					first = r
				}
				return nil
			})
		})
	}
	doc, err := get(u)
	var re interface{ RedirectTo() *url.URL }
	if errors.As(err, &re) && !strings.Contains(s.opt.URL, "://") && s.trust(domainOf(s.opt.URL), re.RedirectTo()) {
		doc, err = get(re.RedirectTo())
	}
	if err != nil {
		return nil, nil, err
	}
	if first == nil {
		return nil, nil, failf(engine.ServerNonconforming, "find the collections at", u, "the server answered with an empty list")
	}
	if first.status/100 > 2 {
		e := failf(kindOfStatus(first.status, first.why), "find the collections at", u, "%s", sayStatus(first.status, first.why))
		e.Status = first.status
		return nil, nil, e
	}
	at := doc.url
	if own, err := resolve(doc.url, first.href); err == nil {
		at = own
	}
	return first, at, nil
}

// take adds what a resource itself is or names: a collection, or the homes of a
// principal. It reports whether that was anything.
func (f *found) take(r *response, at *url.URL, st start, s *Source) bool {
	if kind := kindOf(r.prop("resourcetype")); kind != "" {
		f.add(home{slashed(at), []string{kind}, 0})
		return true
	}
	got := false
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		prop := kind + "-home-set"
		if !s.wants(kind) || len(st.kinds) > 0 && !slices.Contains(st.kinds, kind) {
			continue
		}
		for _, h := range r.prop(prop).hrefs() {
			if u, err := resolve(at, h); err == nil {
				f.add(home{slashed(u), []string{kind}, 1})
				got = true
			}
		}
	}
	return got
}

// principal follows a resource to its principal and takes the homes from there.
func (s *Source) principal(ctx context.Context, r *response, at *url.URL, st start, f *found) (bool, error) {
	for _, prop := range []string{"current-user-principal", "principal-URL"} {
		hrefs := r.prop(prop).hrefs()
		if len(hrefs) == 0 {
			continue
		}
		u, err := resolve(at, hrefs[0])
		if err != nil {
			return false, failf(engine.ServerNonconforming, "find the principal at", at, "%w", err)
		}
		pr, pat, err := s.describe(ctx, u)
		if err != nil {
			return false, err
		}
		f.principal = pat
		for _, p := range []string{"calendar-home-set", "addressbook-home-set"} {
			for _, h := range pr.prop(p).hrefs() {
				if _, err := resolve(pat, h); err != nil {
					return false, failf(engine.ServerNonconforming, "find the collections at", pat, "%w", err)
				}
			}
		}
		if f.take(pr, pat, st, s) {
			return true, nil
		}
	}
	return false, nil
}

// add joins homes at one place: they cost one request together.
func (f *found) add(h home) {
	for i, o := range f.homes {
		if placeOf(o.url) == placeOf(h.url) && o.depth == h.depth {
			for _, k := range h.kinds {
				if !slices.Contains(o.kinds, k) {
					f.homes[i].kinds = append(slices.Clone(f.homes[i].kinds), k)
				}
			}
			return
		}
	}
	f.homes = append(f.homes, h)
}

// covers reports whether there is a home for each of the kinds.
func (f *found) covers(kinds []string) bool {
	if len(kinds) == 0 {
		return len(f.homes) > 0
	}
	for _, k := range kinds {
		if !slices.ContainsFunc(f.homes, func(h home) bool { return slices.Contains(h.kinds, k) }) {
			return false
		}
	}
	return true
}

// options asks what the server can do. It is worth nothing to fail over.
func (s *Source) options(ctx context.Context, u *url.URL, f *found) {
	resp, err := s.send(ctx, call{op: "ask for options of", on: u.Redacted(), method: http.MethodOptions, url: u, repeat: true})
	if err != nil {
		return
	}
	drop(resp)
	if resp.StatusCode/100 != 2 {
		return
	}
	for _, line := range resp.Header.Values("DAV") {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.ToLower(strings.TrimSpace(part))
			if part != "" && !slices.Contains(f.features, part) {
				f.features = append(f.features, part)
			}
		}
	}
	f.scheduled = slices.Contains(f.features, "calendar-auto-schedule")
}
