package dav

import (
	"context"
	"errors"
	"iter"
	"net/http"
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

	mu      sync.Mutex
	next    int
	over    bool
	fatal   error // read when out is closed
	choking int   // items in a row on which the server failed
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
		if a.chokedAgain(err) {
			a.halt(engine.Fail(engine.ServerError, "write to", a.st.c.Name, "the server failed on %d items in a row: %w", maxChoking, err))
		}
		a.out <- applied{i, engine.Outcome{Head: head, Kept: kept, Err: err}}
	}
}

// maxChoking is on how many items in a row a server may fail until it is the
// server that is at fault.
const maxChoking = 5

func (a *apply) chokedAgain(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := errors.AsType[*engine.Error](err); !ok || e.Status != http.StatusInternalServerError {
		a.choking = 0
		return false
	}
	a.choking++
	return a.choking == maxChoking
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
