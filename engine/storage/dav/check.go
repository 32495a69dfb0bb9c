package dav

import (
	"context"
	"fmt"
	"strings"

	"davbus.org/davbus/engine"
)

// Check tells step by step how the account is reached, and changes nothing.
func (s *Source) Check(ctx context.Context, step func(engine.Step)) error {
	starts, err := candidates(s.opt)
	if err != nil {
		return err
	}
	if len(starts) == 0 {
		if starts, err = s.starts(ctx, domainOf(s.opt.URL)); len(starts) == 0 {
			step(engine.Step{Name: "connect", Err: err})
			return err
		}
	}
	u := starts[0].url
	if s.opt.Probe != nil {
		err := s.opt.Probe(ctx, u, func(name, detail string, err error) {
			if err != nil {
				err = s.netError(ctx, call{op: "reach", on: u.Redacted()}, err)
			}
			step(engine.Step{Name: name, Detail: detail, Err: err})
		})
		if err != nil {
			return s.netError(ctx, call{op: "reach", on: u.Redacted()}, err)
		}
	}
	f := &found{}
	s.options(ctx, u, f)
	step(engine.Step{Name: "options", Detail: strings.Join(f.features, ", ")})
	_, _, err = s.describe(ctx, u)
	if err != nil && !stops(err) {
		err = nil // another address may know more; the login was not refused
	}
	step(engine.Step{Name: "login", Detail: s.opt.User, Err: err})
	if err != nil {
		return err
	}
	f, err = s.discover(ctx)
	detail := ""
	if err == nil && f.principal != nil {
		detail = f.principal.Redacted()
	}
	step(engine.Step{Name: "principal", Detail: detail, Err: err})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.found = f
	s.mu.Unlock()
	cols, err := s.Look(ctx, false)
	step(engine.Step{Name: "collections", Detail: fmt.Sprint(len(cols)), Err: err})
	return err
}
