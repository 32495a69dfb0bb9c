package group

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// How much of a survey is stored at once: a first sync of many photos must not
// hold them all in memory, and one that is cut off must not begin again.
const (
	storeItems = 256
	storeBytes = 4 << 20
)

// survey looks at every member at once.
func (r *run) survey(ctx context.Context) error {
	r.explainSlow()
	var wg sync.WaitGroup
	errs := make([]error, len(r.members))
	for i, m := range r.members {
		if m.Storage == nil || m.err != nil {
			m.read, m.asked = false, false
			continue
		}
		if !m.look || r.unmoved(m) {
			m.read, m.asked, m.token = true, false, m.known.Token
			m.look = false
			continue
		}
		wg.Go(func() { errs[i] = r.read(m.counting(ctx), m) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unmoved tells that a member need not be asked: it says itself that nothing
// moved, and nothing is open there.
func (r *run) unmoved(m *member) bool {
	if r.opt.Slow || m.State == "" || m.State != m.known.State || m.known.Surveyed.IsZero() || len(m.intents) > 0 {
		return false
	}
	for _, s := range m.obs {
		if s.Status == ledger.Pending || s.Status == ledger.Written {
			return false
		}
	}
	return true
}

func (r *run) explainSlow() {
	switch {
	case r.slow != "":
	case len(r.entries) == 0:
		r.slow = "first sync"
	case r.opt.Slow:
		r.slow = "asked for"
	default:
		for _, m := range r.members {
			if m.Storage != nil && m.known.Surveyed.IsZero() {
				r.slow = string(m.ID) + " is new here"
				return
			}
		}
	}
}

// read surveys one member. Its failure is the member's; an error is the ledger's.
func (r *run) read(ctx context.Context, m *member) error {
	m.asked, m.look = true, false
	heads, texts, err := r.list(ctx, m)
	if err != nil {
		m.read = false
		m.end(err)
		return nil
	}
	var fetch []engine.Ref
	etags := map[engine.Ref]engine.Etag{}
	for _, h := range heads {
		if r.mustRead(m, h) {
			if _, here := texts[h.Ref]; !here {
				fetch = append(fetch, h.Ref)
				etags[h.Ref] = h.Etag
			}
		}
	}
	r.sink.Total(len(fetch) + len(texts))
	if len(fetch) > 0 {
		r.sink.Phase("fetch")
	}
	in := &intake{run: r, m: m, etags: etags}
	for _, h := range heads {
		if text, here := texts[h.Ref]; here && r.mustRead(m, h) {
			if err := in.take(engine.Item{Head: h, Text: text}, nil); err != nil {
				return err
			}
		}
	}
	failed, err := in.fetch(ctx, fetch)
	if err != nil {
		return err
	}
	if m.read = failed == nil; !m.read {
		m.end(failed)
	}
	return nil
}

// mustRead tells whether a text is to be read: its head is new, or cannot tell.
func (r *run) mustRead(m *member, h engine.Head) bool {
	s := m.obs[h.Ref]
	return s == nil || h.Etag == "" || s.Etag != h.Etag || s.Status == ledger.Pending || s.Status == ledger.Written || r.opt.Slow && !s.fresh
}

// list gives the heads of all items, and drops from what was seen what is not
// there any more. Only a listing that came to its end does that.
func (r *run) list(ctx context.Context, m *member) ([]engine.Head, map[engine.Ref][]byte, error) {
	if m.tracker == nil {
		m.tracker, _ = m.Storage.(engine.Tracker)
	}
	if m.tracker != nil {
		since := m.known.Token
		if r.opt.Slow || m.known.Surveyed.IsZero() {
			since = ""
		}
		d, err := m.tracker.Changes(ctx, since)
		if err == nil {
			m.token, m.inline = d.Token, len(d.Texts) > 0 || len(d.Changed) == 0
			if !d.Full && since == "" {
				d.Full = true // everything was asked for
			}
			r.apply(m, d)
			return m.unfinished(d.Changed), d.Texts, nil
		}
		if !engine.IsKind(err, engine.NotSupported) {
			return nil, nil, err
		}
		m.tracker = nil
	}
	m.token = ""
	var heads []engine.Head
	for h, err := range m.Storage.List(ctx) {
		if err != nil {
			return nil, nil, err
		}
		heads = append(heads, h)
	}
	r.apply(m, engine.Delta{Full: true, Changed: heads})
	return m.unfinished(heads), nil, nil
}

// unfinished adds to what a delta names what an earlier run could not read, in one
// order every time: what a run asks for depends on what it knows and on nothing else.
func (m *member) unfinished(heads []engine.Head) []engine.Head {
	named := make(map[engine.Ref]bool, len(heads))
	var all []engine.Head
	for _, h := range heads {
		if !named[h.Ref] {
			named[h.Ref] = true
			all = append(all, h)
		}
	}
	var open []engine.Head
	for ref, s := range m.obs {
		if (s.Status == ledger.Pending || s.Status == ledger.Written) && !named[ref] {
			open = append(open, engine.Head{Ref: ref, Etag: s.Etag})
		}
	}
	slices.SortFunc(open, func(a, b engine.Head) int { return cmp.Compare(a.Ref, b.Ref) })
	return append(all, open...)
}

// apply drops what a delta says is gone.
func (r *run) apply(m *member, d engine.Delta) {
	gone := d.Gone
	if d.Full {
		there := make(map[engine.Ref]bool, len(d.Changed))
		for _, h := range d.Changed {
			there[h.Ref] = true
		}
		gone = nil
		for ref := range m.obs {
			if !there[ref] {
				gone = append(gone, ref)
			}
		}
	} else {
		// A delta may repeat itself; the later word about a ref is that it is there.
		gone = slices.DeleteFunc(slices.Clone(gone), func(ref engine.Ref) bool {
			return slices.ContainsFunc(d.Changed, func(h engine.Head) bool { return h.Ref == ref })
		})
	}
	for _, ref := range gone {
		s := m.obs[ref]
		if s == nil {
			continue
		}
		if s.stored {
			m.gone = append(m.gone, ref)
		}
		delete(m.obs, ref)
		if !m.known.Surveyed.IsZero() {
			r.note(m, "remove", ref)
		}
	}
}
