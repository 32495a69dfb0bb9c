package davserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A collection is one that is open. Its lock guards everything in it and stands
// for the promise that nothing is called concurrently on one Storage. It is
// never held while an answer is written.
type collection struct {
	identity string
	tag      string // made from the identity, in front of the storage's own tokens

	lock    lock
	storage engine.Storage
	journal *journal
	token   engine.Token // the storage's own, of what the journal has seen
	lists   bool         // the storage has no tokens
}

func newCollection(identity string) *collection {
	return &collection{
		identity: identity, tag: string(madeEtag([]byte(identity))[:16]) + ".",
		lock: newLock(), journal: newJournal(),
	}
}

// here is the mark of this moment. The lock is held.
func (c *collection) here() mark {
	m := mark{epoch: c.journal.epoch, seq: c.journal.seq}
	if c.token != "" {
		m.storage = engine.Token(c.tag) + c.token
	}
	return m
}

func (c *collection) open(ctx context.Context, b Backend, as engine.Collection) error {
	if err := c.lock.take(ctx); err != nil {
		return err
	}
	defer c.lock.give()
	if c.storage != nil {
		return nil
	}
	storage, err := b.Open(as)
	if err == nil {
		c.storage = storage
	}
	return err
}

// refresh brings the journal up to what the storage has. The lock is held.
func (c *collection) refresh(ctx context.Context) error {
	if tracker, ok := c.storage.(engine.Tracker); ok && !c.lists {
		d, err := tracker.Changes(ctx, c.token)
		if err == nil {
			return c.follow(ctx, d)
		}
		if !engine.IsKind(err, engine.NotSupported) {
			return err
		}
		c.lists = true
	}
	var heads []engine.Head
	for h, err := range c.storage.List(ctx) {
		if err != nil {
			return err
		}
		heads = append(heads, h)
	}
	if err := c.stamp(ctx, heads); err != nil {
		return err
	}
	c.journal.seeAll(heads)
	return nil
}

func (c *collection) follow(ctx context.Context, d engine.Delta) error {
	if err := c.stamp(ctx, d.Changed); err != nil {
		return err
	}
	if d.Full {
		c.journal.seeAll(d.Changed)
	} else {
		for _, h := range d.Changed {
			c.journal.see(h)
		}
		for _, ref := range d.Gone {
			c.journal.miss(ref)
		}
	}
	c.token = d.Token
	return nil
}

// stamp gives heads without an etag one made from their text.
func (c *collection) stamp(ctx context.Context, heads []engine.Head) error {
	at := map[engine.Ref]*engine.Head{}
	var refs []engine.Ref
	for i := range heads {
		if heads[i].Etag == "" {
			at[heads[i].Ref] = &heads[i]
			refs = append(refs, heads[i].Ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	for it, err := range c.storage.Fetch(ctx, refs) {
		if err != nil && it.Ref == "" {
			return err
		}
		if h := at[it.Ref]; h != nil && err == nil {
			h.Etag = versionOf(it)
		}
	}
	return nil
}

// versionOf is an item's etag, or one made from its text.
func versionOf(it engine.Item) engine.Etag {
	if it.Etag != "" {
		return it.Etag
	}
	return madeEtag(it.Text)
}

func madeEtag(text []byte) engine.Etag {
	sum := sha256.Sum256(text)
	return engine.Etag(hex.EncodeToString(sum[:16]))
}

// etagHeader spells an etag as HTTP wants it.
func etagHeader(e engine.Etag) string { return `"` + url.PathEscape(string(e)) + `"` }

// fetch gives the texts of some items, as many as fit into one batch. What is
// gone is left out; an item that cannot be read has its error in failed.
func (c *collection) fetch(ctx context.Context, refs []engine.Ref) (b batch, err error) {
	if err := c.lock.take(ctx); err != nil {
		return b, err
	}
	defer c.lock.give()
	n := min(len(refs), batchItems)
	b = batch{items: map[engine.Ref]engine.Item{}, failed: map[engine.Ref]error{}}
	b.asked, b.rest = refs[:n], refs[n:]
	size := 0
	for it, err := range c.storage.Fetch(ctx, b.asked) {
		switch {
		case err != nil && it.Ref == "":
			return b, err
		case err != nil:
			b.failed[it.Ref] = err
			continue
		}
		it.Etag = versionOf(it)
		b.items[it.Ref] = it
		if size += len(it.Text); size > batchBytes {
			b.cut()
			break
		}
	}
	return b, nil
}

// A batch is bounded in number and, but for its last item, in bytes.
const (
	batchItems = 64
	batchBytes = 8 << 20
)

type batch struct {
	items  map[engine.Ref]engine.Item
	failed map[engine.Ref]error
	asked  []engine.Ref // what the batch tells of
	rest   []engine.Ref // what it does not
}

// cut moves what was asked and not answered to the rest.
func (b *batch) cut() {
	var done, left []engine.Ref
	for _, ref := range b.asked {
		_, got := b.items[ref]
		if _, bad := b.failed[ref]; got || bad {
			done = append(done, ref)
		} else {
			left = append(left, ref)
		}
	}
	b.asked, b.rest = done, append(left, b.rest...)
}

// one gives a single item.
func (c *collection) one(ctx context.Context, ref engine.Ref) (engine.Item, error) {
	b, err := c.fetch(ctx, []engine.Ref{ref})
	if err != nil {
		return engine.Item{}, err
	}
	if err := b.failed[ref]; err != nil {
		return engine.Item{}, err
	}
	it, ok := b.items[ref]
	if !ok {
		return it, refuse(http.StatusNotFound, "there is no item of this name")
	}
	return it, nil
}

// holder finds which other item has a UID. It reads the texts that it has not
// read yet. The lock is held.
func (c *collection) holder(ctx context.Context, uid engine.UID, except engine.Ref) (engine.Ref, bool, error) {
	var unread []engine.Ref
	for _, r := range c.journal.rows {
		if !r.gone && !r.known {
			unread = append(unread, r.Ref)
		}
	}
	if len(unread) > 0 {
		for it, err := range c.storage.Fetch(ctx, unread) {
			if err != nil && it.Ref == "" {
				return "", false, err
			}
			if r, ok := c.journal.there(it.Ref); ok && err == nil {
				r.uid, r.known = item.Read(it.Text).UID, true
			}
		}
	}
	for _, r := range c.journal.rows {
		if !r.gone && r.uid == uid && r.Ref != except {
			return r.Ref, true, nil
		}
	}
	return "", false, nil
}

// apply carries out one write and notes what came of it. The lock is held.
func (c *collection) apply(ctx context.Context, w engine.Write) (engine.Outcome, error) {
	out := engine.Outcome{Err: engine.Fail(engine.Internal, w.Verb.String(), string(w.Old.Ref), "the storage does not tell what came of it; look again")}
	for _, o := range c.storage.Apply(ctx, []engine.Write{w}) {
		out = o
		break
	}
	if out.Err != nil {
		return out, out.Err
	}
	if w.Verb == engine.Delete {
		c.journal.miss(w.Old.Ref)
		return out, nil
	}
	if out.Head.Etag == "" && out.Kept {
		out.Head.Etag = madeEtag(w.Text)
	}
	if out.Head.Etag != "" {
		r := c.journal.see(out.Head)
		r.uid, r.known = w.UID, true
	}
	return out, nil
}

// matches reports whether one of the etags in a header is this one. Weak ones
// match nothing, as RFC 9110 asks of conditional writes.
func matches(header string, etag engine.Etag) bool {
	for part := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(part) == etagHeader(etag) {
			return true
		}
	}
	return false
}
