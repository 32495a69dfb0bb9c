package remote

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"

	"davbus.org/davbus/engine"
)

// Notify takes a notification of the plugin. It does not wait.
func (s *Source) Notify(method string, params json.RawMessage) {
	switch method {
	case methodChange:
		var c change
		if err := json.Unmarshal(params, &c); err != nil {
			s.opt.Host.Log("warn", "a change that cannot be read: "+err.Error())
			return
		}
		s.mu.Lock()
		st := s.streams[c.Stream]
		s.mu.Unlock()
		if st != nil { // else it comes too late: its call was broken off
			st.put(c)
		}
	case methodLog:
		var l logParams
		if json.Unmarshal(params, &l) == nil {
			s.opt.Host.Log(l.Level, l.Text)
		}
	default:
		s.opt.Host.Log("warn", "an unknown notification: "+strconv.Quote(method))
	}
}

// Handle answers a request of the plugin. Its errors have names of the protocol.
func (s *Source) Handle(ctx context.Context, method string, params json.RawMessage) (any, error) {
	answer, err := s.handle(ctx, method, params)
	if err != nil {
		return nil, refusal{err}
	}
	return answer, nil
}

// A refusal is an error that tells its name.
type refusal struct{ error }

func (r refusal) ErrorName() string { return NameOf(r.error) }
func (r refusal) Unwrap() error     { return r.error }

func (s *Source) handle(ctx context.Context, method string, params json.RawMessage) (any, error) {
	switch method {
	case methodGetState, methodSetState:
		var p stateParams
		if err := decode(params, &p); err != nil {
			return nil, err
		}
		if method == methodSetState {
			return nil, s.opt.Host.SetState(p.Collection, p.Key, p.Value)
		}
		value, ok, err := s.opt.Host.State(p.Collection, p.Key)
		if err != nil || !ok {
			return map[string]any{"value": nil}, err
		}
		return map[string]any{"value": value}, nil
	case methodGetSecret:
		var p secretParams
		if err := decode(params, &p); err != nil {
			return nil, err
		}
		secret, err := s.opt.Host.Secret(ctx, p.Name)
		return map[string]any{"value": string(secret)}, err
	case methodGetGroup:
		var p collectionParams
		if err := decode(params, &p); err != nil {
			return nil, err
		}
		return s.opt.Host.Group(p.Collection)
	case methodGetMember:
		return map[string]any{"account": s.opt.Account, "parameters": maps.Clone(s.opt.Params)}, nil
	case methodSetSlowSync:
		var p slowParams
		if err := decode(params, &p); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.slow[p.Collection] = true
		s.mu.Unlock()
		return nil, nil
	case methodRequestSync:
		var p collectionParams
		if err := decode(params, &p); err != nil {
			return nil, err
		}
		return nil, s.opt.Host.RequestSync(p.Collection)
	}
	return nil, engine.Fail(engine.NotSupported, "answer the plugin", method, "davbus has no such method")
}

func decode(params json.RawMessage, into any) error {
	if err := json.Unmarshal(params, into); err != nil {
		return engine.Fail(engine.Invalid, "read the parameters", "", "%w", err)
	}
	return nil
}
