package plugin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/service/plugin"
	child "davbus.org/davbus/transports/plugin"
)

// A vector is one line of data/vectors: what is sent, and what is answered. See
// davbus-plugin(7), VECTORS.
type vector struct {
	What    string
	Send    map[string]any
	Result  json.RawMessage
	Error   json.RawMessage
	Changes []any
}

func vectors(t *testing.T, name string) (list []vector) {
	t.Helper()
	text, err := os.ReadFile("../../data/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var v vector
		if err := json.Unmarshal(line, &v); err != nil || v.What == "" {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, v)
	}
	if len(list) < 10 {
		t.Fatalf("%s has %d vectors", name, len(list))
	}
	return list
}

// A trial says vectors to one side, and binds what it is told.
type trial struct {
	t     *testing.T
	out   io.Writer
	in    *bufio.Reader
	bound map[string]any
	id    int
}

func (r *trial) run(list []vector) {
	for _, v := range list {
		r.t.Run(v.What, func(t *testing.T) {
			t.Helper()
			r.id++
			call := r.fill(v.Send).(map[string]any)
			call["jsonrpc"], call["id"] = "2.0", r.id
			line, err := json.Marshal(call)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(r.out, "%s\n", line); err != nil {
				t.Fatal(err)
			}
			answer, changes := r.read(t)
			want, part := v.Result, "result"
			if v.Error != nil {
				want, part = v.Error, "error"
			}
			var pattern any
			if err := json.Unmarshal(want, &pattern); err != nil && want != nil {
				t.Fatal(err)
			}
			got, is := answer[part]
			if !is || !r.match(pattern, got) {
				t.Fatalf("sent %s\ngot  %v\nwant %s %s, with %v", line, answer, part, want, r.bound)
			}
			if v.Changes != nil && (len(changes) != len(v.Changes) || !r.match(v.Changes, changes)) {
				t.Errorf("changes %v, want %v", changes, v.Changes)
			}
		})
		if r.t.Failed() {
			return
		}
	}
}

// read reads up to the answer; what the other side asks or tells is passed over,
// but for changes.
func (r *trial) read(t *testing.T) (answer map[string]any, changes []any) {
	for {
		line, err := r.in.ReadBytes('\n')
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m["method"] == "change" {
			changes = append(changes, m["params"])
		} else if m["method"] == nil {
			return m, changes
		}
	}
}

// fill puts in what was bound before.
func (r *trial) fill(v any) any {
	switch v := v.(type) {
	case string:
		if value, ok := r.bound[v]; ok {
			return value
		}
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[key] = r.fill(value)
		}
		return out
	case []any:
		out := []any{}
		for _, value := range v {
			out = append(out, r.fill(value))
		}
		return out
	}
	return v
}

// match: every member of a pattern is in what came, and more may be; "*" is
// anything but nothing; "$name" is anything the first time, and the same later.
func (r *trial) match(pattern, got any) bool {
	switch want := pattern.(type) {
	case string:
		if want == "*" {
			return got != nil && got != ""
		}
		if strings.HasPrefix(want, "$") {
			if known, ok := r.bound[want]; ok {
				return reflect.DeepEqual(known, got)
			}
			r.bound[want] = got
			return got != nil && got != ""
		}
	case map[string]any:
		m, ok := got.(map[string]any)
		for key, value := range want {
			ok = ok && r.match(value, m[key])
		}
		return ok
	case []any:
		list, ok := got.([]any)
		ok = ok && len(list) >= len(want)
		for i := range want {
			ok = ok && r.match(want[i], list[i])
		}
		return ok
	}
	return reflect.DeepEqual(pattern, got)
}

func TestTheGoPackageAnswersEveryVector(t *testing.T) {
	for file, kind := range map[string]string{"plugin-calendar.jsonl": engine.Calendar, "plugin-contacts.jsonl": engine.AddressBook, "plugin-own-uids.jsonl": engine.AddressBook, "plugin-properties.jsonl": engine.AddressBook} {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		source := new(memory.Source)
		if file == "plugin-own-uids.jsonl" {
			source.WithUID = item.WithUID
		}
		c := engine.Collection{Name: "c", Kind: kind, Writable: true}
		if file == "plugin-properties.jsonl" {
			c.Properties = []string{"FN", "EMAIL", "TEL"}
		}
		storage := source.Add(c)
		if keep := item.Keeps(c.Properties); keep != nil {
			storage.Rewrite = func(text []byte) []byte { return item.Project(text, keep) }
		}
		go func() {
			defer close(done)
			_ = plugin.Serve(theirs, "memory", func(engine.Params) (engine.Source, error) { return source, nil })
		}()
		(&trial{t: t, out: ours, in: bufio.NewReader(ours), bound: map[string]any{"$parameters": map[string]any{}}}).run(vectors(t, file))
		ours.Close()
		<-done
	}
}

func TestDavbusAnswersEveryVectorOfAPlugin(t *testing.T) {
	ours, theirs := net.Pipe()
	source := remote.New(remote.Options{Account: "a", Host: &keeping{state: map[string]string{}}})
	c := child.Attach(theirs, child.Options{Notify: source.Notify, Handle: source.Handle})
	defer c.Close()
	defer ours.Close()
	(&trial{t: t, out: ours, in: bufio.NewReader(ours), bound: map[string]any{}}).run(vectors(t, "davbus.jsonl"))
}

// keeping is a host that keeps what it is given.
type keeping struct {
	host
	state map[string]string // one call at a time comes here
}

func (k *keeping) State(collection, key string) (string, bool, error) {
	v, ok := k.state[collection+"/"+key]
	return v, ok, nil
}

func (k *keeping) SetState(collection, key string, value *string) error {
	if delete(k.state, collection+"/"+key); value != nil {
		k.state[collection+"/"+key] = *value
	}
	return nil
}
func (k *keeping) Secret(_ context.Context, name string) ([]byte, error) { return []byte("pw"), nil }
func (k *keeping) Group(collection string) (map[string]any, error) {
	return map[string]any{"collection": collection}, nil
}
