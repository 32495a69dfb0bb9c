package remote

import (
	"context"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/storagetest"
)

// Where a storage has no etags its texts tell what changed, and one that cannot be
// read tells nothing: neither that it is empty nor that it is gone.
func TestAnItemThatCannotBeReadIsNotAnEmptyOne(t *testing.T) {
	inner, storage := calendar()
	storage.NoEtags = true
	text := storagetest.Text(engine.Calendar, "u", "one")
	storage.Put("u", text)
	fails := true
	storage.Before = func(c memory.Call) error {
		if fails && c.Ref == "u" {
			return engine.Fail(engine.InvalidItem, "fetch", "u", "half written")
		}
		return nil
	}
	s := open(t, plugin(inner, nil))
	d, err := s.(engine.Tracker).Changes(t.Context(), "")
	if err != nil || len(d.Changed) != 1 || len(d.Texts) > 0 {
		t.Fatalf("%+v, %v: want it to be there, without a text", d, err)
	}
	unread := d.Changed[0]
	for it, err := range s.Fetch(t.Context(), []engine.Ref{"u"}) {
		if !engine.IsKind(err, engine.InvalidItem) || it.Ref != "u" {
			t.Errorf("%+v, %v: want the reason", it, err)
		}
	}
	fails = false
	if d, err = s.(engine.Tracker).Changes(t.Context(), d.Token); err != nil || len(d.Changed) > 0 && d.Changed[0].Etag == unread.Etag {
		t.Errorf("%+v, %v: what can be read has another etag", d, err)
	}
	for it, err := range s.Fetch(t.Context(), []engine.Ref{"u"}) {
		if err != nil || string(it.Text) != string(text) || it.Etag == unread.Etag {
			t.Errorf("%+v, %v", it, err)
		}
	}
}

// What was read after the write may be somebody's edit: nobody vouches for it.
func TestAnEditBetweenAWriteAndItsAnswerIsNotTakenForTheWrite(t *testing.T) {
	inner, storage := calendar()
	storage.NoEtags = true
	storage.Rewrite = func(text []byte) []byte { return text }
	edit := storagetest.Text(engine.Calendar, "u", "edited")
	storage.Before = func(c memory.Call) error {
		if c.Name == "fetch" {
			storage.Put("u", edit)
		}
		return nil
	}
	s := open(t, plugin(inner, nil))
	for _, out := range s.Apply(t.Context(), []engine.Write{{Verb: engine.Create, UID: "u", Text: storagetest.Text(engine.Calendar, "u", "one")}}) {
		if out.Err != nil || out.Kept || out.Head.Etag != "" {
			t.Errorf("%+v: want a write that is to be read back, with the etag of nobody's text", out)
		}
	}
}

// A deaf plugin has answered before anybody can give a call up.
type deaf struct{ loop }

func (d deaf) Call(ctx context.Context, method string, params, result any) error {
	return d.loop.Call(context.WithoutCancel(ctx), method, params, result)
}

// An answer that came all the same would look complete.
func TestNothingIsAskedOfAPluginAfterTheEnd(t *testing.T) {
	inner, storage := calendar()
	server := NewServer("test", func(engine.Params) (engine.Source, error) { return inner, nil })
	s := open(t, New(Options{Account: "p", Host: &host{state: map[string]string{}}, Dial: func(_ context.Context, s *Source) (Caller, error) {
		return deaf{loop{server: server, client: s}}, nil
	}}))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	storage.Before = func(c memory.Call) error {
		t.Errorf("%s was asked for", c.Name)
		return nil
	}
	if d, err := s.(engine.Tracker).Changes(ctx, ""); !engine.IsKind(err, engine.Cancelled) {
		t.Errorf("%+v, %v", d, err)
	}
	for it, err := range s.Fetch(ctx, []engine.Ref{"u"}) {
		if !engine.IsKind(err, engine.Cancelled) {
			t.Errorf("%+v, %v", it, err)
		}
	}
	for _, out := range s.Apply(ctx, []engine.Write{{Verb: engine.Create, UID: "u"}}) {
		t.Errorf("%+v", out)
	}
}
