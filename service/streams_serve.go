package service

import (
	"context"
	"iter"
	"net/http"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/stream"
)

// A serving is a collection that is offered as CalDAV or CardDAV.
type serving struct {
	opened  *keeper.Opened
	handler http.Handler
}

func (h *host) openServe(ctx context.Context, r dbusapi.StreamRequest) (cargo, error) {
	opened, err := h.Keeper.OpenLocal(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	o := davserver.Options{Backend: oneCollection{opened}, ReadOnly: r.ReadOnly || !opened.Collection.Writable}
	return &serving{opened, davserver.New(o)}, nil
}

func (s *serving) carry(ctx context.Context, c *stream.Conn, _ uint64) error {
	return c.ServeHTTP(ctx, s.handler)
}

func (s *serving) close() { s.opened.Close() }

// oneCollection serves a single collection. An edit there is the member's, and
// the others follow.
type oneCollection struct{ opened *keeper.Opened }

func (b oneCollection) Look(context.Context, bool) ([]engine.Collection, error) {
	return []engine.Collection{b.opened.Collection}, nil
}

func (b oneCollection) Open(c engine.Collection) (engine.Storage, error) {
	s, err := b.opened.Source.Open(c)
	return edited{s, b.opened.Edited}, err
}

func (b oneCollection) Make(context.Context, engine.Collection) (engine.Collection, error) {
	return engine.Collection{}, engine.Fail(engine.NotSupported, "make a collection", "", "one collection is served here; make others with Account.CreateCollection")
}

// edited tells of writes.
type edited struct {
	engine.Storage
	tell func()
}

func (e edited) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		defer e.tell()
		e.Storage.Apply(ctx, writes)(yield)
	}
}
