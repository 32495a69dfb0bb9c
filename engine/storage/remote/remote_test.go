package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/storagetest"
)

// A loop is a plugin in this process: every message is written out and read
// again as it would be on a wire.
type loop struct {
	server *Server
	client *Source
	mangle func(method string, answer json.RawMessage) json.RawMessage // may be nil
	calls  *[]string
}

type named struct{ name, text string }

func (n named) Error() string     { return n.text }
func (n named) ErrorName() string { return n.name }

func (l loop) Notify(_ context.Context, method string, params any) error {
	raw, err := json.Marshal(params)
	if err == nil {
		l.client.Notify(method, raw)
	}
	return err
}

func (l loop) Call(ctx context.Context, method string, params, result any) error {
	if l.calls != nil {
		*l.calls = append(*l.calls, method)
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer, err := l.server.Handle(ctx, l, method, raw)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return named{NameOf(err), err.Error()}
	}
	if raw, err = json.Marshal(answer); err != nil {
		return err
	}
	if l.mangle != nil {
		raw = l.mangle(method, raw)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(raw, result)
}

func (l loop) Close() error { return nil }

type host struct {
	mu     sync.Mutex
	state  map[string]string
	logged []string
	asked  []string
}

func (h *host) State(c, k string) (string, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.state[c+"/"+k]
	return v, ok, nil
}

func (h *host) SetState(c, k string, v *string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v == nil {
		delete(h.state, c+"/"+k)
	} else {
		h.state[c+"/"+k] = *v
	}
	return nil
}
func (h *host) Secret(context.Context, string) ([]byte, error) { return []byte("s3cret"), nil }
func (h *host) Group(c string) (map[string]any, error)         { return map[string]any{"collection": c}, nil }
func (h *host) RequestSync(c string) error                     { h.asked = append(h.asked, c); return nil }
func (h *host) Log(level, text string)                         { h.logged = append(h.logged, level+": "+text) }

// plugin serves a source and gives the account that uses it.
func plugin(inner engine.Source, change func(*loop)) *Source {
	server := NewServer("test", func(engine.Params) (engine.Source, error) { return inner, nil })
	return New(Options{Account: "p", Host: &host{state: map[string]string{}}, Dial: func(_ context.Context, s *Source) (Caller, error) {
		l := loop{server: server, client: s}
		if change != nil {
			change(&l)
		}
		return l, nil
	}})
}

func open(t testing.TB, s *Source) engine.Storage {
	t.Helper()
	found, err := s.Look(t.Context(), true)
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	st, err := s.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func calendar() (*memory.Source, *memory.Storage) {
	s := new(memory.Source)
	return s, s.Add(engine.Collection{Name: "cal", Kind: engine.Calendar, Writable: true})
}

func TestStorageOverTheWire(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) engine.Storage {
		inner, _ := calendar()
		return open(t, plugin(inner, nil))
	})
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ method, answer, want string }{
		{methodInitialize, `{"protocol": 7}`, "protocol 7"},
		{methodDiscover, `{"collections":[{"id":"","kind":"calendar"}]}`, "no id"},
		{methodDiscover, `{"collections":[{"id":"a","kind":"calendar"},{"id":"a","kind":"calendar"}]}`, "another has"},
		{methodDiscover, `{"collections":[{"id":"a","kind":"inbox"}]}`, "inbox"},
		{methodChanges, `{"full":true,"count":3}`, "says that it sent 3"},
		{methodChanges, `{"full":false,"count":1}`, "not say that it is full"},
	} {
		inner, st := calendar()
		for i, out := range st.Apply(t.Context(), []engine.Write{{UID: "a", Text: storagetest.Text(engine.Calendar, "a", "one")}}) {
			if out.Err != nil {
				t.Fatal(i, out.Err)
			}
		}
		s := plugin(inner, func(l *loop) {
			l.mangle = func(method string, answer json.RawMessage) json.RawMessage {
				if method == c.method {
					return json.RawMessage(c.answer)
				}
				return answer
			}
		})
		_, err := s.Look(t.Context(), true)
		if err == nil {
			_, err = open(t, s).(engine.Tracker).Changes(t.Context(), "")
		}
		if !engine.IsKind(err, engine.PluginProtocol) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want a protocol error with %q", c.method, c.answer, err, c.want)
		}
	}
}

