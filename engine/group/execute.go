package group

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
	"davbus.org/davbus/engine/turn"
)

// How many writes are announced to the ledger, made, and recorded at once.
const (
	batchWrites = 128
	batchBytes  = 4 << 20
)

// A task is one write to one member.
type task struct {
	op     plan.Op
	entry  *entry
	name   string
	reason string // for history
	text   []byte
	other  bool       // it is not the agreed one
	uid    engine.UID // that it bears
	intent ledger.Intent
}

// execute carries out the writes of a plan, each member by itself. An error is
// the ledger's.
func (r *run) execute(ctx context.Context, d *decision, rows []plan.Row) error {
	byKey := rowsByKey(rows)
	tasks := make([][]*task, len(r.members))
	total := 0
	for _, s := range d.plan.Steps {
		for _, op := range s.Ops {
			if op.Verb == plan.Link {
				continue
			}
			t := &task{op: op, entry: r.entries[s.Key], name: r.name(byKey[s.Key], op.Member), reason: "overwritten"}
			if op.Verb == plan.Delete {
				t.reason = "deleted"
			} else if g := d.given[s.Key]; g.heard != "" {
				t.reason = g.heard
			}
			tasks[op.Member] = append(tasks[op.Member], t)
			total++
		}
	}
	r.sink.Total(total)
	return r.writeAll(ctx, tasks)
}

