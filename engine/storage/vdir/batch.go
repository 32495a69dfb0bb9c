package vdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"golang.org/x/sys/unix"
)

// A batch is made durable at once: one sync for all its data and one for its
// names, however many files it has.
const (
	batchItems = 2048
	batchBytes = 32 << 20
	fewItems   = 16 // up to so many are cheaper made durable one by one
)

// tick is more than the clock that files are stamped with moves at once.
const tick = 30 * time.Millisecond

// A change is one write under way.
type change struct {
	engine.Write
	index  int
	name   string     // of the file
	temp   string     // where the new text, or later what it displaced, lies
	before stamp      // of the version that it expects
	sum    engine.Sum // of the new text
	out    engine.Outcome
	staged bool // nothing has gone wrong so far
}

// A batch carries out changes in five strides: new texts to temporary files,
// these durable, then each in its place, the names durable, and at last a look
// at whether everything is as it was written.
type batch struct {
	f       *Folder
	d       *dir
	id      uint64
	changes []*change
}

// Apply writes batch by batch.
func (f *Folder) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		if len(writes) == 0 {
			return
		}
		d, err := f.openToWrite(ctx)
		if err != nil {
			yield(-1, engine.Outcome{Err: err})
			return
		}
		defer d.close()
		for start := 0; start < len(writes); {
			b := f.newBatch(d, writes, start)
			err := b.run(ctx)
			for _, c := range b.changes {
				if !yield(c.index, c.out) {
					return
				}
			}
			if err != nil {
				yield(-1, engine.Outcome{Err: err})
				return
			}
			start += len(b.changes)
		}
	}
}

