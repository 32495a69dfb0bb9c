package davserver

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// A wish is which properties a request asks for.
type wish struct {
	named   []xml.Name // as asked, each once
	all     bool       // every property there is, and those named
	names   bool       // only the names of those there are
	minimal bool       // nothing about properties that are not there
}

// wishOf reads a wish off the element that holds it; nil asks for everything.
func wishOf(r *http.Request, n *node) wish {
	w := wish{minimal: strings.Contains(r.Header.Get("Prefer"), "return=minimal") || r.Header.Get("Brief") == "t"}
	if n == nil {
		w.all = true
		return w
	}
	for _, k := range n.kids {
		switch {
		case k.is(davNS, "allprop"):
			w.all = true
		case k.is(davNS, "propname"):
			w.names = true
		case k.is(davNS, "prop"), k.is(davNS, "include"):
			for _, p := range k.kids {
				if !slices.Contains(w.named, p.name) {
					w.named = append(w.named, p.name)
				}
			}
		}
	}
	return w
}

func (w *wish) has(name xml.Name) bool { return slices.Contains(w.named, name) }

// needsText tells whether items must be read to answer.
func (w *wish) needsText(kind string) bool {
	return w.all || w.names || w.has(dav("getcontentlength")) || w.has(dataProp(kind))
}

// tell writes what a wish asks of one resource.
func (s *Server) tell(m *multistatus, v *view, w wish) {
	var found, missing propstat
	found.status, missing.status = http.StatusOK, http.StatusNotFound
	ask := w.named
	if w.all || w.names {
		ask = knownProps()
		for _, n := range w.named {
			if !slices.Contains(ask, n) {
				ask = append(ask, n)
			}
		}
	}
	for _, name := range ask {
		inner, ok := s.value(v, name)
		switch {
		case ok && w.names:
			found.props = append(found.props, element(name, ""))
		case ok:
			found.props = append(found.props, element(name, inner))
		case slices.Contains(w.named, name) && !w.minimal:
			missing.props = append(missing.props, element(name, ""))
		}
	}
	m.properties(s.href(v.place), found, missing)
}

func (s *Server) propfind(w http.ResponseWriter, r *http.Request, at place) error {
	depth := r.Header.Get("Depth")
	if depth != "0" && depth != "1" {
		return refuse(http.StatusForbidden, "ask with Depth 0 or 1").because(davNS, "propfind-finite-depth")
	}
	body, err := readXML(r)
	if err != nil {
		return err
	}
	if body != nil && !body.is(davNS, "propfind") {
		return refuse(http.StatusBadRequest, "the request's body is no propfind")
	}
	ask := wishOf(r, body)
	if at.kind >= atCollection {
		return s.propfindCollection(w, r, at, ask, depth == "1")
	}
	var list []entry
	if depth == "1" && at.kind == atHome {
		if list, err = s.catalog.list(r.Context()); err != nil {
			return err
		}
	}
	views := []view{{place: at}}
	if depth == "1" {
		views = append(views, s.below(at)...)
	}
	for _, e := range list {
		if e.shelf.kind != at.of {
			continue
		}
		v, err := s.viewOf(r.Context(), e, ask)
		if err != nil {
			return err
		}
		views = append(views, v)
	}
	m := startMultistatus(w)
	for i := range views {
		s.tell(m, &views[i], ask)
	}
	m.finish("")
	return nil
}

// below are the fixed places inside a place.
func (s *Server) below(at place) []view {
	switch at.kind {
	case atRoot:
		return []view{{place: place{kind: atPrincipal}}}
	case atPrincipal:
		return []view{{place: place{kind: atHome, of: engine.Calendar}}, {place: place{kind: atHome, of: engine.AddressBook}}}
	}
	return nil
}

