package plugin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	child "davbus.org/davbus/transports/plugin"
)

// A hostile plugin answers well until it is asked for its items; then it does
// what its author thought of.
type hostile struct {
	net.Conn
	in *bufio.Reader
}

type asked struct {
	ID     json.RawMessage
	Method string
	Params struct{ Stream uint64 }
}

// next reads one call; false at the end.
func (h *hostile) next() (a asked, ok bool) {
	for {
		line, err := h.in.ReadBytes('\n')
		if err != nil {
			return a, false
		}
		a = asked{}
		if json.Unmarshal(line, &a) == nil && a.ID != nil {
			return a, true
		}
	}
}

func (h *hostile) say(format string, args ...any) { fmt.Fprintf(h, format+"\n", args...) }

func (h *hostile) answer(a asked, result string) {
	h.say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, a.ID, result)
}

func (h *hostile) change(a asked, rest string) {
	h.say(`{"jsonrpc":"2.0","method":"change","params":{"stream":%d,%s}}`, a.Params.Stream, rest)
}

// serve answers until the connection ends; attack answers get_changes.
func (h *hostile) serve(attack func(*hostile, asked)) {
	defer h.Close()
	for {
		a, ok := h.next()
		switch {
		case !ok:
			return
		case a.Method == "initialize":
			h.answer(a, `{"protocol":1,"name":"hostile","features":["changes","credit"]}`)
		case a.Method == "discover":
			h.answer(a, `{"collections":[{"id":"cal","kind":"calendar"}]}`)
		case a.Method == "get_changes":
			attack(h, a)
		default:
			h.answer(a, `{}`)
		}
	}
}

var attacks = map[string]struct {
	do   func(h *hostile, a asked)
	want []engine.Kind
}{
	"it ends":                {func(h *hostile, _ asked) { h.Close() }, []engine.Kind{engine.PluginGone}},
	"it says something else": {func(h *hostile, _ asked) { h.say("Hello!") }, []engine.Kind{engine.PluginProtocol}},
	"half a line":            {func(h *hostile, a asked) { fmt.Fprintf(h, `{"jsonrpc":"2.0","id":%s,"res`, a.ID); h.Close() }, []engine.Kind{engine.PluginGone}},
	"an answer to nobody":    {func(h *hostile, a asked) { h.say(`{"jsonrpc":"2.0","id":4711,"result":{}}`) }, []engine.Kind{engine.PluginProtocol}},
	"two answers": {func(h *hostile, a asked) {
		h.change(a, `"ref":"x","etag":"1"`)
		h.answer(a, `{"full":true,"count":1}`)
		h.answer(a, `{"full":true,"count":1}`)
	}, []engine.Kind{engine.PluginProtocol, engine.PluginGone}},
	"it hangs":                  {func(*hostile, asked) {}, []engine.Kind{engine.Timeout}},
	"a line without an end":     {func(h *hostile, _ asked) { h.Write(bytes.Repeat([]byte("x"), 17<<20)) }, []engine.Kind{engine.PluginProtocol}},
	"a wrong count":             {func(h *hostile, a asked) { h.answer(a, `{"full":true,"count":3}`) }, []engine.Kind{engine.PluginProtocol}},
	"not full, and never asked": {func(h *hostile, a asked) { h.answer(a, `{"full":false,"count":0}`) }, []engine.Kind{engine.PluginProtocol}},
	"an item without a ref":     {func(h *hostile, a asked) { h.change(a, `"etag":"1"`); h.answer(a, `{"full":true,"count":1}`) }, []engine.Kind{engine.PluginProtocol}},
	"an item without a version": {func(h *hostile, a asked) { h.change(a, `"ref":"x"`); h.answer(a, `{"full":true,"count":1}`) }, []engine.Kind{engine.PluginProtocol}},
	"text and base64": {func(h *hostile, a asked) {
		h.change(a, `"ref":"x","text":"a","base64":"YQ=="`)
		h.answer(a, `{"full":true,"count":1}`)
	}, []engine.Kind{engine.PluginProtocol}},
	"a result of another shape": {func(h *hostile, a asked) { h.answer(a, `"all is well"`) }, []engine.Kind{engine.PluginProtocol}},
	"an error that nobody knows": {func(h *hostile, a asked) {
		h.say(`{"jsonrpc":"2.0","id":%s,"error":{"code":1,"message":"no","data":{"name":"bad-mood"}}}`, a.ID)
	}, []engine.Kind{engine.PluginError}},
	"a flood": {flood, []engine.Kind{engine.PluginProtocol}},
	"more than its credit": {func(h *hostile, a asked) {
		for i := range 4000 {
			h.change(a, fmt.Sprintf(`"ref":"%d","etag":"1"`, i))
		}
		h.answer(a, `{"full":true,"count":4000}`)
	}, []engine.Kind{engine.PluginProtocol}},
	"calls without end": {callsWithoutEnd, []engine.Kind{engine.PluginProtocol, engine.PluginGone, engine.Timeout}},
}

// flood sends more than one answer may have, though each line is fine.
func flood(h *hostile, a asked) {
	text := strings.Repeat("x", 1<<18)
	for range 5 {
		h.change(a, `"ref":"x","text":"`+text+`"`)
	}
	h.answer(a, `{"full":true,"count":5}`)
}

// callsWithoutEnd asks and asks, and takes no answer.
func callsWithoutEnd(h *hostile, _ asked) {
	for i := range 1000 {
		h.say(`{"jsonrpc":"2.0","id":%d,"method":"get_member","params":{}}`, i)
	}
}

// What a plugin does wrong fails its own account with a named error: the other
// members are synced, and nothing of what it had is deleted.
func TestAHostilePluginHarmsNobodyElse(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{}, 10)
			starts := 0
			times := child.Timeouts{"get_changes": time.Minute, "finalize": time.Second}
			if slices.Contains(attack.want, engine.Timeout) {
				times = child.Timeouts{"get_changes": time.Second, "committed_all": time.Second, "sync_done": time.Second, "disconnect": time.Second, "finalize": time.Second}
			}
			account := remote.New(remote.Options{Account: "p", Host: host{}, Limits: remote.Limits{Bytes: 1 << 20}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
				ours, theirs := net.Pipe()
				starts++
				go func() {
					(&hostile{theirs, bufio.NewReader(theirs)}).serve(attack.do)
					done <- struct{}{}
				}()
				return child.Attach(ours, child.Options{Notify: to.Notify, Handle: to.Handle, Timeouts: times}), nil
			}})
			s := newSetIn(t, account, filled(2), filled(0))
			b := s.members[2].Storage.(*memory.Storage)
			res, err := s.try()
			if err != nil {
				t.Fatal(err)
			}
			account.Close()
			for range starts {
				<-done
			}
			f := res.Members[0].Failure
			known := false
			for _, kind := range attack.want {
				known = known || f.Set && f.Kind == kind
			}
			if !known || len(f.Message) < 20 {
				t.Errorf("its account fails with %+v", f)
			}
			if len(items(b)) != 2 || res.Members[1].Failure.Set || res.Members[2].Failure.Set {
				t.Errorf("the others: %v, %+v", items(b), res.Members)
			}
		})
	}
}
