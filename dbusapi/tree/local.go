package tree

import (
	"context"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

// An Answer is what came of a local call: values, or an error.
type Answer struct {
	Values []any
	Err    *dbus.Error
}

// Call queues a call by somebody who is not on the bus, and has answer called
// once with what came of it; answer must not wait. Everything else is as for a
// call from the bus: its order among the sender's calls, its limits, who may
// make it, and the errors. The sender's name must not begin with ":", as those of
// the bus do. The context ends the call's own.
//
// Descriptors cannot be handed over here: they are closed, and the answer is an
// error that says so.
func (t *Tree) Call(ctx context.Context, sender string, path dbus.ObjectPath, iface, member string, signature string, args []any, answer func(Answer)) {
	x := &call{tree: t, msg: conn.Local(sender, path, iface, member, signature, args), within: ctx, local: answer}
	if err := t.lanes.add(x); err != nil {
		x.answer(nil, nil, err)
	}
}

func (c *call) answerLocal(rets []any, files []*os.File, err error) {
	for _, f := range files {
		f.Close()
	}
	switch {
	case err != nil:
		c.local(Answer{Err: c.tree.busError(err)})
	case len(files) > 0:
		c.local(Answer{Err: dbus.NewError("org.freedesktop.DBus.Error.NotSupported", []any{c.msg.Member + " gives a descriptor, which this socket does not carry; call it over the bus"})})
	default:
		for i, v := range rets {
			rets[i] = Clean(v)
		}
		c.local(Answer{Values: rets})
	}
	c.sent(nil)
}

// A Signal is one announcement as a tap is told of it. Its arguments are shared:
// they are only read.
type Signal struct {
	Path              dbus.ObjectPath
	Interface, Member string
	Args              []any
}

// A tap is told of what is announced.
type tap struct {
	name string
	tell func(Signal)
}

// Follow gives the values of all objects, the root's too, and has tell called for
// everything that is announced after them, without a gap, in order: what goes to
// everybody, and what goes to this name alone. tell must not wait and must not
// publish. stop ends it; tell is not called after it.
func (t *Tree) Follow(name string, tell func(Signal)) (objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant, stop func(), err error) {
	t.say.Lock()
	defer t.say.Unlock()
	if objects, err = t.allValues(); err != nil {
		return nil, nil, fmt.Errorf("cannot read what there is: %w", err)
	}
	if root := t.object(t.root); root != nil {
		if objects[t.root], err = root.values(); err != nil {
			return nil, nil, fmt.Errorf("cannot read what there is: %w", err)
		}
	}
	x := &tap{name, tell}
	if t.taps == nil {
		t.taps = map[*tap]struct{}{}
	}
	t.taps[x] = struct{}{}
	return objects, func() {
		t.say.Lock()
		defer t.say.Unlock()
		delete(t.taps, x)
	}, nil
}
