package dbusapi

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
)

// A publisher is the one writer of the tree. It follows the feed, compares each
// new state with what the bus was told last, and announces exactly the
// difference. One goroutine runs it, so signals leave in the order of the feed.
type publisher struct {
	tree  announcer
	parts parts
	fixed map[string]map[string]bool // interface, property: const
	view  *view

	objects   map[dbus.ObjectPath]*object
	root      *object
	control   *object
	progress  progress
	items     map[engine.MemberID]*itemNames
	kept      atomic.Int64 // steps that are kept of all jobs
	watches   atomic.Int64 // callers of Job.Watch
	err       error        // the first; it ends the publisher
	sent      atomic.Uint64
	coalesced atomic.Uint64

	mu      sync.Mutex
	seq     uint64 // everything up to this is on the wire
	waiting []waiter
	stopped bool
}

// An announcer is the tree, as the publisher sees it.
type announcer interface {
	Put(p dbus.ObjectPath, ifaces ...tree.Interface) error
	Drop(p dbus.ObjectPath) error
	Changed(p dbus.ObjectPath, iface string, names ...string) error
	Emit(p dbus.ObjectPath, iface, signal string, args ...any) error
	EmitTo(dest string, p dbus.ObjectPath, iface, signal string, args ...any) error
}

// parts give the methods of each object, and the properties that callers set.
type parts struct {
	account    func(engine.AccountID) tree.Interface
	collection func(engine.MemberID) tree.Interface
	group      func(engine.GroupID) tree.Interface
	job        func(engine.JobID) tree.Interface
	conflict   func(string) tree.Interface
}

// An object is one interface of one object as the bus knows it. Its properties
// are replaced as a whole, so a reader never waits.
type object struct {
	path  dbus.ObjectPath
	iface string
	props atomic.Pointer[props]
}

func newObject(path dbus.ObjectPath, iface string, p props) *object {
	o := &object{path: path, iface: iface}
	o.props.Store(&p)
	return o
}

// properties reads each property from what was announced last.
func (o *object) properties(set map[string]tree.Property) map[string]tree.Property {
	out := map[string]tree.Property{}
	for key := range *o.props.Load() {
		p := set[key]
		p.Get = func() any { return (*o.props.Load())[key] }
		out[key] = p
	}
	return out
}

// run publishes until ctx ends or the bus cannot be written to.
func (p *publisher) run(ctx context.Context, sub *feed.Sub) error {
	defer p.stop()
	for {
		n, err := p.next(ctx, sub)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			p.apply(n.Event, time.Now())
		}
		p.flush(time.Now())
		if p.err != nil {
			return fmt.Errorf("cannot publish on the bus: %w", p.err)
		}
		if err == nil {
			p.reached(n.Seq)
		}
	}
}

// next waits for an event, but no longer than until something is due.
func (p *publisher) next(ctx context.Context, sub *feed.Sub) (feed.Numbered, error) {
	due := p.due()
	if due.IsZero() {
		return sub.Next(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	return sub.Next(ctx)
}

// due is when flush has something to do; zero for never.
func (p *publisher) due() time.Time {
	due := p.progress.due()
	for _, n := range p.items {
		due = earlier(due, n.due)
	}
	for _, j := range p.watchedJobs() {
		due = earlier(due, j.watchDue())
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (p *publisher) flush(now time.Time) {
	p.flushProgress(now)
	p.flushItems(now)
	p.flushWatchers(now)
}

// apply makes one event seen.
func (p *publisher) apply(event engine.Event, now time.Time) {
	switch e := event.(type) {
	case engine.ManagerChanged:
		p.manager(e.State)
	case engine.AccountChanged:
		p.account(e.State)
	case engine.AccountGone:
		p.accountGone(e.ID)
	case engine.CollectionChanged:
		p.collection(e.State)
	case engine.CollectionDropped:
		p.collectionGone(e.ID)
	case engine.GroupChanged:
		p.group(e.State)
	case engine.GroupGone:
		p.groupGone(e.ID)
	case engine.ConflictChanged:
		p.conflict(e.State)
	case engine.ConflictGone:
		p.conflictGone(e.ID)
	case engine.JobChanged:
		p.job(e.State, now)
	case engine.JobGone:
		p.jobGone(e.ID)
	case engine.JobProgress:
		p.jobProgress(e.Job, e.Progress)
	case engine.JobItems:
		p.jobItems(e.Job, e.Items, now)
	case engine.ItemsChanged:
		p.itemsChanged(e, now)
	case engine.Attention:
		p.attention(e)
	default:
		p.fail(fmt.Errorf("event %T is unknown", e))
	}
}

// put announces a new object. The publisher has one interface on each object
// below the root.
func (p *publisher) put(path dbus.ObjectPath, i tree.Interface, values props) *object {
	o := newObject(path, i.Name, values)
	i.Properties = o.properties(i.Properties)
	p.objects[path] = o
	p.fail(p.tree.Put(path, i))
	p.sent.Add(1)
	return o
}

func (p *publisher) drop(path dbus.ObjectPath) {
	if p.objects[path] == nil {
		return
	}
	delete(p.objects, path)
	p.fail(p.tree.Drop(path))
	p.sent.Add(1)
}

// show makes an object have these values: a new object, or one signal with what
// differs. A property that is const lasts as long as its object, so a change of
// one makes a new object.
func (p *publisher) show(path dbus.ObjectPath, make func() tree.Interface, values props) *object {
	o := p.objects[path]
	if o == nil {
		return p.put(path, make(), values)
	}
	for key := range p.fixed[o.iface] {
		if !reflect.DeepEqual((*o.props.Load())[key], values[key]) {
			p.drop(path)
			return p.put(path, make(), values)
		}
	}
	p.change(o, values)
	return o
}

// change announces those of the values that differ, in one signal, and reports
// whether there were any.
func (p *publisher) change(o *object, values props) bool {
	old := *o.props.Load()
	var changed []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !reflect.DeepEqual(old[key], values[key]) {
			changed = append(changed, key)
		}
	}
	if len(changed) == 0 {
		return false
	}
	all := maps.Clone(old)
	maps.Copy(all, values)
	o.props.Store(&all)
	p.fail(p.tree.Changed(o.path, o.iface, changed...))
	p.sent.Add(1)
	return true
}

func (p *publisher) emit(path dbus.ObjectPath, iface, signal string, args ...any) {
	p.fail(p.tree.Emit(path, iface, signal, args...))
	p.sent.Add(1)
}

// fail keeps the first error; it ends the publisher.
func (p *publisher) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// A waiter is a call that must not be answered before its effects are seen.
type waiter struct {
	seq  uint64
	done chan struct{}
}

// reached tells that everything up to seq is on the wire.
func (p *publisher) reached(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq = seq
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool {
		if w.seq > seq {
			return false
		}
		close(w.done)
		return true
	})
}

// await waits until everything up to seq is on the wire, or nothing more will be.
func (p *publisher) await(seq uint64) {
	p.mu.Lock()
	if p.stopped || p.seq >= seq {
		p.mu.Unlock()
		return
	}
	w := waiter{seq, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	<-w.done
}

func (p *publisher) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, w := range p.waiting {
		close(w.done)
	}
	p.waiting = nil
}