// viewOf looks at a collection. Its items are listed only where the answer
// depends on them.
func (s *Server) viewOf(ctx context.Context, e entry, ask wish) (view, error) {
	v := view{place: place{kind: atCollection, of: e.shelf.kind, name: e.shelf.name}, entry: e}
	if err := e.open(ctx, s.opt.Backend, e.Collection); err != nil {
		return v, err
	}
	if err := e.lock.take(ctx); err != nil {
		return v, err
	}
	defer e.lock.give()
	var err error
	if v.meta, err = metaOf(ctx, e); err != nil {
		return v, err
	}
	if ask.all || ask.names || ask.has(dav("sync-token")) || ask.has(xml.Name{Space: csNS, Local: "getctag"}) {
		if err := e.refresh(ctx); err != nil {
			return v, err
		}
		v.token = e.here()
	}
	return v, nil
}

// propfindCollection answers for a collection, the items below it, or one item.
func (s *Server) propfindCollection(w http.ResponseWriter, r *http.Request, at place, ask wish, items bool) error {
	ctx := r.Context()
	e, err := s.catalog.find(ctx, at)
	if err != nil {
		return err
	}
	v, err := s.viewOf(ctx, e, ask)
	if err != nil {
		return err
	}
	var rows []row
	if items || at.kind == atItem {
		if rows, err = e.rows(ctx); err != nil {
			return err
		}
	}
	if at.kind == atItem {
		rows = slices.DeleteFunc(rows, func(r row) bool { return r.Ref != at.ref })
		if len(rows) == 0 {
			return refuse(http.StatusNotFound, "there is no item of this name")
		}
	}
	m := startMultistatus(w)
	if at.kind == atCollection {
		s.tell(m, &v, ask)
	}
	s.tellRows(ctx, m, e, rows, ask)
	m.finish("")
	return nil
}

// rows lists the items that are there now.
func (c *collection) rows(ctx context.Context) ([]row, error) {
	if err := c.lock.take(ctx); err != nil {
		return nil, err
	}
	defer c.lock.give()
	if err := c.refresh(ctx); err != nil {
		return nil, err
	}
	return c.journal.all(), nil
}

// tellRows tells of items, reading their texts where the wish needs them. An
// item that went away meanwhile is told as gone.
func (s *Server) tellRows(ctx context.Context, m *multistatus, e entry, rows []row, ask wish) {
	v := view{place: place{kind: atItem, of: e.shelf.kind, name: e.shelf.name}, entry: e}
	if !ask.needsText(e.shelf.kind) {
		for _, r := range rows {
			v.ref, v.etag = r.Ref, r.Etag
			if r.gone {
				m.status(s.href(v.place), http.StatusNotFound, "")
				continue
			}
			s.tell(m, &v, ask)
		}
		return
	}
	refs := make([]engine.Ref, 0, len(rows))
	for _, r := range rows {
		if r.gone {
			v.ref = r.Ref
			m.status(s.href(v.place), http.StatusNotFound, "")
			continue
		}
		refs = append(refs, r.Ref)
	}
	s.tellItems(ctx, m, v, refs, ask, nil)
}

// tellItems reads items and tells of those that keep wants; nil wants all.
func (s *Server) tellItems(ctx context.Context, m *multistatus, v view, refs []engine.Ref, ask wish, keep func(text []byte) bool) {
	for len(refs) > 0 {
		b, err := v.fetch(ctx, refs)
		if err != nil {
			m.abort()
		}
		for _, ref := range b.asked {
			it, ok := b.items[ref]
			v.ref = ref
			switch {
			case !ok && b.failed[ref] != nil:
				m.status(s.href(v.place), refusalOf(b.failed[ref], v.of).status, "")
			case !ok && keep == nil:
				m.status(s.href(v.place), http.StatusNotFound, "")
			case ok && (keep == nil || keep(it.Text)):
				v.etag, v.text, v.loaded = it.Etag, it.Text, true
				s.tell(m, &v, ask)
			}
		}
		refs = b.rest
	}
}
