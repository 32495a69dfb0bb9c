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
	"sync"
	"testing"
	"testing/synctest"
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
	in   *bufio.Reader
	said int // lines that were read
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

func (h *hostile) say(format string, args ...any) error {
	_, err := fmt.Fprintf(h, format+"\n", args...)
	if err == nil {
		h.said++
	}
	return err
}

func (h *hostile) answer(a asked, result string) {
	h.say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, a.ID, result)
}

func (h *hostile) change(a asked, rest string) error {
	return h.say(`{"jsonrpc":"2.0","method":"change","params":{"stream":%d,%s}}`, a.Params.Stream, rest)
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
	"a flood":          {flood, []engine.Kind{engine.PluginProtocol}},
	"a flood for ever": {func(h *hostile, a asked) { endless(h, a, `"ref":"x","etag":"1"`) }, []engine.Kind{engine.PluginProtocol}},
	"long texts for ever": {func(h *hostile, a asked) {
		endless(h, a, `"ref":"x","text":"`+strings.Repeat("x", 1<<18)+`"`)
	}, []engine.Kind{engine.PluginProtocol}},
	"it never reads again": {func(h *hostile, a asked) {
		h.change(a, `"ref":"x","etag":"1"`)
		h.answer(a, `{"full":true,"count":1}`)
		h.ended()
	}, []engine.Kind{engine.Timeout}},
	"more than its credit": {func(h *hostile, a asked) {
		for i := range 4000 {
			h.change(a, fmt.Sprintf(`"ref":"%d","etag":"1"`, i))
		}
		h.answer(a, `{"full":true,"count":4000}`)
	}, []engine.Kind{engine.PluginProtocol}},
	"calls without end": {callsWithoutEnd, []engine.Kind{engine.Timeout}},
}

// ended waits for the end without reading.
func (h *hostile) ended() {
	for h.say(`{"jsonrpc":"2.0","method":"log","params":{"text":"still here"}}`) == nil {
		time.Sleep(time.Second)
	}
}

// endless sends changes until the connection ends.
func endless(h *hostile, a asked, rest string) {
	for h.change(a, rest) == nil {
	}
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
	for i := 0; h.say(`{"jsonrpc":"2.0","id":%d,"method":"get_member","params":{}}`, i) == nil; i++ {
	}
}

// hostileAccount is kept by a plugin that attacks. wait until it has ended, and
// tells how many lines of it were read.
func hostileAccount(attack func(*hostile, asked)) (account *remote.Source, wait func() int) {
	var lives sync.WaitGroup
	said := 0 // one lives at a time
	account = remote.New(remote.Options{Account: "p", Host: host{}, Limits: remote.Limits{Bytes: 1 << 20}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		ours, theirs := net.Pipe()
		lives.Go(func() {
			h := &hostile{Conn: theirs, in: bufio.NewReader(theirs)}
			h.serve(attack)
			said += h.said
		})
		return child.Attach(ours, child.Options{Notify: to.Notify, Handle: to.Handle, Timeouts: child.DefaultTimeouts()}), nil
	}})
	return account, func() int { lives.Wait(); return said }
}

// What a plugin does wrong fails its own account with a named error, after the
// time of one call at most: the other members are synced, and nothing of what it
// had is deleted. The sets of another account, which a good plugin keeps, do not
// notice at all.
func TestAHostilePluginHarmsNobodyElse(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				account, wait := hostileAccount(attack.do)
				s := newSetIn(t, account, filled(2), filled(0))
				good := newSetIn(t, over(t, filled(3)), filled(0))
				began := time.Now()
				var other sync.WaitGroup
				other.Go(func() {
					res, err := good.try()
					if took := time.Since(began); err != nil || res.Set.Failure.Set || res.Set.Counts.Added != 3 || took > 0 {
						t.Errorf("another account, after %v: %+v, %v", took, res.Set, err)
					}
				})
				res, err := s.try()
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				other.Wait()
				account.Close()
				if said := wait(); said > 3000 {
					t.Errorf("%d lines of it were read", said)
				}
				f := res.Members[0].Failure
				if !f.Set || !slices.Contains(attack.want, f.Kind) || len(f.Message) < 20 {
					t.Errorf("its account fails with %+v", f)
				}
				if longest := child.DefaultTimeouts()["get_changes"]; took > longest {
					t.Errorf("it held up its own set for %v", took)
				}
				b := s.members[2].Storage.(*memory.Storage)
				if len(items(b)) != 2 || res.Members[1].Failure.Set || res.Members[2].Failure.Set {
					t.Errorf("the others: %v, %+v", items(b), res.Members)
				}
			})
		})
	}
}

// What a plugin sends after its call was broken off is nobody's: the next sync,
// on the same connection, has what that sync was told.
func TestWhatAPluginSendsAfterACancelIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, asking := 0, make(chan struct{})
		account, wait := hostileAccount(func(h *hostile, a asked) {
			if calls++; calls == 1 {
				close(asking)
				if line, err := h.in.ReadString('\n'); err != nil || !strings.Contains(line, `"$/cancel"`) {
					t.Errorf("read %q, %v; want a cancel", line, err)
				}
				for range 3 {
					h.change(a, `"ref":"late","etag":"1"`)
				}
				h.answer(a, `{"full":true,"count":3}`)
				return
			}
			h.answer(a, `{"full":true,"count":0}`)
		})
		s := newSetIn(t, account, filled(2))
		tracker := s.members[0].Storage.(engine.Tracker)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asking; cancel() }()
		if _, err := tracker.Changes(ctx, ""); !engine.IsKind(err, engine.Cancelled) {
			t.Errorf("broken off: %v", err)
		}
		synctest.Wait() // the cancel is told meanwhile
		if d, err := tracker.Changes(t.Context(), ""); err != nil || len(d.Changed) != 0 || calls != 2 {
			t.Errorf("the next one: %+v, %v", d, err)
		}
		account.Close()
		wait()
	})
}
