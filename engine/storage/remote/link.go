package remote

import (
	"context"
	"errors"
	"strings"

	"davbus.org/davbus/engine"
)

// A link is one connection to a plugin.
type link struct{ Caller }

// A breaker is a Caller that wants to know why it is closed, where an answer made
// no sense.
type breaker interface{ Broke(error) }

// call calls the plugin, starting it first if it is not there.
func (s *Source) call(ctx context.Context, method, on string, params, result any) error {
	caller, err := s.need(ctx)
	if err != nil {
		return err
	}
	return s.on(ctx, caller, method, on, params, result)
}

// on calls the plugin at one connection, and forgets that if it is of no use any
// more.
func (s *Source) on(ctx context.Context, caller *link, method, on string, params, result any) error {
	if err := ctx.Err(); err != nil { // an answer that came all the same would look complete
		return asEngine(strings.ReplaceAll(method, "_", " "), on, err)
	}
	err := caller.Call(ctx, method, params, result)
	if err == nil {
		return nil
	}
	var fault interface{ PluginFault() string }
	hung := errors.As(err, &fault) && fault.PluginFault() == "hung"
	err = asEngine(strings.ReplaceAll(method, "_", " "), on, err)
	if k := engine.KindOf(err); hung || k == engine.PluginGone || k == engine.PluginProtocol {
		s.lose(caller)
	}
	return err
}

// breaks ends a plugin whose answer makes no sense.
func (s *Source) breaks(caller *link, err error) error {
	if b, ok := caller.Caller.(breaker); ok {
		b.Broke(err)
	}
	s.lose(caller)
	return err
}

// need gives the plugin, initialized.
func (s *Source) need(ctx context.Context) (*link, error) {
	s.mu.Lock()
	caller := s.caller
	s.mu.Unlock()
	if caller != nil {
		return caller, nil
	}
	dialled, err := s.opt.Dial(ctx, s)
	if err != nil {
		return nil, asEngine("start the plugin of", s.opt.Account, err)
	}
	caller = &link{dialled}
	params := initializeParams{Protocol: Protocol, Account: s.opt.Account, Parameters: s.opt.Params}
	var answer initializeResult
	if err := caller.Call(ctx, methodInitialize, params, &answer); err != nil {
		caller.Close()
		return nil, asEngine("initialize the plugin of", s.opt.Account, err)
	}
	if answer.Protocol != Protocol {
		caller.Close()
		return nil, broken("initialize the plugin of", s.opt.Account, "it speaks protocol %d, and this davbus speaks %d", answer.Protocol, Protocol)
	}
	s.mu.Lock()
	again := s.looked
	s.mu.Unlock()
	if again { // a plugin may expect that it is asked for its collections after each start
		if err := caller.Call(ctx, methodDiscover, struct{}{}, &discoverResult{}); err != nil {
			caller.Close()
			return nil, asEngine("discover the collections of", s.opt.Account, err)
		}
	}
	s.mu.Lock()
	first := s.caller
	if first == nil {
		s.caller, s.features, s.keeps = caller, answer.Features, answer.Properties
	}
	s.mu.Unlock()
	if first != nil { // somebody was quicker
		caller.Close()
		return first, nil
	}
	return caller, nil
}

// lose forgets a plugin that cannot be talked to any more.
func (s *Source) lose(caller *link) {
	s.mu.Lock()
	mine := s.caller == caller
	if mine {
		s.caller = nil
	}
	s.mu.Unlock()
	if mine {
		caller.Close()
	}
}

func (s *Source) up(caller *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return caller != nil && s.caller == caller
}
