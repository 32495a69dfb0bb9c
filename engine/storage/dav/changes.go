package dav

import (
	"context"
	"net/http"
	"slices"
	"time"

	"davbus.org/davbus/engine"
)

// restTokens is how long a server that broke its word about tokens is listed
// instead; shorter where it may only have stumbled.
const (
	restTokens  = 24 * time.Hour
	restBriefly = time.Hour
)

// maxPages bounds the pages of one change list.
const maxPages = 10000

// Changes asks for a sync-collection report. A token that the server does not
// know, in whatever way it says so, is answered from empty.
func (st *Storage) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	if !st.tracks() {
		return engine.Delta{}, failf(engine.NotSupported, "list the changes of", st.url, "the server keeps no account of them")
	}
	d, err := st.withTexts(ctx, since)
	if err != nil && ends(err) && !engine.IsKind(err, engine.ServerError) {
		return engine.Delta{}, err
	}
	if since != "" && (err != nil || st.suspicious(since, d)) {
		before := d
		if d, err = st.changes(ctx, "", false); err == nil {
			d.Texts = still(before, d)
		}
	}
	if err == nil && d.Full && len(d.Changed) == 0 {
		err = st.proveEmpty(ctx)
	}
	if err != nil {
		return engine.Delta{}, st.noTokens(err)
	}
	st.learn(since, d)
	return d, nil
}

// still is what an earlier answer brought along that a later one has not overtaken:
// a text beside the etag of a newer one would be the licence to overwrite that.
func still(before, now engine.Delta) map[engine.Ref][]byte {
	texts := map[engine.Ref][]byte{}
	etags := make(map[engine.Ref]engine.Etag, len(now.Changed))
	for _, h := range now.Changed {
		etags[h.Ref] = h.Etag
	}
	for _, h := range before.Changed {
		if text, here := before.Texts[h.Ref]; here && etags[h.Ref] == h.Etag {
			texts[h.Ref] = text
		}
	}
	return texts
}

// withTexts asks for texts along with the changes, and without where the server
// does not take that: what they are too large for, or what it calls an error.
func (st *Storage) withTexts(ctx context.Context, since engine.Token) (engine.Delta, error) {
	st.mem.mu.Lock()
	ask := st.mem.inline != withheld
	proven := st.mem.inline == given
	st.mem.mu.Unlock()
	d, err := st.changes(ctx, since, ask)
	if !ask {
		return d, err
	}
	learned := given
	switch kind := engine.KindOf(err); {
	case err == nil && len(d.Changed) == 0:
		return d, nil
	case err == nil:
		if len(d.Texts) == 0 {
			learned = withheld
		}
	case kind == engine.TooLarge, !proven && !ends(err) || kind == engine.ServerError && !proven:
		without, werr := st.changes(ctx, since, false)
		if werr != nil {
			return without, werr // it was something else
		}
		d, err, learned = without, nil, withheld
	default:
		return d, err
	}
	st.mem.mu.Lock()
	st.mem.inline = learned
	st.mem.mu.Unlock()
	return d, err
}

// tracks reports whether a sync-collection report is worth asking for.
func (st *Storage) tracks() bool {
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	if st.mem.reports != nil && !slices.Contains(st.mem.reports, "sync-collection") {
		return false
	}
	return !st.s.opt.Now().Before(st.mem.listUntil)
}

// noTokens decides what an error of a report from empty means.
func (st *Storage) noTokens(err error) error {
	kind := engine.KindOf(err)
	if kind == engine.CollectionGone || ends(err) && kind != engine.ServerError {
		return err
	}
	rest := restTokens
	if kind == engine.ServerError {
		rest = restBriefly
	}
	st.mem.mu.Lock()
	st.mem.listUntil = st.s.opt.Now().Add(rest)
	st.mem.mu.Unlock()
	return failf(engine.NotSupported, "list the changes of", st.url, "%w", err)
}

// changes asks for all pages since a token; from the first again where one was cut.
func (st *Storage) changes(ctx context.Context, since engine.Token, inline bool) (engine.Delta, error) {
	return again(func() (engine.Delta, error) { return st.changesOnce(ctx, since, inline) })
}

func (st *Storage) changesOnce(ctx context.Context, since engine.Token, inline bool) (engine.Delta, error) {
	p := &pages{st: st, at: map[engine.Ref]int{}, texts: map[engine.Ref][]byte{}}
	token, seen := since, map[engine.Token]bool{since: true}
	for range maxPages {
		p.more = false
		doc, err := st.s.multistatus(ctx, st.syncReport(token, inline), p.response)
		if err != nil {
			return engine.Delta{}, err
		}
		token = engine.Token(doc.token)
		if !p.more {
			return p.delta(since, token), nil
		}
		if token == "" || seen[token] {
			break // it would send the same page for ever
		}
		seen[token] = true
	}
	return engine.Delta{}, failf(engine.ServerNonconforming, "list the changes of", st.url, "the server's pages have no end")
}

