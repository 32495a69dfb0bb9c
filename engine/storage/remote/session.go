package remote

import (
	"context"

	"davbus.org/davbus/engine"
)

// Begin tells the plugin that a sync of the collection begins. The plugin may
// ask for a slow sync.
func (s *Storage) Begin(ctx context.Context, slow bool) (wantsSlow bool, err error) {
	caller, err := s.source.need(ctx)
	if err != nil {
		return false, err
	}
	var answer connectResult
	if err := s.source.on(ctx, caller, methodConnect, s.name, connectParams{Collection: s.name, SlowSync: slow}, &answer); err != nil {
		return false, err
	}
	s.source.mu.Lock()
	defer s.source.mu.Unlock()
	s.session = caller
	return answer.SlowSync || s.source.slow[s.name], nil
}

// End tells the plugin that everything was committed, whether the sync was
// whole, and that it is over.
//
// A plugin that has ended meanwhile knows of no sync, and is not started for it.
func (s *Storage) End(ctx context.Context, whole bool) error {
	s.source.mu.Lock()
	caller := s.session
	s.session = nil
	s.source.mu.Unlock()
	if !s.source.up(caller) {
		return engine.Fail(engine.PluginGone, "end the sync of", s.name, "the plugin ended before the sync did")
	}
	p := collectionParams{Collection: s.name}
	err := s.source.on(ctx, caller, methodCommittedAll, s.name, p, nil)
	if err == nil && whole {
		if err = s.source.on(ctx, caller, methodSyncDone, s.name, p, nil); err == nil {
			s.source.mu.Lock()
			delete(s.source.slow, s.name)
			s.source.mu.Unlock()
		}
	}
	if s.source.up(caller) {
		// What goes wrong when leaving does not make the sync fail.
		_ = s.source.on(ctx, caller, methodDisconnect, s.name, p, nil)
	}
	return err
}
