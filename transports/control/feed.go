package control

import (
	"context"
	"encoding/json"
	"sync"

	"davbus.org/davbus/transports/call"
)

// Bounds of what waits for one client: beyond the first, progress is left out;
// beyond the second everything is, and the client is told to subscribe anew.
const (
	maxEvents = 256
	mostLines = 4096
	mostBytes = 512 << 10 // of a part of the snapshot
)

// A Snapshot is one part of the state. Clients get these first.
type Snapshot struct {
	Objects  map[string]json.RawMessage `json:"objects"`
	Complete bool                       `json:"complete"` // it is the last part
}

// A Numbered event is what clients get. The numbers have gaps where events were
// left out.
type Numbered struct {
	Seq  uint64 `json:"seq"`
	Data any    `json:"event"`
}

// A Gap tells that events were left out. If Fresh is set, some of them were more
// than progress: what the client knows is stale until it subscribes anew.
type Gap struct {
	Lost  uint64 `json:"lost"`
	Fresh bool   `json:"subscribe-again"`
}

// Names of the notifications.
const (
	noteSnapshot = "snapshot"
	noteEvent    = "event"
	noteGap      = "gap"
)

// A feed is the events that wait for one client.
type feed struct {
	stop func()
	work sync.WaitGroup

	mu    sync.Mutex
	seq   uint64
	lines []Numbered
	gap   Gap
	wake  chan struct{}
	done  context.CancelFunc
}

// subscribe starts a feed, or starts it over.
func (c *client) subscribe() (any, error) {
	c.unsubscribe()
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &feed{wake: make(chan struct{}, 1)}
	objects, stop, err := c.caller.Subscribe(f.add)
	if err != nil {
		return nil, err
	}
	parts, err := split(objects)
	if err != nil {
		stop()
		return nil, err
	}
	var ctx context.Context
	ctx, f.done = context.WithCancel(context.Background())
	f.stop = stop
	f.work.Go(func() { f.run(ctx, c.peer, parts) })
	c.feed = f
	return map[string]any{"objects": len(objects)}, nil
}

func (c *client) unsubscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.feed != nil {
		c.feed.stop()
		c.feed.done()
		c.feed.work.Wait()
		c.feed = nil
	}
}

// split makes lines that fit of a state.
func split(objects []Object) ([]Snapshot, error) {
	part := Snapshot{Objects: map[string]json.RawMessage{}}
	var parts []Snapshot
	size := 0
	for _, o := range objects {
		raw, err := json.Marshal(o.Data)
		if err != nil {
			return nil, err
		}
		if size > 0 && size+len(raw) > mostBytes {
			parts = append(parts, part)
			part, size = Snapshot{Objects: map[string]json.RawMessage{}}, 0
		}
		part.Objects[o.Path] = raw
		size += len(raw) + len(o.Path) + 8
	}
	part.Complete = true
	return append(parts, part), nil
}

// add queues an event. It does not wait.
func (f *feed) add(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	switch {
	case len(f.lines) >= mostLines:
		f.gap.Lost++
		f.gap.Fresh = true
	case len(f.lines) >= maxEvents && e.Losable:
		f.gap.Lost++
	default:
		f.lines = append(f.lines, Numbered{f.seq, e.Data})
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take gives what waits: at most one of the two.
func (f *feed) take() (line *Numbered, gap *Gap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(f.lines) > 0:
		line = &f.lines[0]
		f.lines = f.lines[1:]
	case f.gap.Lost > 0:
		g := f.gap
		gap, f.gap = &g, Gap{}
	}
	return line, gap
}

// run writes until the client has gone or subscribes anew.
func (f *feed) run(ctx context.Context, to *call.Peer, parts []Snapshot) {
	for _, p := range parts {
		if to.Notify(ctx, noteSnapshot, p) != nil {
			return
		}
	}
	for {
		line, gap := f.take()
		var err error
		switch {
		case line != nil:
			err = to.Notify(ctx, noteEvent, line)
		case gap != nil:
			err = to.Notify(ctx, noteGap, gap)
		default:
			select {
			case <-f.wake:
			case <-ctx.Done():
				return
			case <-to.Done():
				return
			}
		}
		if err != nil && ctx.Err() == nil && to.Err() == nil {
			f.tooLong() // the line, not the connection
			err = nil
		}
		if err != nil {
			return
		}
	}
}

// tooLong counts an event that no line can hold.
func (f *feed) tooLong() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gap.Lost++
	f.gap.Fresh = true
}
