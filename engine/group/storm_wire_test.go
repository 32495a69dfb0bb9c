package group_test

import (
	"context"
	"encoding/json"
	"errors"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/remote"
)

// wired makes one member of every fourth storm a plugin: all that is said goes
// through the messages of davbus-plugin(7), and its process dies now and then.
func (s *storm) wired(p *spy) bool {
	return s.seed%4 == 3 && uint64(p.n) == s.seed/4%uint64(len(s.spies))
}

// A wire is the way to a plugin in this process: every message is written out
// and read again. It may break before a call is heard, or before it is answered.
type wire struct {
	spy    *spy
	server *remote.Server
	to     *remote.Source
}

// overWire gives the storage as a plugin serves it.
func (p *spy) overWire(ctx context.Context) (engine.Storage, error) {
	source := remote.New(remote.Options{Account: string(p.member.ID), Host: noHost{}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		server := remote.NewServer("spy", func(engine.Params) (engine.Source, error) { return only{p}, nil })
		return &wire{p, server, to}, nil
	}})
	found, err := source.Look(ctx, true)
	if err != nil {
		return nil, err
	}
	return source.Open(found[0])
}

type lost struct{ error }

func (lost) PluginFault() string { return "gone" }

type refusal struct{ name, text string }

func (r refusal) Error() string     { return r.text }
func (r refusal) ErrorName() string { return r.name }

func (w *wire) dies(method, when string) bool {
	if w.spy.calm || w.spy.r.IntN(60) > 0 {
		return false
	}
	w.spy.storm.mu.Lock()
	defer w.spy.storm.mu.Unlock()
	w.spy.storm.say("plugin %d dies %s %s", w.spy.n, when, method)
	return true
}

func (w *wire) Call(ctx context.Context, method string, params, result any) error {
	gone := lost{errors.New("it died")}
	if w.dies(method, "before") {
		return gone
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer, err := w.server.Handle(ctx, w, method, raw)
	switch {
	case w.dies(method, "after"):
		return gone
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return refusal{remote.NameOf(err), err.Error()}
	}
	if raw, err = json.Marshal(answer); err == nil && result != nil {
		err = json.Unmarshal(raw, result)
	}
	return err
}

func (w *wire) Notify(_ context.Context, method string, params any) error {
	raw, err := json.Marshal(params)
	if err == nil {
		w.to.Notify(method, raw)
	}
	return err
}

func (w *wire) Close() error { return nil }

// only is an account with one collection.
type only struct{ spy *spy }

func (o only) Look(context.Context, bool) ([]engine.Collection, error) {
	return []engine.Collection{{Name: "cal", Kind: engine.Calendar, Writable: true}}, nil
}
func (o only) Open(engine.Collection) (engine.Storage, error) { return o.spy, nil }
func (o only) Make(_ context.Context, c engine.Collection) (engine.Collection, error) {
	return c, engine.Fail(engine.NotSupported, "make", c.Name, "")
}
func (o only) Capabilities() []string { return nil }
func (o only) Close() error           { return nil }

// noHost answers what a plugin asks of davbus.
type noHost struct{}

func (noHost) State(string, string) (string, bool, error)     { return "", false, nil }
func (noHost) SetState(string, string, *string) error         { return nil }
func (noHost) Secret(context.Context, string) ([]byte, error) { return nil, nil }
func (noHost) Group(string) (map[string]any, error)           { return nil, nil }
func (noHost) RequestSync(string) error                       { return nil }
func (noHost) Log(string, string)                             {}
