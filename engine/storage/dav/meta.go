package dav

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// metaOf reads what people see of a collection.
func metaOf(r *response, u *url.URL, kind string) engine.Meta {
	m := engine.Meta{}
	for _, key := range engine.MetaKeys {
		for _, prop := range metaProps(key, kind) {
			v, ok := r.value(prop.name)
			if v = cleanMeta(key, v); ok && v != "" {
				m[key] = v
				break
			}
		}
	}
	if m[engine.MetaName] == strings.Trim(u.Path, "/") {
		delete(m, engine.MetaName) // what Radicale says of one without a name
	}
	return m
}

type metaProp struct{ prefix, name string }

// metaProps are the properties that may hold a key; the first is the one that
// is written. Address books have no colour and no order by any standard; these
// names are in use.
func metaProps(key engine.MetaKey, kind string) []metaProp {
	book := kind == engine.AddressBook
	switch key {
	case engine.MetaName:
		return []metaProp{{"D", "displayname"}}
	case engine.MetaColor:
		if book {
			return []metaProp{{"B", "addressbook-color"}, {"A", "calendar-color"}}
		}
		return []metaProp{{"A", "calendar-color"}}
	case engine.MetaDescription:
		if book {
			return []metaProp{{"R", "addressbook-description"}}
		}
		return []metaProp{{"C", "calendar-description"}}
	}
	if key == engine.MetaOrder {
		return []metaProp{{"A", "calendar-order"}}
	}
	return nil
}

// cleanMeta brings a value to the form in which values are compared; "" for one
// that is none.
func cleanMeta(key engine.MetaKey, v string) string {
	v = strings.TrimSpace(v)
	switch key {
	case engine.MetaColor:
		hex := strings.TrimPrefix(v, "#")
		if len(hex) == 3 || len(hex) == 4 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		if len(hex) != 6 && len(hex) != 8 || !strings.HasPrefix(v, "#") {
			return ""
		}
		for i := range 6 {
			if !isHex(hex[i]) {
				return ""
			}
		}
		return "#" + strings.ToUpper(hex[:6])
	case engine.MetaOrder:
		n, err := strconv.Atoi(v)
		if err != nil {
			return ""
		}
		return strconv.Itoa(n)
	}
	return v
}

// Meta asks for the metadata.
func (st *Storage) Meta(ctx context.Context) (engine.Meta, error) {
	return again(func() (engine.Meta, error) { return st.metaOnce(ctx) })
}

func (st *Storage) metaOnce(ctx context.Context) (engine.Meta, error) {
	var m engine.Meta
	_, err := st.s.propfind(ctx, "read the metadata of", st.url, 0, lookProps, func(r *response) error {
		if u, err := resolve(st.url, r.href); err == nil && placeOf(u) == placeOf(st.url) || m == nil {
			m = metaOf(r, st.url, st.c.Kind)
		}
		return nil
	})
	if err == nil && m == nil {
		err = failf(engine.ServerNonconforming, "read the metadata of", st.url, "the server answered with an empty list")
	}
	return m, err
}

// SetMeta stores one key, or removes it. Where a removal is refused, an empty value
// may be taken for one: Xandikos answers the first with 500 and does the second.
func (st *Storage) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	err := st.tryMeta(ctx, key, value, set)
	if !set && engine.IsKind(err, engine.NotSupported) && st.tryMeta(ctx, key, "", true) == nil {
		return nil
	}
	return err
}

// tryMeta does so in one way and looks whether it was done: some servers say so of
// what they do not keep, and some break over what they cannot.
func (st *Storage) tryMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	op := "set the " + string(key) + " of"
	props := metaProps(key, st.c.Kind)
	if props == nil {
		return failf(engine.NotSupported, op, st.url, "no property of a collection is called so")
	}
	refusal := st.patch(ctx, op, props[0], value, set)
	switch engine.KindOf(refusal) {
	case engine.NotSupported, engine.ServerError:
	default:
		if refusal != nil {
			return refusal
		}
	}
	now, err := st.Meta(ctx)
	if err != nil {
		return err
	}
	if want := cleanMeta(key, value); set && now[key] == want || !set && now[key] == "" {
		return nil
	}
	if refusal == nil {
		return failf(engine.NotSupported, op, st.url, "the server says that it has, and has not")
	}
	return failf(engine.NotSupported, op, st.url, "%w", refusal)
}

// patch makes a PROPPATCH of one property.
func (st *Storage) patch(ctx context.Context, op string, p metaProp, value string, set bool) error {
	tag := p.prefix + ":" + p.name
	body := "<D:remove><D:prop><" + tag + "/></D:prop></D:remove>"
	if set {
		body = "<D:set><D:prop><" + tag + ">" + escape(value) + "</" + tag + "></D:prop></D:set>"
	}
	c := call{
		op: op, on: st.url.Redacted(), method: "PROPPATCH", url: st.url, kind: xmlType, repeat: true,
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<D:propertyupdate " + spaces + ">" + body + "</D:propertyupdate>",
	}
	resp, err := st.s.send(ctx, c)
	if err != nil {
		return err
	}
	defer drop(resp)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return nil
	case http.StatusMultiStatus:
	case http.StatusForbidden, http.StatusConflict, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		e := st.s.refused(c, resp)
		e.Kind = engine.NotSupported
		return e
	default:
		return st.s.refused(c, resp)
	}
	// The href may be spelled in any way: there is only one resource it can be.
	worst, why := 0, ""
	_, err = readMultistatus(resp.Body, defaultLimits, func(r *response) error {
		if w := r.worst(); w != 0 {
			worst, why = w, r.why
		}
		return nil
	})
	switch {
	case err != nil:
		return st.s.netError(ctx, c, err)
	case worst == 0, worst == http.StatusNotFound && !set:
		return nil
	case worst == http.StatusInsufficientStorage:
		return failf(engine.QuotaExceeded, op, st.url, "%s", sayStatus(worst, why))
	}
	return failf(engine.NotSupported, op, st.url, "the server does not keep it: %s", sayStatus(worst, why))
}