// openToWrite opens the folder and keeps other davbus writers out. It waits for
// one a while.
func (f *Folder) openToWrite(ctx context.Context) (*dir, error) {
	d, err := f.open("write to")
	if err != nil {
		return nil, err
	}
	const tries = 100
	for n := 0; ; n++ {
		held, known := d.lock()
		switch {
		case held:
			if err := f.recoverLocked(d, known); err != nil {
				d.close()
				return nil, f.writeFail("write to", f.path(), err)
			}
			return d, nil
		case n == tries:
			d.close()
			return nil, engine.Fail(engine.Busy, "write to", f.path(), "another davbus is writing there")
		}
		if err := sleep(ctx, tick); err != nil {
			d.close()
			return nil, engine.Fail(engine.Cancelled, "write to", f.path(), "%w", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Folder) newBatch(d *dir, writes []engine.Write, start int) *batch {
	b := &batch{f: f, d: d, id: rand.Uint64()}
	size := 0
	for i, w := range writes[start:] {
		if i > 0 && (i == batchItems || size+len(w.Text) > batchBytes) {
			break
		}
		size += len(w.Text)
		b.changes = append(b.changes, &change{Write: w, index: start + i})
	}
	return b
}

// run carries the batch out. After an error b.changes are only those whose
// outcome is known.
func (b *batch) run(ctx context.Context) error {
	if err := b.stage(ctx); err != nil {
		return b.abandon(0, err)
	}
	for i, c := range b.changes {
		if err := ctx.Err(); err != nil {
			err := b.abandon(i, engine.Fail(engine.Cancelled, "write to", b.f.path(), "%w", err))
			return errors.Join(err, b.finish(ctx))
		}
		if c.staged {
			b.commit(c)
		}
	}
	return b.finish(ctx)
}

// stage writes the new texts and makes them durable.
func (b *batch) stage(ctx context.Context) error {
	texts := 0
	for _, c := range b.changes {
		if c.Verb != engine.Delete {
			texts++
		}
	}
	oneByOne := !syncsAll || texts <= fewItems
	for _, c := range b.changes {
		if err := ctx.Err(); err != nil {
			return engine.Fail(engine.Cancelled, "write to", b.f.path(), "%w", err)
		}
		c.out.Err = b.prepare(c, oneByOne)
		c.staged = c.out.Err == nil
	}
	if oneByOne {
		return nil
	}
	if err := b.d.syncAll(); err != nil {
		return b.f.writeFail("write to", b.f.path(), err)
	}
	return nil
}

// prepare checks what one change expects and writes its text beside it.
func (b *batch) prepare(c *change, durable bool) error {
	var err error
	if c.Verb != engine.Create {
		c.name = nameOf(c.Old.Ref)
		if !b.f.holds(c.name) {
			return b.changed(c)
		}
		if c.before, err = b.d.stat(c.name); err == unix.ENOENT || err == unix.ENAMETOOLONG {
			return b.changed(c)
		}
		if err != nil {
			return b.f.writeFail(c.Verb.String(), b.f.on(c.Old.Ref), err)
		}
		if !c.before.regular() || !c.before.names(c.Old.Etag) {
			return b.changed(c)
		}
	}
	if c.Verb == engine.Delete {
		return nil
	}
	if !finished(c.Text) {
		return engine.Fail(engine.InvalidItem, c.Verb.String(), b.f.on(b.label(c)), "the text is cut off, or no calendar or contact at all")
	}
	c.sum = item.Sum(c.Text)
	c.temp = stagedName(b.id, c.index)
	if err := b.d.write(c.temp, c.before.mode&0o777, c.Text, durable); err != nil {
		return b.f.writeFail(c.Verb.String(), b.f.on(b.label(c)), err)
	}
	return nil
}

// label is what people call the item of a change.
func (b *batch) label(c *change) engine.Ref {
	if c.Verb == engine.Create {
		return engine.Ref(c.UID)
	}
	return c.Old.Ref
}

func (b *batch) changed(c *change) error {
	return engine.Fail(engine.Changed, c.Verb.String(), b.f.on(c.Old.Ref), "somebody changed or removed the file")
}

// abandon takes back the staged changes from index i on, which were not begun.
func (b *batch) abandon(i int, err error) error {
	for _, c := range b.changes[i:] {
		if c.staged && c.temp != "" {
			b.d.remove(c.temp)
		}
	}
	b.changes = b.changes[:i]
	return err
}

// finish makes the names durable and looks at what was written.
func (b *batch) finish(ctx context.Context) error {
	if len(b.changes) == 0 {
		return nil
	}
	if err := b.d.sync(); err != nil {
		for _, c := range b.changes {
			b.f.source.own.unwritten(b.f.path() + "/" + c.name)
		}
		b.changes = nil // their fate is not known
		return b.f.writeFail("write to", b.f.path(), err)
	}
	rested := b.rest(ctx)
	for _, c := range b.changes {
		if c.out.Err == nil {
			b.look(c, rested)
		}
	}
	return nil
}

// rest waits until an edit cannot get the stamp of what was just written.
func (b *batch) rest(ctx context.Context) bool {
	last := time.Now()
	for range 2 * tick / time.Millisecond {
		if b.f.source.now().After(last) {
			return true
		}
		if sleep(ctx, time.Millisecond) != nil {
			return false
		}
	}
	return false
}

// look gives the head of what was written. If somebody has edited it since, the
// etag is one that is never given again, and the next run finds the edit.
func (b *batch) look(c *change, rested bool) {
	path := b.f.path() + "/" + c.name
	if c.Verb == engine.Delete {
		b.f.source.own.gone(path)
		return
	}
	now := b.f.source.now()
	c.out.Kept = true
	c.out.Head = engine.Head{Ref: refOf(c.name), Etag: never(now)}
	text, st, err := b.d.read(c.name)
	if err != nil || !rested || !bytes.Equal(text, c.Text) {
		b.f.source.own.edited(path)
		return
	}
	c.out.Head.Etag = st.etag(now)
	b.f.source.own.wrote(path, st)
}

// writeFail is fail for a write: who may not write has a read-only folder.
func (f *Folder) writeFail(op, on string, err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return engine.Fail(engine.ReadOnly, op, on, "%w", err)
	}
	return fail(op, on, err)
}

func stagedName(id uint64, n int) string { return fmt.Sprintf("%s%016x-%d%s", ours, id, n, stagedEnd) }
