package keeper

import (
	"context"
	"time"

	"davbus.org/davbus/engine"
)

// A handle is the source of one account in one configuration. It is opened when
// it is first needed and closed when its configuration was replaced and nobody
// uses it any more.
type handle struct {
	keeper *Keeper
	cfg    engine.AccountConfig
	turn   chan struct{} // holds a token while nobody looks or opens
	source engine.Source // nil until opened; touched by whoever has the turn
	looked bool

	users   int // these two belong to the keeper's goroutine
	retired bool
}

// newHandle makes a handle. All handles of one account take turns, so that its
// ids are given by one of them at a time.
func (k *Keeper) newHandle(cfg engine.AccountConfig, turn chan struct{}) *handle {
	h := &handle{keeper: k, cfg: cfg, turn: turn}
	k.staleWatches = true
	return h
}

// open gives the source; a failure is not remembered.
func (h *handle) open(ctx context.Context) (engine.Source, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	defer h.done()
	return h.opened(ctx)
}

// look lists the account's collections. The caller has the turn.
func (h *handle) look(ctx context.Context, fresh bool) ([]engine.Collection, []string, error) {
	source, err := h.opened(ctx)
	if err != nil {
		return nil, nil, err
	}
	found, err := source.Look(ctx, fresh || !h.looked)
	if err != nil {
		return nil, nil, err
	}
	h.looked = true
	return found, source.Capabilities(), nil
}

func (h *handle) opened(ctx context.Context) (engine.Source, error) {
	if h.source != nil {
		return h.source, nil
	}
	if h.cfg.Invalid != nil {
		return nil, h.cfg.Invalid
	}
	o := &h.keeper.opt
	source, err := h.keeper.kind(h.cfg.Kind).Open(ctx, h.cfg, o.Secrets.Of(h.cfg))
	if err != nil {
		return nil, err
	}
	h.source = source
	return source, nil
}

// wait waits for the turn. Whoever was told to stop gets none, even a free one.
func (h *handle) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return cancelled("look at", string(h.cfg.ID), ctx)
	}
	select {
	case <-h.turn:
		return nil
	case <-ctx.Done():
		return cancelled("look at", string(h.cfg.ID), ctx)
	}
}

func (h *handle) done() { h.turn <- struct{}{} }

// use and leave count who needs the source; both belong to the keeper's
// goroutine, as does retire.
func (h *handle) use() *handle { h.users++; return h }

func (h *handle) leave() {
	h.users--
	h.closeUnused()
}

func (h *handle) retire() {
	h.retired = true
	h.keeper.staleWatches = true
	h.closeUnused()
}

func (h *handle) closeUnused() {
	if h.retired && h.users == 0 {
		h.keeper.work.Go(h.close)
	}
}

func (h *handle) close() {
	<-h.turn
	defer h.done()
	if h.source != nil {
		_ = h.source.Close() // nothing is left to do with it
		h.source = nil
	}
}

// A watch follows the changes that a source notices by itself.
type watch struct {
	handle *handle
	cancel context.CancelFunc
	again  chan struct{} // shortens the wait after a failure
	none   bool          // the source notices nothing by itself
}

func (w *watch) stop() {
	if w != nil {
		w.cancel()
	}
}

// reviseWatches lets exactly those accounts be watched that an enabled group
// uses.
func (k *Keeper) reviseWatches() {
	if !k.staleWatches || !k.begun {
		return
	}
	k.staleWatches = false
	for _, a := range k.accounts {
		want := !k.stopping && a.cfg.Enabled && a.cfg.Invalid == nil && k.inEnabledGroup(a.cfg.ID)
		if a.watch != nil && (!want || a.watch.handle != a.handle) {
			a.watch.stop()
			a.watch = nil
		}
		if want && a.watch == nil {
			a.watch = k.startWatch(a)
		}
	}
}

func (k *Keeper) startWatch(a *account) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{handle: a.handle.use(), cancel: cancel, again: make(chan struct{}, 1)}
	id := a.cfg.ID
	k.work.Go(func() {
		err := w.run(ctx, func(where string) {
			k.post(func() {
				if a := k.accounts[id]; a != nil && a.watch == w {
					k.touched(a, where)
				}
			})
		})
		k.post(func() {
			w.none = err != nil
			w.handle.leave()
		})
	})
	return w
}

// run watches until the context ends. What cannot be watched now, a folder that
// is not there yet, is tried again, soon after the next job or after a while. An
// error says that this source cannot be watched at all.
func (w *watch) run(ctx context.Context, touch func(string)) error {
	for wait := 30 * time.Second; ; wait = min(2*wait, 10*time.Minute) {
		source, err := w.handle.open(ctx)
		if err == nil {
			watcher, ok := source.(engine.Watcher)
			if !ok {
				return engine.Fail(engine.NotSupported, "watch", string(w.handle.cfg.ID), "this kind notices nothing by itself")
			}
			_ = watcher.Watch(ctx, touch) // a job that fails tells why
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-w.again:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// retryWatches has watches that failed try again.
func (k *Keeper) retryWatches() {
	for _, a := range k.accounts {
		if a.watch != nil {
			select {
			case a.watch.again <- struct{}{}:
			default:
			}
		}
	}
}

// closeSources ends everything that Run has started, once no job runs.
func (k *Keeper) closeSources() {
	for _, a := range k.accounts {
		a.watch.stop()
	}
	k.work.Wait()
	for _, a := range k.accounts {
		a.handle.close()
	}
}
