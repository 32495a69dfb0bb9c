package group

import (
	"context"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// record stores what came of one write.
func (w *writer) record(c *ledger.Change, t *task, out engine.Outcome) error {
	if out.Displaced != nil {
		id, err := c.Text(out.Displaced)
		if err != nil {
			return err
		}
		if _, err := c.Keep(w.version(w.m, t.entry, t.op.Over.Ref, "conflict"), id); err != nil {
			return err
		}
	}
	if out.Err != nil {
		return w.recordFailure(c, t, out.Err)
	}
	if err := c.Settle(t.intent, true); err != nil {
		return err
	}
	w.count(t, out)
	if t.op.Verb == plan.Delete {
		return w.recordDeletion(c, t)
	}
	k := &ledger.Mark{Item: t.entry.ID, Member: w.m.id, Ref: out.Head.Ref, Etag: out.Head.Etag, Sum: t.intent.Sum, Version: t.op.Version, Text: t.intent.Text, UID: t.uid}
	if out.UID != "" && out.UID != t.uid {
		text := item.WithUID(t.text, out.UID)
		id, err := c.Text(text)
		if err != nil {
			return err
		}
		k.Sum, k.Text, k.UID = item.Sum(text), id, out.UID
	}
	w.setMark(t.entry, k)
	if old := w.m.obs[t.op.Over.Ref]; old != nil && t.op.Over.Ref != k.Ref {
		if err := w.drop(c, t.op.Over.Ref); err != nil {
			return err
		}
	}
	o := &seen{Seen: ledger.Seen{Member: w.m.id, Ref: k.Ref, Etag: k.Etag, Sum: k.Sum, Text: k.Text, UID: k.UID, Components: t.entry.Components}}
	if old := w.m.obs[k.Ref]; old != nil {
		o.stored = old.stored
	}
	w.m.obs[k.Ref] = o
	if out.Kept {
		return w.mark(c, w.m, k)
	}
	// Until it is read back, the next run must not take this etag for our text.
	w.unread, w.owners[k.Ref] = append(w.unread, k.Ref), t.entry
	o.Status, o.stored = ledger.Written, true
	if err := c.PutSeen(o.Seen); err != nil {
		return err
	}
	return c.PutMark(*k)
}

func (w *writer) setMark(e *entry, k *ledger.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.marks[w.m.n] = k
}

func (w *writer) count(t *task, out engine.Outcome) {
	step, counts := engine.ItemStep{Member: w.m.ID, Item: t.name}, &w.m.counts
	switch t.op.Verb {
	case plan.Create:
		step.Action, step.Item = "add", string(out.Head.Ref)
		counts.Added++
	case plan.Replace:
		step.Action = "modify"
		counts.Modified++
	case plan.Delete:
		step.Action = "remove"
		counts.Removed++
	}
	counts.Bytes += uint64(len(t.text))
	w.sink.Item(step)
	w.note(w.m, step.Action, engine.Ref(step.Item))
}

// recordDeletion marks an item as gone. When every member has let it go, it is
// forgotten.
func (w *writer) recordDeletion(c *ledger.Change, t *task) error {
	if err := w.drop(c, t.op.Over.Ref); err != nil {
		return err
	}
	w.mu.Lock()
	forget := !t.entry.unsure
	if k := t.entry.marks[w.m.n]; k != nil {
		gone := *k
		gone.Gone = true
		t.entry.marks[w.m.n] = &gone
	}
	for _, k := range t.entry.marks {
		forget = forget && !k.Held()
	}
	k := t.entry.marks[w.m.n]
	w.mu.Unlock()
	switch {
	case t.entry.ID == 0:
		return nil
	case forget:
		return c.ForgetItem(t.entry.ID)
	case k != nil:
		return c.PutMark(*k)
	}
	return nil
}

// drop forgets what was seen under a ref.
func (w *writer) drop(c *ledger.Change, ref engine.Ref) error {
	o := w.m.obs[ref]
	delete(w.m.obs, ref)
	if o == nil || !o.stored {
		return nil
	}
	return c.DropSeen(w.m.id, ref)
}

// recordFailure leaves the member behind. What cannot have changed anything
// leaves no trace in history.
func (w *writer) recordFailure(c *ledger.Change, t *task, err error) error {
	if refused(err) {
		if e := c.Settle(t.intent, false); e != nil {
			return e
		}
	} else {
		w.setMoved() // find out at once what became of it
	}
	switch kind := engine.KindOf(err); {
	case kind == engine.Changed:
		w.setMoved()
		return nil
	case kind == engine.Cancelled:
		return nil
	case endsMember(err):
		return nil
	case kind == engine.AlreadyExists:
		w.setMoved() // it may have come here just now
		w.mu.Lock()
		w.again = true
		w.elsewhere[place{w.m.ID, plan.Key(t.entry.Key)}] = true
		w.mu.Unlock()
	}
	w.complainOp(t, err)
	return nil
}

func (w *writer) setMoved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = true
	w.m.look = true
}

