package davserver

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

func (s *Server) report(w http.ResponseWriter, r *http.Request, at place) error {
	body, err := readXML(r)
	if err != nil {
		return err
	}
	if body == nil {
		return refuse(http.StatusBadRequest, "a REPORT says in its body what it asks for")
	}
	if at.kind != atCollection {
		return refuse(http.StatusForbidden, "reports are answered by collections").because(davNS, "supported-report")
	}
	e, err := s.catalog.find(r.Context(), at)
	if err != nil {
		return err
	}
	ns := namespaceOf(at.of)
	switch {
	case body.is(davNS, "sync-collection"):
		return s.syncCollection(w, r, e, body)
	case body.is(ns, "calendar-multiget"), body.is(ns, "addressbook-multiget"):
		return s.multiget(w, r, e, body)
	case body.is(ns, "calendar-query"), body.is(ns, "addressbook-query"):
		return s.query(w, r, e, body)
	}
	return refuse(http.StatusForbidden, "this collection does not answer %s", body.name.Local).because(davNS, "supported-report")
}

func (s *Server) item(e entry) view {
	return view{place: place{kind: atItem, of: e.shelf.kind, name: e.shelf.name}, entry: e}
}

// multiget answers for each item by name; what is not there gets a 404 of its own.
func (s *Server) multiget(w http.ResponseWriter, r *http.Request, e entry, body *node) error {
	ask := wishOf(r, body)
	v := s.item(e)
	var refs []engine.Ref
	var strange []string // hrefs that name nothing in this collection
	seen := map[engine.Ref]bool{}
	for _, k := range body.kids {
		if !k.is(davNS, "href") {
			continue
		}
		ref, ok := s.refIn(e, k.trimmed())
		switch {
		case !ok:
			strange = append(strange, k.trimmed())
		case !seen[ref]:
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	m := startMultistatus(w)
	for _, href := range strange {
		m.status(href, http.StatusNotFound, "")
	}
	s.tellItems(r.Context(), m, v, refs, ask, nil)
	m.finish("")
	return nil
}

// refIn reads an href, absolute or only a path, that names an item of a
// collection.
func (s *Server) refIn(e entry, href string) (engine.Ref, bool) {
	u, err := url.Parse(href)
	if err != nil {
		return "", false
	}
	at, ok := s.place(u)
	return at.ref, ok && at.kind == atItem && at.of == e.shelf.kind && at.name == e.shelf.name
}

// query answers with the items that a filter lets through.
func (s *Server) query(w http.ResponseWriter, r *http.Request, e entry, body *node) error {
	filter, err := s.filterOf(body, e.shelf.kind)
	if err != nil {
		return err
	}
	limit, err := resultLimit(body, cardNS)
	if err != nil {
		return err
	}
	rows, err := e.rows(r.Context())
	if err != nil {
		return err
	}
	ask := wishOf(r, body)
	refs := make([]engine.Ref, len(rows))
	for i, row := range rows {
		refs[i] = row.Ref
	}
	cut := false
	if limit > 0 {
		if refs, cut, err = s.firstOf(r.Context(), e, refs, filter, limit); err != nil {
			return err
		}
	}
	m := startMultistatus(w)
	if cut {
		m.status(s.href(place{kind: atCollection, of: e.shelf.kind, name: e.shelf.name}), http.StatusInsufficientStorage, "number-of-matches-within-limits")
	}
	s.tellItems(r.Context(), m, s.item(e), refs, ask, filter.finds)
	m.finish("")
	return nil
}

// firstOf finds the first items that a filter lets through, and whether there
// are more.
func (s *Server) firstOf(ctx context.Context, e entry, refs []engine.Ref, f filter, limit int) (first []engine.Ref, more bool, err error) {
	for len(refs) > 0 {
		b, err := e.fetch(ctx, refs)
		if err != nil {
			return nil, false, err
		}
		for _, ref := range b.asked {
			if it, ok := b.items[ref]; ok && f.finds(it.Text) {
				if len(first) == limit {
					return first, true, nil
				}
				first = append(first, ref)
			}
		}
		refs = b.rest
	}
	return first, false, nil
}

// resultLimit is how many answers a client wants at most; 0 is any number.
func resultLimit(body *node, space string) (int, error) {
	n := body.kid(space, "limit").kid(space, "nresults")
	if n == nil {
		return 0, nil
	}
	limit, err := strconv.Atoi(n.trimmed())
	if err != nil || limit < 1 {
		return 0, refuse(http.StatusBadRequest, "nresults must be a number above 0")
	}
	return limit, nil
}

// syncCollection tells what changed since a token, a page at a time.
func (s *Server) syncCollection(w http.ResponseWriter, r *http.Request, e entry, body *node) error {
	if level := body.kid(davNS, "sync-level"); level != nil && level.trimmed() != "1" {
		return refuse(http.StatusForbidden, "only sync-level 1 is answered").because(davNS, "sync-traversal-supported")
	}
	limit, err := resultLimit(body, davNS)
	if err != nil {
		return err
	}
	if s.opt.PageSize > 0 && (limit == 0 || limit > s.opt.PageSize) {
		limit = s.opt.PageSize
	}
	token := ""
	if n := body.kid(davNS, "sync-token"); n != nil {
		token = n.trimmed()
	}
	page, next, more, err := e.changes(r.Context(), token, limit)
	if err != nil {
		return err
	}
	m := startMultistatus(w)
	s.tellRows(r.Context(), m, e, page, wishOf(r, body))
	if more {
		m.status(s.href(place{kind: atCollection, of: e.shelf.kind, name: e.shelf.name}), http.StatusInsufficientStorage, "number-of-matches-within-limits")
	}
	m.finish("<d:sync-token>" + escape(next.String()) + "</d:sync-token>")
	return nil
}

// changes finds a page of changes since a token, and the token behind it.
func (c *collection) changes(ctx context.Context, token string, limit int) (page []row, next mark, more bool, err error) {
	if err := c.lock.take(ctx); err != nil {
		return nil, next, false, err
	}
	defer c.lock.give()
	if err := c.refresh(ctx); err != nil {
		return nil, next, false, err
	}
	unknown := refuse(http.StatusForbidden, "this sync token is not known; start without one").because(davNS, "valid-sync-token")
	from := mark{epoch: c.journal.epoch}
	if token != "" {
		var ok bool
		if from, ok = parseMark(token); !ok {
			return nil, next, false, unknown
		}
		if !c.journal.holds(from) {
			page, err := c.sinceStorage(ctx, from, limit)
			if err == nil && page == nil {
				err = unknown
			}
			return page, c.here(), false, err
		}
	}
	page, seq, more := c.journal.since(from.seq, limit)
	next = c.here()
	if more {
		next = mark{epoch: c.journal.epoch, seq: seq}
	}
	return page, next, more, nil
}

// sinceStorage answers a token of an earlier life of this server out of the
// storage's own; nil if it cannot, or not within the limit.
func (c *collection) sinceStorage(ctx context.Context, from mark, limit int) ([]row, error) {
	tracker, ok := c.storage.(engine.Tracker)
	since, ours := strings.CutPrefix(string(from.storage), c.tag)
	if !ok || !ours || since == "" || c.lists || from.epoch == c.journal.epoch {
		return nil, nil
	}
	d, err := tracker.Changes(ctx, engine.Token(since))
	if err != nil || d.Full || limit > 0 && len(d.Changed)+len(d.Gone) > limit {
		return nil, err
	}
	if err := c.follow(ctx, d); err != nil {
		return nil, err
	}
	page := make([]row, 0, len(d.Changed)+len(d.Gone))
	for _, h := range d.Changed {
		if r, ok := c.journal.there(h.Ref); ok {
			page = append(page, *r)
		}
	}
	for _, ref := range d.Gone {
		page = append(page, row{Head: engine.Head{Ref: ref}, gone: true})
	}
	return page, nil
}
