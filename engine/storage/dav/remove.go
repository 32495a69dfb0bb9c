package dav

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// remove deletes a version. What is gone already is gone as wished, if the server
// does not serve it all the same: proxies answer 404 to what they do not let pass.
func (st *Storage) remove(ctx context.Context, w engine.Write) error {
	etag := w.Old.Etag
	if etag == "" {
		e, err := st.confirm(ctx, "delete", w)
		if err != nil {
			if engine.IsKind(err, engine.Changed) && strings.HasSuffix(err.Error(), "it is gone") {
				return nil
			}
			return err
		}
		etag = e
	}
	c := call{op: "delete", on: st.on(w.Old.Ref), method: http.MethodDelete, url: st.item(w.Old.Ref), head: map[string]string{"If-Match": string(etag)}}
	if etag == "" {
		c.head["If-Match"] = "*"
	}
	if st.c.Scheduling {
		c.head["Schedule-Reply"] = "F" // a person's deletion is told to nobody else by us
	}
	for try := 0; ; try++ {
		err := st.removeOnce(ctx, c, w.Old.Ref)
		if raw := st.spelledEtag(ctx, c, w.Old.Ref, err); raw != "" && try == 0 {
			c.head["If-Match"] = raw
			continue
		}
		if err == nil || !ambiguous(err) && !saysGone(err) {
			return err
		}
		now, gerr := st.get(ctx, w.Old.Ref)
		switch {
		case engine.IsKind(gerr, engine.NotFound):
			return nil
		case gerr == nil && now.Etag != w.Old.Etag && item.Sum(now.Text) != w.Was:
			return st.itemError(engine.Changed, "delete", w.Old.Ref, "somebody else has changed it")
		case gerr == nil && try == 0:
			continue
		}
		return err
	}
}

func (st *Storage) removeOnce(ctx context.Context, c call, ref engine.Ref) error {
	resp, err := st.s.send(ctx, c)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent, http.StatusAccepted:
		drop(resp)
		return nil
	case http.StatusNotFound, http.StatusGone:
		drop(resp)
		e := st.itemError(engine.ServerNonconforming, "delete", ref, "the server says that it is gone, which could not be confirmed")
		e.Status = resp.StatusCode
		return e
	case http.StatusMultiStatus:
		return st.innerError(ctx, c, ref, resp)
	}
	return st.writeError(st.s.refused(c, resp), true, ref)
}

func saysGone(err error) bool {
	e, ok := errors.AsType[*engine.Error](err)
	return ok && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}