// writeAll lets each member carry out its own tasks. What comes first at each is
// announced before any of them begins, so that what a crash leaves does not
// depend on who is scheduled first.
func (r *run) writeAll(ctx context.Context, tasks [][]*task) error {
	var wg sync.WaitGroup
	var writers []*writer
	errs := make([]error, len(r.members))
	for i, m := range r.members {
		if len(tasks[i]) == 0 || m.err != nil || ctx.Err() != nil {
			continue
		}
		// Deletions first: a server may not take an item's UID twice.
		slices.SortStableFunc(tasks[i], func(a, b *task) int { return cmp.Compare(b.op.Verb, a.op.Verb) })
		w := &writer{run: r, m: m, owners: map[engine.Ref]*entry{}}
		var err error
		if w.announced, err = w.announce(tasks[i]); err != nil {
			return err
		}
		writers = append(writers, w)
	}
	for _, w := range writers {
		wg.Go(func() { errs[w.m.n] = w.write(w.m.counting(ctx), tasks[w.m.n]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A writer writes to one member.
type writer struct {
	*run
	m         *member
	announced int          // of the tasks that are left
	unread    []engine.Ref // written, and not vouched for
	owners    map[engine.Ref]*entry
	turn      turn.Turn
}

func (w *writer) write(ctx context.Context, tasks []*task) error {
	for len(tasks) > 0 && w.m.err == nil && ctx.Err() == nil {
		n, err := w.announced, error(nil)
		if w.announced = 0; n == 0 {
			if n, err = w.announce(tasks); err != nil {
				return err
			}
		}
		if err := w.apply(ctx, tasks[:n]); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	return w.readBack(ctx)
}

// announce reads the texts of as many tasks as make a batch, and records that
// they are about to be written.
func (w *writer) announce(tasks []*task) (n int, err error) {
	size := 0
	for n < len(tasks) && n < batchWrites && size < batchBytes {
		w.turn.Pass()
		t := tasks[n]
		if t.op.Verb != plan.Delete {
			if t.text, err = w.textFor(t); err != nil {
				return 0, err
			}
			size += len(t.text)
		}
		n++
	}
	return n, w.set.Do(func(c *ledger.Change) error {
		for _, t := range tasks[:n] {
			if err := w.intend(c, t); err != nil {
				return err
			}
			if err := c.Intend(&t.intent, w.version(w.m, t.entry, t.op.Over.Ref, t.reason)); err != nil {
				return err
			}
		}
		return nil
	})
}

// textFor is the agreed text as this member takes it: in its version, and under
// its own UID where it has the item under one.
func (w *writer) textFor(t *task) ([]byte, error) {
	t.uid = t.entry.UID
	text, err := w.text(t.entry.Text)
	o := w.m.obs[t.op.Over.Ref]
	if t.op.Verb != plan.Replace {
		o = nil
	}
	if err != nil || w.m.Formats == nil && w.m.keep == nil && (o == nil || !w.m.foreign(o.UID, t.uid)) {
		return text, err
	}
	var like []byte
	if o != nil {
		if like, err = w.text(o.Text); err != nil {
			return nil, err
		}
		t.uid = w.m.uidOf(o, t.uid)
	}
	fitting := w.m.dress(text, like, t.uid)
	t.other = !bytes.Equal(fitting, text)
	return fitting, nil
}

// intend makes the intent of a task, and stores a text that is not the agreed one.
func (w *writer) intend(c *ledger.Change, t *task) (err error) {
	t.intent = ledger.Intent{Member: w.m.id, Key: t.entry.Key, Verb: verbOf(t.op.Verb), Version: t.op.Version, Old: t.op.Over, Job: w.opt.Job}
	if t.op.Verb != plan.Delete {
		t.intent.Sum, t.intent.Text = t.entry.Sum, t.entry.Text
		if t.other {
			t.intent.Sum = item.Sum(t.text)
			if t.intent.Text, err = c.Text(t.text); err != nil {
				return err
			}
		}
	}
	if o := w.m.obs[t.op.Over.Ref]; t.op.Verb != plan.Create && o != nil {
		t.intent.Was = o.Text
	}
	return nil
}

// apply makes the writes of a batch and records what came of them.
func (w *writer) apply(ctx context.Context, tasks []*task) error {
	writes := make([]engine.Write, len(tasks))
	for i, t := range tasks {
		writes[i] = engine.Write{Verb: verbOf(t.op.Verb), UID: t.entry.UID, Old: t.op.Over, Was: t.op.Was, Text: t.text}
	}
	type done struct {
		*task
		engine.Outcome
	}
	var outcomes []done
	making, made := w.making(ctx)
	defer made()
	for i, out := range w.m.Storage.Apply(making, writes) {
		if i < 0 || i >= len(tasks) {
			w.m.end(out.Err)
			break
		}
		outcomes = append(outcomes, done{tasks[i], out})
		w.sink.Done(1, int64(len(tasks[i].text)))
		if out.Err != nil && endsMember(out.Err) {
			w.m.end(out.Err)
			break
		}
		if ctx.Err() != nil {
			break // between two items
		}
	}
	return w.set.Do(func(c *ledger.Change) error {
		for _, o := range outcomes {
			if err := w.record(c, o.task, o.Outcome); err != nil {
				return err
			}
		}
		return nil
	})
}

// making gives the context of writes: they end with the run, or only by force.
func (w *writer) making(ctx context.Context) (making context.Context, made func()) {
	if w.opt.Force == nil {
		return ctx, func() {}
	}
	making, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(w.opt.Force, func() { cut(context.Cause(w.opt.Force)) })
	return making, func() {
		stop()
		cut(nil)
	}
}

// endsMember tells whether what befell one write will befell every other.
func endsMember(err error) bool {
	switch engine.KindOf(err) {
	case engine.Offline, engine.Cancelled, engine.AuthRequired, engine.AuthFailed, engine.SecretLocked,
		engine.CertUntrusted, engine.CertExpired, engine.CertHostMismatch, engine.CertRevoked, engine.CertInvalid,
		engine.ConnectionRefused, engine.ConnectionLost, engine.HostNotFound, engine.ServerBusy, engine.Timeout, engine.CollectionGone,
		engine.ReadOnly, engine.QuotaExceeded, engine.Disabled, engine.PluginMissing, engine.PluginGone, engine.PluginProtocol, engine.PeerRefused:
		return true
	}
	return false
}

// refused tells whether an error proves that a write changed nothing. After any
// other the next survey finds out.
func refused(err error) bool {
	switch engine.KindOf(err) {
	case engine.Changed, engine.AlreadyExists, engine.InvalidItem, engine.TooLarge, engine.Forbidden, engine.Denied, engine.NotSupported, engine.Invalid,
		engine.ReadOnly, engine.QuotaExceeded, engine.AuthRequired, engine.AuthFailed, engine.SecretLocked, engine.ConnectionRefused, engine.HostNotFound:
		return true
	}
	return false
}
