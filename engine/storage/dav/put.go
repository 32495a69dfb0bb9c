package dav

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// put stores a text under a name: over the version of an etag, over any version
// that confirm has just seen (etag ""), or as a new item.
func (st *Storage) put(ctx context.Context, w engine.Write, ref engine.Ref, etag engine.Etag) (engine.Head, bool, error) {
	c := call{op: w.Verb.String(), on: st.on(ref), method: http.MethodPut, url: st.item(ref), body: string(w.Text), head: map[string]string{}}
	c.kind = "text/calendar; charset=utf-8"
	if st.book() {
		c.kind = "text/vcard; charset=utf-8"
	}
	switch {
	case w.Verb == engine.Create:
		c.head["If-None-Match"] = "*"
	case etag != "":
		c.head["If-Match"] = string(etag)
	default:
		c.head["If-Match"] = "*"
	}
	for try := 0; ; try++ {
		h, err := st.putOnce(ctx, c, ref)
		if err == nil {
			return h, st.stored(h, w.Text), nil
		}
		if raw := st.spelledEtag(ctx, c, ref, err); raw != "" && try == 0 {
			c.head["If-Match"] = raw
			continue
		}
		if !ambiguous(err) {
			return engine.Head{}, false, err
		}
		// The server may have stored it. What it holds now says so.
		now, gerr := st.get(ctx, ref)
		switch {
		case gerr == nil && item.Same(now.Text, w.Text):
			return now.Head, false, nil
		case gerr == nil && w.Verb == engine.Replace && (now.Etag != "" && now.Etag == w.Old.Etag || item.Sum(now.Text) == w.Was),
			engine.IsKind(gerr, engine.NotFound) && w.Verb == engine.Create:
			if try == 0 {
				continue // it has not; once more
			}
			return engine.Head{}, false, st.chokes(err, c, ref)
		case gerr == nil:
			return engine.Head{}, false, st.itemError(engine.Changed, c.op, ref, "somebody else has changed it")
		case engine.IsKind(gerr, engine.NotFound):
			return engine.Head{}, false, st.itemError(engine.Changed, c.op, ref, "it is gone")
		}
		return engine.Head{}, false, err
	}
}

// chokes tells a server that fails on this one item, every time it is given it,
// from one that fails altogether: one item must not hold up the others.
func (st *Storage) chokes(err error, c call, ref engine.Ref) error {
	e, ok := errors.AsType[*engine.Error](err)
	if !ok || e.Status != http.StatusInternalServerError {
		return err
	}
	bad := st.itemError(engine.InvalidItem, c.op, ref, "the server fails on this item and did not store it (500, twice); ask who runs it, or change the item")
	bad.Status = e.Status
	return bad
}

// spelledEtag looks, after a condition failed, whether the version is still the
// one that was named: some servers know their etags only as they spell them,
// weak or without quotes. It is "" if the condition failed by right.
func (st *Storage) spelledEtag(ctx context.Context, c call, ref engine.Ref, failed error) string {
	sent := c.head["If-Match"]
	if sent == "" || sent == "*" || !engine.IsKind(failed, engine.Changed) {
		return ""
	}
	_, raw, err := st.getRaw(ctx, ref)
	if err != nil || raw == sent || string(cleanEtag(raw)) != sent {
		return ""
	}
	return raw
}

// putOnce makes one PUT and reads the answer.
func (st *Storage) putOnce(ctx context.Context, c call, ref engine.Ref) (engine.Head, error) {
	resp, err := st.s.send(ctx, c)
	if err != nil {
		return engine.Head{}, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	case http.StatusMultiStatus:
		return engine.Head{}, st.innerError(ctx, c, ref, resp)
	default:
		return engine.Head{}, st.writeError(st.s.refused(c, resp), c.head["If-Match"] != "", ref)
	}
	drop(resp)
	h := engine.Head{Ref: ref, Etag: cleanEtag(resp.Header.Get("ETag"))}
	if resp.Request != nil && resp.Request.URL != nil {
		h.Ref = st.moved(h.Ref, resp.Request.URL.String()) // a redirect was followed
	}
	if where := resp.Header.Get("Location"); where != "" {
		h.Ref = st.moved(h.Ref, where) // the server has a name of its own for it
	}
	return h, nil
}

// moved is the ref of an item that the server says is somewhere else, if that
// is in this collection.
func (st *Storage) moved(ref engine.Ref, where string) engine.Ref {
	m, err := st.member(&response{href: where})
	if err != nil || m.ref == "" {
		return ref
	}
	return m.ref
}

// innerError reads the multistatus with which some servers answer a PUT or a
// DELETE that failed.
func (st *Storage) innerError(ctx context.Context, c call, ref engine.Ref, resp *http.Response) error {
	status, why := 0, ""
	_, err := readMultistatus(resp.Body, defaultLimits, func(r *response) error {
		if s := r.worst(); s != 0 && status == 0 {
			status, why = s, r.why
		}
		return nil
	})
	drop(resp)
	if err != nil {
		return st.s.netError(ctx, c, err)
	}
	if status == 0 {
		return st.itemError(engine.ServerNonconforming, c.op, ref, "the server answered with a list that tells of no failure and no success")
	}
	e := engine.Fail(kindOfStatus(status, why), c.op, c.on, "%s", sayStatus(status, why))
	e.Status = status
	return st.writeError(e, c.head["If-Match"] != "", ref)
}

// writeError turns what a status means for a collection into what it means for
// one write.
func (st *Storage) writeError(e *engine.Error, conditional bool, ref engine.Ref) error {
	why := ""
	if e.Err != nil {
		why = e.Err.Error()
	}
	content := strings.Contains(why, "(valid-") || strings.Contains(why, "(supported-") || strings.Contains(why, "(min-") ||
		strings.Contains(why, "(max-") || strings.Contains(why, "(allowed-")
	switch {
	case e.Kind == engine.AlreadyExists, e.Kind == engine.TooLarge, e.Kind == engine.AuthFailed:
	case e.Status == http.StatusPreconditionFailed && !content:
		e.Kind = engine.Changed
	case content:
		e.Kind = engine.InvalidItem
	case e.Status == http.StatusNotFound, e.Status == http.StatusGone:
		if conditional {
			e.Kind = engine.Changed // the item is
		}
	case e.Status == http.StatusConflict:
		e.Kind = engine.InvalidItem
		if conditional {
			e.Kind = engine.Changed
		}
	case e.Status == http.StatusMethodNotAllowed:
		e.Kind = engine.ReadOnly
	case e.Status == http.StatusBadRequest, e.Status == http.StatusUnsupportedMediaType, e.Status == http.StatusUnprocessableEntity:
		e.Kind = engine.InvalidItem
	}
	return e
}
