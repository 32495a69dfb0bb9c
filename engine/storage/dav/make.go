package dav

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"davbus.org/davbus/engine"
)

// Make makes a collection in the first home for its kind: a calendar by
// MKCALENDAR, else by extended MKCOL; an address book by extended MKCOL.
func (s *Source) Make(ctx context.Context, c engine.Collection) (engine.Collection, error) {
	f, err := s.discovered(ctx, false)
	if err != nil {
		return c, err
	}
	i := slices.IndexFunc(f.homes, func(h home) bool {
		return h.depth == 1 && (len(h.kinds) == 0 || slices.Contains(h.kinds, c.Kind))
	})
	if i < 0 || c.Kind != engine.Calendar && c.Kind != engine.AddressBook {
		return c, engine.Fail(engine.NotSupported, "make", c.Name, "the account has no place for a new %s", c.Kind)
	}
	name := c.Name
	if name == "" {
		name = c.ID
	}
	if !validRef(engine.Ref(name)) || len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return c, engine.Fail(engine.Invalid, "make", name, "a collection cannot have this name")
	}
	u := slashed(member(f.homes[i].url, spell(engine.Ref(name))))
	if err := s.make(ctx, u, c, true); err != nil {
		if !engine.IsKind(err, engine.InvalidItem) {
			return c, err
		}
		// Some servers refuse the whole because of one property.
		if err := s.make(ctx, u, c, false); err != nil {
			return c, err
		}
	}
	return s.made(ctx, u, c, f)
}

// make asks for a collection, with its metadata or with what it needs alone.
func (s *Source) make(ctx context.Context, u *url.URL, c engine.Collection, full bool) error {
	methods := []string{"MKCALENDAR", "MKCOL"}
	if c.Kind == engine.AddressBook {
		methods = methods[1:]
	}
	var err error
	for _, m := range methods {
		if err = s.makeBy(ctx, m, u, c, full); err == nil || !engine.IsKind(err, engine.NotSupported) {
			return err
		}
	}
	return err
}

func (s *Source) makeBy(ctx context.Context, method string, u *url.URL, c engine.Collection, full bool) error {
	root, typ := "C:mkcalendar", ""
	if method == "MKCOL" {
		root = "D:mkcol"
		typ = "<D:resourcetype><D:collection/>" + map[string]string{engine.Calendar: "<C:calendar/>", engine.AddressBook: "<R:addressbook/>"}[c.Kind] + "</D:resourcetype>"
	}
	k := call{
		op: "make", on: u.Redacted(), method: method, url: u, kind: xmlType,
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<" + root + " " + spaces + "><D:set><D:prop>" + typ + makeProps(c, full) + "</D:prop></D:set></" + root + ">",
	}
	resp, err := s.send(ctx, k)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusCreated, http.StatusOK, http.StatusNoContent:
		drop(resp)
		return nil
	case http.StatusMultiStatus, http.StatusFailedDependency:
		drop(resp)
		return failf(engine.InvalidItem, "make", u, "the server refuses one of its properties")
	}
	e := s.refused(k, resp)
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusConflict, http.StatusForbidden:
		// Servers say any of these where the place is taken.
		if s.exists(ctx, u) {
			e.Kind = engine.AlreadyExists
		} else if resp.StatusCode == http.StatusConflict {
			e.Kind = engine.Forbidden
		}
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		e.Kind = engine.InvalidItem
	}
	return e
}

func (s *Source) exists(ctx context.Context, u *url.URL) bool {
	there, err := again(func() (there bool, err error) {
		_, err = s.propfind(ctx, "look at", u, 0, `<D:resourcetype/>`, func(r *response) error {
			there = there || r.status == 0 || r.status/100 == 2
			return nil
		})
		return there, err
	})
	return err == nil && there
}

func makeProps(c engine.Collection, full bool) string {
	var b strings.Builder
	if c.Kind == engine.Calendar && len(c.Components) > 0 {
		b.WriteString("<C:supported-calendar-component-set>")
		for _, n := range c.Components {
			b.WriteString(`<C:comp name="` + escape(n) + `"/>`)
		}
		b.WriteString("</C:supported-calendar-component-set>")
	}
	if !full {
		return b.String()
	}
	for _, key := range engine.MetaKeys {
		if v, ok := c.Meta[key]; ok {
			p := metaProps(key, c.Kind)[0] // every key of MetaKeys has one
			b.WriteString("<" + p.prefix + ":" + p.name + ">" + escape(v) + "</" + p.prefix + ":" + p.name + ">")
		}
	}
	return b.String()
}

// made reads back what was made and sets what did not come along.
func (s *Source) made(ctx context.Context, u *url.URL, c engine.Collection, f *found) (engine.Collection, error) {
	out, err := s.readMade(ctx, u, f)
	if err != nil {
		return c, err
	}
	st, err := s.Open(out)
	if err != nil {
		return c, err
	}
	late := false
	for key, v := range c.Meta {
		if out.Meta[key] == cleanMeta(key, v) {
			continue
		}
		err := st.(*Storage).SetMeta(ctx, key, v, true)
		if err != nil && !engine.IsKind(err, engine.NotSupported) {
			return out, err
		}
		late = late || err == nil
	}
	if late {
		if out, err = s.readMade(ctx, u, f); err != nil {
			return c, err
		}
	}
	out.ID = c.ID
	return out, nil
}

func (s *Source) readMade(ctx context.Context, u *url.URL, f *found) (engine.Collection, error) {
	cols, err := s.lookAt(ctx, home{u, nil, 0}, f)
	if err != nil {
		return engine.Collection{}, err
	}
	if len(cols) != 1 {
		return engine.Collection{}, failf(engine.ServerNonconforming, "make", u, "the server made something that is neither a calendar nor an address book")
	}
	return cols[0], nil
}
