package dav

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// Apply carries out writes, as many at once as the server is good for. A write
// whose fate is not known even after asking is not yielded.
func (st *Storage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		a := &apply{st: st, writes: writes, out: make(chan applied)}
		var wg sync.WaitGroup
		for range min(len(writes), paceMost) {
			wg.Go(func() { a.work(ctx) })
		}
		go func() {
			wg.Wait()
			close(a.out)
		}()
		broke := false
		for got := range a.out {
			if broke {
				continue // what is under way is finished, and its fate found out by the next run
			}
			if !yield(got.i, got.Outcome) {
				broke = true
				a.halt(nil)
			}
		}
		if a.fatal != nil && !broke {
			yield(-1, engine.Outcome{Err: a.fatal})
		}
	}
}

type applied struct {
	i int
	engine.Outcome
}

// An apply is one call of Apply under way.
type apply struct {
	st     *Storage
	writes []engine.Write
	out    chan applied

	mu    sync.Mutex
	next  int
	over  bool
	fatal error // read when out is closed
}

// halt begins no further write.
func (a *apply) halt(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.fatal == nil {
		a.fatal = err
	}
}

func (a *apply) take(ctx context.Context) (int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil && !a.over {
		a.over = true
		a.fatal = engine.Fail(engine.Cancelled, "write to", a.st.c.Name, "%w", context.Canceled)
	}
	if a.over || a.next == len(a.writes) {
		return 0, false
	}
	a.next++
	return a.next - 1, true
}

func (a *apply) work(ctx context.Context) {
	for {
		i, ok := a.take(ctx)
		if !ok {
			return
		}
		head, kept, err := a.st.write(ctx, a.writes[i])
		if err != nil && (ends(err) || engine.IsKind(err, engine.CollectionGone)) {
			a.halt(err)
			return // not yielded: it was refused as a whole, or nobody knows
		}
		a.out <- applied{i, engine.Outcome{Head: head, Kept: kept, Err: err}}
	}
}

// write carries out one write.
func (st *Storage) write(ctx context.Context, w engine.Write) (engine.Head, bool, error) {
	if w.Verb != engine.Create && !validRef(w.Old.Ref) {
		return engine.Head{}, false, st.itemError(engine.Changed, w.Verb.String(), w.Old.Ref, "no item can be called so")
	}
	switch w.Verb {
	case engine.Delete:
		return engine.Head{}, false, st.remove(ctx, w)
	case engine.Replace:
		return st.replace(ctx, w)
	}
	h, kept, err := st.put(ctx, w, st.nameFor(w), "")
	if taken(err) && st.nameFor(w) != st.otherName(w) {
		// The name may belong to another item, or to this one: our own PUT of a
		// run that did not live to see the answer.
		there, gerr := st.get(ctx, st.nameFor(w))
		if gerr == nil && item.Read(there.Text).UID != w.UID {
			return st.put(ctx, w, st.otherName(w), "")
		}
	}
	return h, kept, err
}

// taken reports whether a create failed because the name was there.
func taken(err error) bool {
	e, ok := errors.AsType[*engine.Error](err)
	return ok && e.Status == http.StatusPreconditionFailed && e.Kind == engine.Changed
}

// replace stores a text over a version. Without an etag the text itself says
// whether it is still that version.
func (st *Storage) replace(ctx context.Context, w engine.Write) (engine.Head, bool, error) {
	etag := w.Old.Etag
	if etag == "" {
		e, err := st.confirm(ctx, "replace", w)
		if err != nil {
			return engine.Head{}, false, err
		}
		etag = e
	}
	return st.put(ctx, w, w.Old.Ref, etag)
}

// confirm fetches an item that has no etag and checks that it is still the
// version that a write names. It returns the etag that there may be now.
func (st *Storage) confirm(ctx context.Context, op string, w engine.Write) (engine.Etag, error) {
	now, err := st.get(ctx, w.Old.Ref)
	switch {
	case engine.IsKind(err, engine.NotFound):
		return "", st.itemError(engine.Changed, op, w.Old.Ref, "it is gone")
	case err != nil:
		return "", err
	case item.Sum(now.Text) != w.Was:
		return "", st.itemError(engine.Changed, op, w.Old.Ref, "somebody else has changed it")
	}
	return now.Etag, nil
}

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
		case gerr == nil:
			return engine.Head{}, false, st.itemError(engine.Changed, c.op, ref, "somebody else has changed it")
		case engine.IsKind(gerr, engine.NotFound):
			return engine.Head{}, false, st.itemError(engine.Changed, c.op, ref, "it is gone")
		}
		return engine.Head{}, false, err
	}
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

// remove deletes a version. What is gone already is gone as wished.
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
		if err == nil || !ambiguous(err) {
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
	case http.StatusOK, http.StatusNoContent, http.StatusAccepted, http.StatusNotFound, http.StatusGone:
		drop(resp)
		return nil
	case http.StatusMultiStatus:
		err := st.innerError(ctx, c, ref, resp)
		if e, ok := errors.AsType[*engine.Error](err); ok && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) {
			return nil
		}
		return err
	}
	return st.writeError(st.s.refused(c, resp), true, ref)
}
