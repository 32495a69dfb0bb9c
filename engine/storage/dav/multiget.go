package dav

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// wantsAll reports whether most of the collection is wanted.
func (f *fetch) wantsAll() bool {
	f.st.mem.mu.Lock()
	defer f.st.mem.mu.Unlock()
	n := len(f.open)
	return n >= queryFrom && !f.st.mem.noQuery && 2*n >= f.st.mem.size && f.st.mem.size >= 0
}

// query asks for the whole collection. What it does not answer is asked for
// again in other ways, so nothing hangs on it.
func (f *fetch) query() bool {
	filters := []string{`<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>`}
	if f.st.book() {
		filters[0] = `<R:filter/>`
	}
	for i := 0; i < len(filters); i++ {
		before := f.openCount()
		_, err := again(func() (struct{}, error) { return struct{}{}, f.report(f.st.queryReport(filters[i]), nil) })
		if err != nil && ends(err) && !engine.IsKind(err, engine.ServerError) && !engine.IsKind(err, engine.Timeout) {
			return f.fail(err)
		}
		if f.ctx.Err() != nil {
			return f.fail(f.st.s.netError(f.ctx, call{op: "fetch from", on: f.st.url.Redacted()}, context.Cause(f.ctx)))
		}
		if i == 0 && !f.st.book() && (err != nil || f.openCount() == before) {
			// Some servers insist on the component, each by itself.
			for _, c := range f.st.components() {
				filters = append(filters, `<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="`+escape(c)+`"/></C:comp-filter></C:filter>`)
			}
			continue
		}
		if err != nil || f.openCount() == before && len(filters) == 1 {
			f.st.mem.mu.Lock()
			f.st.mem.noQuery = true
			f.st.mem.mu.Unlock()
			break
		}
	}
	return true
}

func (st *Storage) components() []string {
	if len(st.c.Components) > 0 {
		return st.c.Components
	}
	return []string{"VEVENT", "VTODO", "VJOURNAL"}
}

func (st *Storage) queryReport(filter string) call {
	root := "C:calendar-query"
	if st.book() {
		root = "R:addressbook-query"
	}
	return call{
		op: "fetch from", on: st.url.Redacted(), method: "REPORT", url: st.url,
		head: map[string]string{"Depth": "1"},
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<" + root + " " + spaces + "><D:prop><D:getetag/>" + st.dataProp() +
			"</D:prop>" + filter + "</" + root + ">",
	}
}

// report makes a request for texts and hands out those that were asked for and
// can be believed.
func (f *fetch) report(c call, asked map[engine.Ref]bool) error {
	_, err := f.st.s.multistatus(f.asking, c, func(r *response) error {
		m, err := f.st.member(r)
		if err != nil || m.ref == "" {
			return nil // asked again in another way
		}
		if (r.status == http.StatusNotFound || r.status == http.StatusGone) && asked[m.ref] {
			f.take(m.ref)
			return nil
		}
		text, ok := f.st.textOf(r)
		if r.status/100 > 2 || !ok {
			return nil
		}
		h := engine.Head{Ref: m.ref, Etag: etagOf(r)}
		if h.Etag == "" {
			h.Etag = f.st.listed(m.ref)
		}
		if f.take(m.ref) && !f.give(h, text) {
			return f.st.s.netError(f.ctx, c, context.Canceled)
		}
		return nil
	})
	return err
}

// nextBatch gives refs for one multiget, each once; nil when all were asked.
func (f *fetch) nextBatch() []engine.Ref {
	f.st.mem.mu.Lock()
	none := f.st.mem.noMulti
	f.st.mem.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal || none || f.singly {
		return nil
	}
	f.left = slices.DeleteFunc(f.left, func(r engine.Ref) bool { return !f.open[r] })
	if len(f.left) < 2 {
		return nil // a single one is asked for as it is
	}
	n := min(f.batch, len(f.left))
	if f.bytes > 0 {
		n = max(1, min(n, batchBytes/(f.bytes/f.given+1)))
	}
	refs := slices.Clone(f.left[:n])
	f.left = f.left[n:]
	return refs
}

// nextOne gives one ref that no multiget has answered.
func (f *fetch) nextOne() []engine.Ref {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal {
		return nil
	}
	if f.left = f.left[:0]; len(f.open) == 0 {
		return nil
	}
	for r := range f.open {
		return []engine.Ref{r}
	}
	return nil
}

// multiget asks for a batch. Where the server balks at its size, the batch is
// parted; what stays unanswered is fetched one by one.
func (f *fetch) multiget(refs []engine.Ref) bool {
	asked := make(map[engine.Ref]bool, len(refs))
	var hrefs strings.Builder
	for _, r := range refs {
		asked[r] = true
		hrefs.WriteString("<D:href>" + escape(f.st.item(r).EscapedPath()) + "</D:href>")
	}
	root := "C:calendar-multiget"
	if f.st.book() {
		root = "R:addressbook-multiget"
	}
	err := f.report(call{
		op: "fetch from", on: f.st.url.Redacted(), method: "REPORT", url: f.st.url,
		head: map[string]string{"Depth": "1"},
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<" + root + " " + spaces + "><D:prop><D:getetag/>" + f.st.dataProp() +
			"</D:prop>" + hrefs.String() + "</" + root + ">",
	}, asked)
	if err == nil {
		f.mu.Lock()
		f.batch = min(f.most, f.batch*2)
		f.mu.Unlock()
		return true
	}
	e, _ := errors.AsType[*engine.Error](err)
	switch e.Kind {
	case engine.Timeout, engine.ConnectionLost:
		// Perhaps it was too much at once; but a server that is silent or falls
		// over again and again is not asked for ever.
		if f.falls() {
			return f.fail(err)
		}
	case engine.Forbidden, engine.TooLarge, engine.ServerError, engine.QuotaExceeded:
		f.mu.Lock()
		if e.Kind != engine.ServerError {
			f.most = max(1, min(f.most, len(refs)/2)) // it is the size that it minds
			f.st.mem.mu.Lock()
			f.st.mem.batch = f.most
			f.st.mem.mu.Unlock()
		}
		if f.refusals++; f.refusals > refusalsMost {
			f.singly = true
		}
		f.mu.Unlock()
	case engine.NotSupported, engine.ServerNonconforming, engine.Changed, engine.InvalidItem:
		if e.Status != 0 { // the request was refused, not the answer broken
			f.st.mem.mu.Lock()
			f.st.mem.noMulti = true
			f.st.mem.mu.Unlock()
			return true
		}
	default:
		return f.fail(err)
	}
	f.smaller(refs)
	return true
}

// refusalsMost is how many batches a server may refuse before the rest is asked
// for one by one; to find one bad item among 64 takes six.
const refusalsMost = 12

// fallsMost is how many requests for texts may get no answer in one fetch.
const fallsMost = 3

func (f *fetch) falls() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fallen++
	return f.fallen > fallsMost
}

// smaller puts refs back, to be asked for in batches of half the size. Single
// ones are left to be fetched by themselves.
func (f *fetch) smaller(refs []engine.Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batch = max(1, min(f.batch, len(refs)/2))
	if len(refs) > 1 {
		f.left = append(f.left, refs...)
	}
}