// complainOp notes a write that was refused, and when it is tried again.
func (w *writer) complainOp(t *task, err error) {
	at := place{w.m.ID, plan.Key(t.entry.Key)}
	sum := t.entry.Sum
	if t.op.Verb == plan.Delete {
		sum = t.op.Was
	}
	p := ledger.Problem{
		Problem: engine.Problem{Group: w.set.Key().Group, Member: w.m.ID, Item: t.name, UID: t.entry.UID, Failure: engine.FailureOf(err), Since: w.now, Tries: 1},
		Key:     t.entry.Key, Verb: verbOf(t.op.Verb), Sum: sum,
	}
	if old, again := w.old[at]; again && old.Sum == sum && old.Verb == p.Verb {
		p.Since, p.Tries = old.Since, old.Tries+1
	}
	p.NextTry = w.now.Add(pause(p.Tries))
	if engine.IsKind(err, engine.AlreadyExists) && p.Tries == 1 {
		p.NextTry = time.Time{} // the job tries it once more at its end
	}
	w.mu.Lock()
	w.problems[at] = p
	w.mu.Unlock()
	w.m.counts.Failed++
	w.sink.Item(engine.ItemStep{Action: "fail", Member: w.m.ID, Item: t.name})
}

// pause is how long a refused write waits: from a quarter of an hour to a day.
func pause(tries uint32) time.Duration {
	return min(15*time.Minute<<min(tries-1, 7), 24*time.Hour)
}

// readBack reads what was written and not vouched for. What the server serves
// is the member's mark, and never its edit; unless its etag says that somebody
// wrote there since.
func (w *writer) readBack(ctx context.Context) error {
	if len(w.unread) == 0 || ctx.Err() != nil || w.m.err != nil {
		return nil
	}
	texts := map[engine.Ref]engine.Item{}
	d, tracked := w.changesSince(ctx)
	if tracked {
		for _, h := range d.Changed {
			if text, here := d.Texts[h.Ref]; here {
				texts[h.Ref] = engine.Item{Head: h, Text: text}
			}
		}
	}
	var fetch []engine.Ref
	for _, ref := range w.unread {
		if _, here := texts[ref]; !here {
			fetch = append(fetch, ref)
		}
	}
	if len(fetch) > 0 {
		for it, err := range w.m.Storage.Fetch(ctx, fetch) {
			if err == nil {
				texts[it.Ref] = it
			} else if it.Ref == "" {
				break // the next run reads the rest
			}
		}
	}
	clean := tracked && !d.Full
	return w.set.Do(func(c *ledger.Change) error {
		for _, ref := range w.unread {
			it, here := texts[ref]
			if !here {
				clean = false
				continue
			}
			own, err := w.served(c, ref, it)
			if err != nil {
				return err
			}
			clean = clean && own
		}
		if clean && w.echoes(d) {
			w.m.token = d.Token
			return c.Surveyed(w.m.id, d.Token, w.m.State)
		}
		return nil
	})
}

// changesSince asks for the changes since the survey, where they may bring the
// texts along or show that nobody else wrote meanwhile.
func (w *writer) changesSince(ctx context.Context) (engine.Delta, bool) {
	if w.m.tracker == nil || !w.m.inline || w.m.token == "" {
		return engine.Delta{}, false
	}
	d, err := w.m.tracker.Changes(ctx, w.m.token)
	return d, err == nil
}

// served makes what a server serves the mark of what we wrote. One that gave no
// etag for our write may serve somebody's edit by now: where a property says
// something else than we wrote, it is one, and the next run takes it for that.
func (w *writer) served(c *ledger.Change, ref engine.Ref, it engine.Item) (own bool, err error) {
	o, e := w.m.obs[ref], w.owners[ref]
	if o == nil || e == nil || o.Etag != "" && o.Etag != it.Etag {
		return false, nil // somebody wrote since; the next run sees what
	}
	if o.Etag == "" {
		ours, err := c.TextOf(o.Text)
		if err != nil || !sameWords(ours, w.m.view(it.Text, item.Read(it.Text).UID, o.UID)) {
			return false, err
		}
	}
	text, err := c.Text(it.Text)
	if err != nil {
		return false, err
	}
	k := *e.marks[w.m.n]
	k.Etag, k.Sum, k.Text, k.UID = it.Etag, item.Sum(it.Text), text, item.Read(it.Text).UID
	w.setMark(e, &k)
	o.Etag, o.Sum, o.Text, o.UID, o.Status = k.Etag, k.Sum, k.Text, k.UID, ledger.Known
	return true, w.mark(c, w.m, &k)
}

// echoes tells whether a delta holds nothing but our own writes.
func (w *writer) echoes(d engine.Delta) bool {
	for _, h := range d.Changed {
		if o := w.m.obs[h.Ref]; o == nil || o.Etag != h.Etag || h.Etag == "" {
			return false
		}
	}
	for _, ref := range d.Gone {
		if w.m.obs[ref] != nil {
			return false
		}
	}
	return true
}
