package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

// HandleCall queues one call; with it a Tree is a [conn.Handler].
func (t *Tree) HandleCall(c *conn.Conn, m *conn.Incoming) {
	x := &call{tree: t, conn: c, msg: m}
	if len(m.Files) > 0 && !t.takesFiles(m) {
		m.Close()
		x.badFiles = true
	}
	if err := t.lanes.add(x); err != nil {
		m.Close()
		x.answer(nil, nil, err)
	}
}

// takesFiles reports whether a call came with as many descriptors as its method
// takes.
func (t *Tree) takesFiles(m *conn.Incoming) bool {
	for name, b := range t.object(m.Path) {
		if m.Interface != "" && m.Interface != name {
			continue
		}
		if f, ok := b.methods[m.Member]; ok {
			fit := f.files == len(m.Files) || f.loose && len(m.Files) == 1
			return fit && f.spec.in == m.Signature
		}
	}
	return false
}

// serve carries out one call and answers it.
func (c *call) serve() {
	c.ctx, c.cancel = context.WithCancelCause(c.tree.lanes.ctx)
	defer c.cancel(nil)
	if c.within != nil {
		stop := context.AfterFunc(c.within, func() { c.cancel(context.Cause(c.within)) })
		defer stop()
	}
	defer func() {
		if c.forget != nil {
			c.forget()
		}
		c.msg.Close()
	}()
	standard, m, err := c.find()
	if err == nil && c.tree.Allow != nil {
		err = c.guard(func() error { return c.tree.Allow(Call{c}, c.msg.Interface, c.msg.Member) })
	}
	switch {
	case err != nil:
		c.answer(nil, nil, err)
	case standard != nil && standard.reads:
		c.read(standard)
	case standard != nil:
		c.answer(c.standard(standard))
	default:
		c.answer(c.invoke(m))
	}
}

// find tells what is to be done: a standard method or one of the object's own.
func (c *call) find() (*standardMethod, method, error) {
	t, m := c.tree, c.msg
	if c.badFiles {
		return nil, method{}, invalid("%s takes no descriptors like these", m.Member)
	}
	if s := peerMethods[m.Member]; s != nil && m.Interface == peer {
		return s, method{}, c.checkArgs(s.in)
	}
	if !t.exists(m.Path) {
		return nil, method{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownObject", []any{fmt.Sprintf("there is no object %s", m.Path)})
	}
	o := t.object(m.Path)
	if s := c.findStandard(o); s != nil {
		return s, method{}, c.checkArgs(s.in)
	}
	if m.Interface == "" {
		for _, b := range o {
			if f, ok := b.methods[m.Member]; ok {
				m.Interface = b.spec.name
				return nil, f, c.checkArgs(f.spec.in)
			}
		}
		return nil, method{}, unknownMethod(m)
	}
	b, ok := o[m.Interface]
	if !ok {
		if t.hasStandard(m.Path, o, m.Interface) {
			return nil, method{}, unknownMethod(m)
		}
		return nil, method{}, unknownInterface(m.Path, m.Interface)
	}
	f, ok := b.methods[m.Member]
	if !ok {
		return nil, method{}, unknownMethod(m)
	}
	return nil, f, c.checkArgs(f.spec.in)
}

func (c *call) checkArgs(want string) error {
	if got := c.msg.Signature; got != want {
		return invalid("%s takes arguments of the types (%s), not (%s)", c.msg.Member, want, got)
	}
	return nil
}

func invalid(format string, args ...any) *dbus.Error {
	return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{fmt.Sprintf(format, args...)})
}

func unknownMethod(m *conn.Incoming) *dbus.Error {
	where := m.Interface
	if where == "" {
		where = string(m.Path)
	}
	return dbus.NewError("org.freedesktop.DBus.Error.UnknownMethod", []any{fmt.Sprintf("%s has no method %s", where, m.Member)})
}

func unknownInterface(p dbus.ObjectPath, name string) *dbus.Error {
	return dbus.NewError("org.freedesktop.DBus.Error.UnknownInterface", []any{fmt.Sprintf("%s has no interface %s", p, name)})
}

// guard turns a panic into an error to the one caller: it must not take the
// service down. What it says of the service's inside stays inside.
func (c *call) guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if c.tree.Panicked != nil {
				c.tree.Panicked(c.msg.Interface+"."+c.msg.Member, r, debug.Stack())
			}
			err = errPanic
		}
	}()
	return do()
}

var errPanic = errors.New("internal error: the call failed in a way that should not be possible; please report it")

// invoke runs the Go function of a method.
func (c *call) invoke(m method) (rets []any, files []*os.File, err error) {
	in, err := c.arguments(m)
	if err != nil {
		return nil, nil, err
	}
	var out []reflect.Value
	if err := c.guard(func() error { out = m.fn.Call(in); return nil }); err != nil {
		return nil, nil, err
	}
	last := len(out) - 1
	if err, _ := out[last].Interface().(error); err != nil {
		for _, v := range out[:last] {
			if f, ok := v.Interface().(*os.File); ok && f != nil {
				f.Close()
			}
		}
		return nil, nil, err
	}
	for _, v := range out[:last] {
		f, ok := v.Interface().(*os.File)
		switch {
		case !ok:
			rets = append(rets, v.Interface())
		case f == nil:
			return nil, files, errPanic
		default:
			rets = append(rets, dbus.UnixFDIndex(len(files)))
			files = append(files, f)
		}
	}
	return rets, files, nil
}

// arguments fits the body of the message to the function.
func (c *call) arguments(m method) ([]reflect.Value, error) {
	var in []reflect.Value
	switch {
	case m.loose:
		in = append(in, reflect.ValueOf(FileCall{Call{c}}))
	case m.call:
		in = append(in, reflect.ValueOf(Call{c}))
	}
	body, err := c.msg.Body()
	if err != nil {
		return nil, invalid("the arguments of %s cannot be read: %v", c.msg.Member, err)
	}
	if len(body) != len(m.in) {
		return nil, invalid("%s takes %d arguments, not %d", c.msg.Member, len(m.in), len(body))
	}
	for i, t := range m.in {
		if t == fileType {
			index, _ := body[i].(dbus.UnixFDIndex)
			f, ok := c.msg.Take(index)
			if !ok {
				closeAll(in)
				return nil, invalid("argument %d of %s names a descriptor that did not come with the call", i+1, c.msg.Member)
			}
			in = append(in, reflect.ValueOf(f))
			continue
		}
		if reflect.TypeOf(body[i]) == t {
			in = append(in, reflect.ValueOf(body[i]))
			continue
		}
		v := reflect.New(t)
		if err := dbus.Store(body[i:i+1], v.Interface()); err != nil {
			closeAll(in)
			return nil, invalid("argument %d of %s cannot be read: %v", i+1, c.msg.Member, err)
		}
		in = append(in, v.Elem())
	}
	return in, nil
}

func closeAll(values []reflect.Value) {
	for _, v := range values {
		if f, ok := v.Interface().(*os.File); ok {
			f.Close()
		}
	}
}