func TestAPluginThatIsGoneIsStartedAgain(t *testing.T) {
	inner, _ := calendar()
	starts := 0
	s := plugin(inner, func(*loop) { starts++ })
	dial := s.opt.Dial
	s.opt.Dial = func(ctx context.Context, s *Source) (Caller, error) {
		c, err := dial(ctx, s)
		if starts == 1 {
			return failing{c}, err
		}
		return c, err
	}
	if _, err := s.Look(t.Context(), false); !engine.IsKind(err, engine.PluginGone) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Look(t.Context(), false); err != nil || starts != 2 {
		t.Errorf("%d starts, %v", starts, err)
	}
}

// failing is a plugin that dies at its first call after initialize.
type failing struct{ Caller }

type gone struct{ error }

func (gone) PluginFault() string { return "gone" }

func (f failing) Call(ctx context.Context, method string, params, result any) error {
	if method == methodInitialize {
		return f.Caller.Call(ctx, method, params, result)
	}
	return gone{errors.New("it exited")}
}

func TestRequestsOfThePlugin(t *testing.T) {
	inner, _ := calendar()
	s := plugin(inner, nil)
	ask := func(method, params string) string {
		answer, err := s.Handle(t.Context(), method, json.RawMessage(params))
		if err != nil {
			return NameOf(err)
		}
		raw, _ := json.Marshal(answer)
		return string(raw)
	}
	for _, c := range [][3]string{
		{methodGetState, `{"collection":"cal","key":"anchor"}`, `{"value":null}`},
		{methodSetState, `{"collection":"cal","key":"anchor","value":"7"}`, `null`},
		{methodGetState, `{"collection":"cal","key":"anchor"}`, `{"value":"7"}`},
		{methodGetState, `{"collection":"other","key":"anchor"}`, `{"value":null}`},
		{methodSetState, `{"collection":"cal","key":"anchor","value":null}`, `null`},
		{methodGetState, `{"collection":"cal","key":"anchor"}`, `{"value":null}`},
		{methodGetSecret, `{"name":"password"}`, `{"value":"s3cret"}`},
		{methodGetGroup, `{"collection":"cal"}`, `{"collection":"cal"}`},
		{methodRequestSync, `{"collection":"cal"}`, `null`},
		{methodGetState, `[`, "misconfigured"},
		{"make_coffee", `{}`, "not-supported"},
	} {
		if got := ask(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestEveryNameOfTheProtocolComesBack(t *testing.T) {
	for kind := range engine.KindCount {
		name := NameOf(engine.Fail(kind, "x", "", ""))
		if _, ok := kinds[name]; !ok {
			t.Errorf("%v is told as %q, which nobody understands", kind, name)
		}
	}
	for name, kind := range kinds {
		err := asEngine("commit", "x", fmt.Errorf("wrapped: %w", named{name, "text"}))
		if engine.KindOf(err) != kind {
			t.Errorf("%q became %v", name, engine.KindOf(err))
		}
	}
}

func TestAnAnswerHasAsMuchAsItMayAndNoMore(t *testing.T) {
	inner, st := calendar()
	bytes := 0
	for i := range 4 {
		uid := fmt.Sprint(i)
		text := storagetest.Text(engine.Calendar, engine.UID(uid), "x")
		bytes += len(text)
		st.Inline = true
		st.Put(engine.Ref(uid), text)
	}
	for _, c := range []struct {
		most Limits
		fine bool
	}{{Limits{Items: 4}, true}, {Limits{Items: 3}, false}, {Limits{Bytes: bytes}, true}, {Limits{Bytes: bytes - 1}, false}} {
		s := plugin(inner, nil)
		if c.most.Items > 0 {
			s.opt.Limits.Items = c.most.Items
		} else {
			s.opt.Limits.Bytes = c.most.Bytes
		}
		_, err := open(t, s).(engine.Tracker).Changes(t.Context(), "")
		if (err == nil) != c.fine || err != nil && !engine.IsKind(err, engine.PluginProtocol) {
			t.Errorf("%+v: %v", c.most, err)
		}
	}
}
