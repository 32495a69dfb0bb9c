package group

import (
	"context"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
)

// An intake takes items in as a member yields them.
type intake struct {
	*run
	m     *member
	etags map[engine.Ref]engine.Etag // of what is to be fetched
	batch []*seen
	texts [][]byte
	bytes int
}

// fetch reads refs. What was not answered is asked again by the next run, and is
// meanwhile not known. The first result is the member's failure.
func (in *intake) fetch(ctx context.Context, refs []engine.Ref) (failed, err error) {
	answered := make(map[engine.Ref]bool, len(refs))
	if len(refs) > 0 {
		for it, e := range in.m.Storage.Fetch(ctx, refs) {
			if e != nil && it.Ref == "" {
				failed = e
				break
			}
			answered[it.Ref] = true
			if err = in.take(it, e); err != nil {
				return nil, err
			}
		}
	}
	if failed == nil {
		for _, ref := range refs {
			if !answered[ref] {
				in.pend(ref)
			}
		}
	}
	return failed, in.store()
}

// pend says that an item is there, or was a moment ago, and was not read. One that
// we wrote and never saw stays that: what is found there at last is not an edit of
// what nobody saw.
func (in *intake) pend(ref engine.Ref) {
	s := in.m.obs[ref]
	if s == nil {
		s = &seen{Seen: ledger.Seen{Member: in.m.id, Ref: ref}}
		in.m.obs[ref] = s
	}
	if s.Status == ledger.Written {
		s.blind = true
		return
	}
	s.Status, s.dirty = ledger.Pending, true
}

// refuse notes that an item cannot be read. What will not get better by itself
// is not asked again until its etag moves.
func (in *intake) refuse(ref engine.Ref, err error) {
	in.pend(ref)
	switch engine.KindOf(err) {
	case engine.InvalidItem, engine.TooLarge, engine.Forbidden, engine.NotSupported:
		if etag := in.etags[ref]; etag != "" && !in.m.obs[ref].blind {
			in.m.obs[ref].Status, in.m.obs[ref].Etag = ledger.Broken, etag
		}
	}
	in.complain(in.m, "r:"+string(ref), string(ref), "", err)
}

// take takes one item in, or the reason why it cannot be read.
func (in *intake) take(it engine.Item, failed error) error {
	m, old := in.m, in.m.obs[it.Ref]
	s := &seen{Seen: ledger.Seen{Member: m.id, Ref: it.Ref, Etag: it.Etag}, dirty: true, fresh: true}
	if old != nil {
		s.stored = old.stored
	}
	if failed != nil {
		in.refuse(it.Ref, failed)
		return nil
	}
	info := item.Read(it.Text)
	s.UID, s.Components, s.Sum = info.UID, strings.Join(info.Components, ","), item.Sum(it.Text)
	if reason := in.unusable(info, it); reason != nil {
		s.Status = ledger.Broken
		in.complain(m, "r:"+string(it.Ref), string(it.Ref), info.UID, reason)
	}
	switch {
	case old == nil || old.Text == 0:
		if !m.known.Surveyed.IsZero() {
			in.note(m, "add", it.Ref)
		}
	case old.Sum != s.Sum && old.Status != ledger.Written:
		in.note(m, "modify", it.Ref)
	}
	if old != nil && old.Status == ledger.Written {
		s.written = &old.Seen
	}
	m.obs[it.Ref] = s
	m.counts.Bytes += uint64(len(it.Text))
	in.sink.Done(1, int64(len(it.Text)))
	in.batch, in.texts, in.bytes = append(in.batch, s), append(in.texts, it.Text), in.bytes+len(it.Text)
	if len(in.batch) >= storeItems || in.bytes >= storeBytes {
		return in.store()
	}
	return nil
}

// unusable tells why a text must go nowhere: what is neither a calendar nor a
// card (an error page, a file of zeros) would overwrite a good copy.
func (in *intake) unusable(info item.Info, it engine.Item) error {
	on := string(in.m.ID) + "/" + string(it.Ref)
	switch kind := in.set.Key().Kind; {
	case len(it.Text) == 0:
		return engine.Fail(engine.InvalidItem, "read", on, "it is empty")
	case info.Kind == "":
		return engine.Fail(engine.InvalidItem, "read", on, "it is neither a calendar nor a card: %s", info.Reason)
	case nested(info):
		return engine.Fail(engine.InvalidItem, "read", on, "a whole calendar or card stands inside of the calendar; take the inner one out, or its first and last line away")
	case info.Kind != kind && (kind == engine.Calendar || kind == engine.AddressBook):
		return engine.Fail(engine.InvalidItem, "read", on, "%s in a collection of kind %s", info.Kind, kind)
	}
	return nil
}

// nested tells a calendar or card inside of a calendar: it is no item, and no
// place for a UID.
func nested(info item.Info) bool {
	return info.Kind == engine.Calendar && (slices.Contains(info.Components, "VCALENDAR") || slices.Contains(info.Components, "VCARD"))
}

// store keeps what was taken in.
func (in *intake) store() error {
	batch, texts := in.batch, in.texts
	in.batch, in.texts, in.bytes = nil, nil, 0
	if in.opt.DryRun {
		in.mu.Lock()
		defer in.mu.Unlock()
		for i, s := range batch {
			s.Text = in.imagine(texts[i])
		}
		return nil
	}
	if len(batch) == 0 {
		return nil
	}
	return in.set.Do(func(c *ledger.Change) (err error) {
		for i, s := range batch {
			if s.Text, err = c.Text(texts[i]); err != nil {
				return err
			}
			if s.written == nil {
				if err := c.PutSeen(s.Seen); err != nil {
					return err
				}
				s.stored, s.dirty = true, false
			}
		}
		return nil
	})
}
