package service

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/service/plugin"
	"davbus.org/davbus/transports/stream"
)

// openServed offers an account as a plugin.
func (h *host) openServed(ctx context.Context, r dbusapi.StreamRequest) (cargo, error) {
	opened, err := h.Keeper.OpenAccount(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	return servedAccount{OpenedAccount: opened, id: r.Account, keeper: h.Keeper, readOnly: r.ReadOnly}, nil
}

func (s servedAccount) carry(_ context.Context, c *stream.Conn, _ uint64) error {
	return plugin.Serve(c, "davbus account "+string(s.id), func(engine.Params) (engine.Source, error) { return s, nil })
}

func (s servedAccount) close() { s.OpenedAccount.Close() }

// A servedAccount is used by another davbus beside our own syncs: its writes are
// edits that our other members follow.
type servedAccount struct {
	*keeper.OpenedAccount
	id       engine.AccountID
	keeper   *keeper.Keeper
	readOnly bool
}

var _ engine.Watcher = servedAccount{}

func (s servedAccount) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	found, err := s.Source.Look(ctx, fresh)
	for i := range found {
		found[i].Writable = found[i].Writable && !s.readOnly
	}
	return found, err
}

func (s servedAccount) Open(c engine.Collection) (engine.Storage, error) {
	st, err := s.Source.Open(c)
	return servedStorage{edited{st, s.Edited}, c.Writable}, err
}

func (s servedAccount) Make(ctx context.Context, c engine.Collection) (engine.Collection, error) {
	if s.readOnly {
		return c, engine.Fail(engine.ReadOnly, "make the collection", c.Name, "this account is served for reading only")
	}
	return s.Source.Make(ctx, c)
}

func (s servedAccount) Capabilities() []string { return nil }
func (s servedAccount) Close() error           { return nil } // the account goes on

// Watch tells what our own syncs brought, and what the account notices by itself.
func (s servedAccount) Watch(ctx context.Context, touch func(string)) error {
	var work sync.WaitGroup
	defer work.Wait()
	if w, ok := s.Source.(engine.Watcher); ok {
		work.Go(func() { _ = w.Watch(ctx, touch) }) // what cannot be watched is synced at its interval
	}
	_, sub := s.keeper.Watch()
	defer sub.Close()
	for {
		n, err := sub.Next(ctx)
		if err != nil {
			return nil // the end, of the watch or of all
		}
		if e, ok := n.Event.(engine.ItemsChanged); ok && strings.HasPrefix(string(e.Collection), string(s.id)+"/") {
			touch("")
		}
	}
}

// A servedStorage tells of writes, and refuses them where there must be none.
type servedStorage struct {
	edited
	writable bool
}

var _ engine.Tracker = servedStorage{}

func (s servedStorage) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	if t, ok := s.Storage.(engine.Tracker); ok {
		return t.Changes(ctx, since)
	}
	return engine.Delta{}, engine.Fail(engine.NotSupported, "tell changes", "", "this storage lists")
}

func (s servedStorage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	if s.writable {
		return s.edited.Apply(ctx, writes)
	}
	return func(yield func(int, engine.Outcome) bool) {
		for i := range writes {
			if !yield(i, engine.Outcome{Err: engine.Fail(engine.ReadOnly, "write", string(writes[i].Old.Ref), "%w", errors.New("the collection is served for reading only"))}) {
				return
			}
		}
	}
}