func (st *Storage) syncReport(token engine.Token, inline bool) call {
	props := "<D:getetag/>"
	if inline {
		props += st.dataProp()
	}
	return call{
		op: "list the changes of", on: st.url.Redacted(), method: "REPORT", url: st.url,
		head: map[string]string{"Depth": "0"}, final: token != "",
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<D:sync-collection " + spaces + "><D:sync-token>" + escape(string(token)) +
			"</D:sync-token><D:sync-level>1</D:sync-level><D:prop>" + props + "</D:prop></D:sync-collection>",
	}
}

// pages gathers what the pages of one report say. A later page overrules an
// earlier one.
type pages struct {
	st      *Storage
	changed []engine.Head
	gone    []engine.Ref
	at      map[engine.Ref]int // place in changed, from 0, or in gone, as -1 downwards
	texts   map[engine.Ref][]byte
	more    bool // the server said that this was a part only
}

func (p *pages) response(r *response) error {
	m, err := p.st.member(r)
	if err != nil {
		return failf(engine.ServerNonconforming, "list the changes of", p.st.url, "%w", err)
	}
	if m.outside {
		// It may be an item under another name of the collection: to pass it over
		// would be to miss a change.
		return failf(engine.ServerNonconforming, "list the changes of", p.st.url, "the server names things outside of it")
	}
	if m.own || m.ref == "" {
		switch {
		case r.status == http.StatusInsufficientStorage:
			p.more = true
		case m.own && r.status/100 > 2 && r.status != http.StatusNotFound:
			e := failf(kindOfStatus(r.status, r.why), "list the changes of", p.st.url, "%s", sayStatus(r.status, r.why))
			e.Status = r.status
			return e
		}
		return nil
	}
	if r.prop("resourcetype").has("collection") {
		return nil
	}
	p.forget(m.ref)
	if r.status == http.StatusNotFound || r.status == http.StatusGone {
		p.gone = append(p.gone, m.ref)
		p.at[m.ref] = -len(p.gone)
		return nil
	}
	h := engine.Head{Ref: m.ref, Etag: etagOf(r)}
	p.changed = append(p.changed, h)
	p.at[m.ref] = len(p.changed) - 1
	if text, ok := p.st.textOf(r); ok && h.Etag != "" {
		p.texts[m.ref] = text
		p.st.saw(h, text)
	}
	return nil
}

// forget takes back what an earlier response said about an item.
func (p *pages) forget(ref engine.Ref) {
	i, ok := p.at[ref]
	if !ok {
		return
	}
	if i >= 0 {
		p.changed[i].Ref = ""
	} else {
		p.gone[-i-1] = ""
	}
	delete(p.texts, ref)
}

func (p *pages) delta(since, token engine.Token) engine.Delta {
	d := engine.Delta{Full: since == "", Token: token, Texts: p.texts}
	d.Changed = slices.DeleteFunc(p.changed, func(h engine.Head) bool { return h.Ref == "" })
	d.Gone = slices.DeleteFunc(p.gone, func(r engine.Ref) bool { return r == "" })
	if d.Full {
		d.Gone = nil
	}
	return d
}

// suspicious reports whether an answer may be the whole collection, given to a
// token that the server did not know: such a list does not name what is gone.
// The question is asked again from empty then, which costs one request.
func (st *Storage) suspicious(since engine.Token, d engine.Delta) bool {
	if len(d.Gone) > 0 || len(d.Changed) == 0 {
		return len(d.Gone) == 0 && d.Token != since
	}
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	if st.mem.token != since {
		return len(d.Changed) > 1 // nothing to compare it with: this run is young
	}
	for _, h := range d.Changed {
		if e, ok := st.mem.heads[h.Ref]; ok && e == h.Etag && e != "" {
			return true // it repeats what it had told before
		}
	}
	return false
}

// learn keeps what the collection holds as of a token.
func (st *Storage) learn(since engine.Token, d engine.Delta) {
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	m := st.mem
	switch {
	case d.Full:
		m.heads = make(map[engine.Ref]engine.Etag, len(d.Changed))
	case m.heads == nil || m.token != since:
		m.heads, m.token = nil, ""
		return
	}
	for _, h := range d.Changed {
		m.heads[h.Ref] = h.Etag
	}
	for _, r := range d.Gone {
		delete(m.heads, r)
	}
	m.token, m.size = d.Token, len(m.heads)
}

// proveEmpty makes sure that a report without items means a collection without
// items, and not a question that was not understood.
func (st *Storage) proveEmpty(ctx context.Context) error {
	heads, err := st.list(ctx)
	if err == nil && len(heads) > 0 {
		err = failf(engine.ServerNonconforming, "list the changes of", st.url, "the server's report is empty, and the collection is not")
	}
	return err
}
