package control

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestSubscribeGivesAllThenEvents(t *testing.T) {
	f := &fake{}
	for n := range 40 {
		f.objects = append(f.objects, Object{fmt.Sprintf("/o/%d", n), strings.Repeat("x", 30000)})
	}
	path := serve(t, f, 0)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	updates := make(chan Update, 100)
	if err := c.Subscribe(t.Context(), func(u Update) { updates <- u }); err != nil {
		t.Fatal(err)
	}
	f.tell[0](Event{Data: "first"})
	f.tell[0](Event{Data: "second"})
	objects, complete := 0, false
	for seq := uint64(0); seq < 2; {
		u := <-updates
		switch {
		case u.Snapshot != nil:
			objects += len(u.Snapshot.Objects)
			complete = u.Snapshot.Complete
		case u.Event == nil || !complete || u.Event.Seq != seq+1:
			t.Fatalf("got %+v", u)
		default:
			seq++
		}
	}
	if objects != 40 {
		t.Errorf("%d objects of 40", objects)
	}
}

func TestSlowReaderLosesProgressAndIsTold(t *testing.T) {
	f := &fake{}
	path := serve(t, f, 0)
	c, in := dial(t, path)
	ask(t, c, in, `{"jsonrpc":"2.0","id":1,"method":"subscribe"}`)
	// More than any socket holds, so that everything after it waits.
	const large = 40
	for range large {
		f.tell[0](Event{Data: strings.Repeat("x", 100000)})
	}
	const many = 3 * maxEvents
	for range many {
		f.tell[0](Event{Data: "progress", Losable: true})
	}
	f.tell[0](Event{Data: "important"})
	lost, got, important := 0, 0, false
	for lost == 0 || !important {
		var m struct {
			Method string
			Params struct {
				Event string
				Lost  int
			}
		}
		if err := json.Unmarshal([]byte(read(t, in)), &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Method == noteGap:
			lost = m.Params.Lost
		case m.Params.Event == "important":
			important = true
		case m.Params.Event == "progress":
			got++
		}
	}
	if lost+got != many || got == 0 {
		t.Errorf("%d lost and %d told of %d", lost, got, many)
	}
}

func TestClientThatNeverReadsIsDropped(t *testing.T) {
	f := &fake{}
	path := serve(t, f, 200*time.Millisecond)
	c, in := dial(t, path)
	ask(t, c, in, `{"jsonrpc":"2.0","id":1,"method":"subscribe"}`)
	for range 40 {
		f.tell[0](Event{Data: strings.Repeat("x", 100000)})
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		f.mu.Lock()
		left := f.left
		f.mu.Unlock()
		if left == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
	}
}
