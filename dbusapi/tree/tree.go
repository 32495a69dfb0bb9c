// Package tree publishes objects on a message bus. It knows D-Bus and nothing
// of davbus: it could serve any program.
//
// What an object may be is said by XML files, the same that are installed for
// other programs: nothing is published that differs from them, and introspection
// answers with their text. Calls of one sender are carried out in the order in
// which they came, those of different senders side by side. Signals and replies
// leave through one queue, so that whatever a method announced is on the wire
// before its reply. No lock is held while the bus is waited for.
package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

// An Interface is what one object does on one D-Bus interface.
type Interface struct {
	Name string

	// Methods maps each D-Bus method to a Go function. Its first parameter may be
	// a [Call] or a [FileCall], which callers do not see; the others are the Go types of the
	// signature, and *os.File for h. The last result is an error. A file that
	// comes in is the function's to close; a file that it returns is closed when
	// it has been handed over.
	Methods map[string]any

	// Properties maps each D-Bus property to how it is read and written.
	Properties map[string]Property
}

// A Property is read from the object's present state at every call, so there
// is no second copy that could go stale.
type Property struct {
	// Get must not wait and must not publish anything.
	Get func() any
	// Set is nil if callers may only read. The value has the right type. It
	// announces the change itself.
	Set func(c Call, v dbus.Variant) error
}

// A Tree is the set of objects on one connection. The hooks are set before
// [Tree.Bind].
type Tree struct {
	// Errors gives the bus's form of an error of a method. It may return nil:
	// then the error is one of the tree itself, or org.freedesktop.DBus.Error.Failed.
	Errors func(error) *dbus.Error

	// Allow decides whether a caller may call a method at all; iface and member
	// are those of the call, so that writing a property is Set of
	// org.freedesktop.DBus.Properties. It may wait. nil allows everything.
	Allow func(c Call, iface, member string) error

	// Gone arranges for left to be called when a caller leaves the bus, and gives
	// what undoes the arrangement. Waiting methods end by it. nil: they wait on.
	Gone func(sender string, left func()) (stop func(), err error)

	// Panicked is told of a method that panicked. It may be nil.
	Panicked func(member string, value any, stack []byte)

	root  dbus.ObjectPath
	specs map[string]*spec
	lanes lanes

	// say keeps announcements in the order of the changes they announce, and
	// replies in line with them. It is taken before mu. Values are read and
	// encoded under it; the socket is never waited for under it.
	say  sync.Mutex
	said uint64 // how many announcements there have been
	conn *conn.Conn
	taps map[*tap]struct{}

	mu      sync.RWMutex
	objects map[dbus.ObjectPath]object
	nodes   map[dbus.ObjectPath]map[string]int // how many objects are below each child
}

// An object is its interfaces by name.
type object map[string]*bound

// New makes an empty tree whose object manager sits at root. The interfaces it
// may publish are those that the XML files describe.
func New(root dbus.ObjectPath, files fs.FS) (*Tree, error) {
	if !root.IsValid() || root == "/" {
		return nil, fmt.Errorf("cannot put an object manager at %q: no path for one", root)
	}
	specs, err := readSpecs(files)
	if err != nil {
		return nil, err
	}
	t := &Tree{root: root, specs: specs, objects: map[dbus.ObjectPath]object{}, nodes: map[dbus.ObjectPath]map[string]int{}}
	t.grow(root)
	t.lanes.start()
	return t, nil
}

// Bind names the connection that signals go out on. Until then the tree is
// silent, and calls that have come wait: its owner may connect first and fill it
// afterwards. The connection must have the tree as its handler.
func (t *Tree) Bind(c *conn.Conn) {
	t.say.Lock()
	defer t.say.Unlock()
	if t.conn == nil {
		close(t.lanes.open)
	}
	t.conn = c
}

// Conn is the connection of Bind, for calls of other programs; nil before.
func (t *Tree) Conn() *conn.Conn {
	t.say.Lock()
	defer t.say.Unlock()
	return t.conn
}

// Put publishes an object and announces it, if it is below the root. It refuses
// an object that does not do exactly what the XML says.
func (t *Tree) Put(p dbus.ObjectPath, ifaces ...Interface) error {
	if !p.IsValid() {
		return fmt.Errorf("cannot publish %q: not a path", p)
	}
	o := object{}
	for _, i := range ifaces {
		s, ok := t.specs[i.Name]
		if !ok {
			return fmt.Errorf("cannot publish %s: no XML file describes %s", p, i.Name)
		}
		b, err := bind(s, i)
		if err != nil {
			return fmt.Errorf("cannot publish %s: %w", p, err)
		}
		o[i.Name] = b
	}
	t.say.Lock()
	defer t.say.Unlock()
	if !t.add(p, o) {
		return fmt.Errorf("cannot publish %s: there is an object already", p)
	}
	if !t.managed(p) {
		return nil
	}
	values, err := o.values()
	if err != nil {
		return err
	}
	return t.emit("", t.root, objectManager, "InterfacesAdded", p, values)
}

// Drop withdraws an object and announces that it is gone. It is no error if
// there is none.
func (t *Tree) Drop(p dbus.ObjectPath) error {
	t.say.Lock()
	defer t.say.Unlock()
	o := t.remove(p)
	if o == nil || !t.managed(p) {
		return nil
	}
	return t.emit("", t.root, objectManager, "InterfacesRemoved", p, slices.Sorted(maps.Keys(o)))
}

// Changed announces the present values of some properties of one object, in one
// signal. Without names it does nothing.
func (t *Tree) Changed(p dbus.ObjectPath, iface string, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	t.say.Lock()
	defer t.say.Unlock()
	b, ok := t.object(p)[iface]
	if !ok {
		return fmt.Errorf("cannot announce a change of %s: there is no object with %s", p, iface)
	}
	values, invalidated := map[string]dbus.Variant{}, []string{}
	for _, name := range names {
		switch ps := b.spec.properties[name]; {
		case ps == nil:
			return fmt.Errorf("cannot announce %s.%s of %s: no such property", iface, name, p)
		case ps.emits == "true":
			v, err := b.value(name)
			if err != nil {
				return err
			}
			values[name] = v
		case ps.emits == "invalidates":
			invalidated = append(invalidated, name)
		default:
			return fmt.Errorf("cannot announce %s.%s of %s: the XML says that its changes are not announced", iface, name, p)
		}
	}
	return t.emit("", p, properties, "PropertiesChanged", iface, values, invalidated)
}

// Emit sends a signal from an object to everybody who asked for it.
func (t *Tree) Emit(p dbus.ObjectPath, iface, signal string, args ...any) error {
	return t.EmitTo("", p, iface, signal, args...)
}

// EmitTo sends a signal from an object to one program, named by its unique name.
func (t *Tree) EmitTo(dest string, p dbus.ObjectPath, iface, signal string, args ...any) error {
	s, ok := t.specs[iface]
	if !ok {
		return fmt.Errorf("cannot emit %s.%s: no XML file describes the interface", iface, signal)
	}
	want, ok := s.signals[signal]
	if !ok {
		return fmt.Errorf("cannot emit %s.%s: no such signal", iface, signal)
	}
	if got := dbus.SignatureOf(args...).String(); got != want {
		return fmt.Errorf("cannot emit %s.%s: it is %q here and %q in the XML", iface, signal, got, want)
	}
	t.say.Lock()
	defer t.say.Unlock()
	return t.emit(dest, p, iface, signal, args...)
}

// ErrNotSent is why something was not announced.
var ErrNotSent = errors.New("not sent to the bus")

// emit queues a signal; say is held.
func (t *Tree) emit(dest string, p dbus.ObjectPath, iface, signal string, args ...any) error {
	t.said++
	for i, a := range args {
		args[i] = Clean(a)
	}
	for tap := range t.taps {
		if dest == "" || dest == tap.name {
			tap.tell(Signal{Path: p, Interface: iface, Member: signal, Args: args})
		}
	}
	if t.conn == nil || dest != "" && dest[0] != ':' {
		return nil
	}
	m := &dbus.Message{Type: dbus.TypeSignal, Flags: dbus.FlagNoReplyExpected, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(p), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(signal),
	}}
	if dest != "" {
		m.Headers[dbus.FieldDestination] = dbus.MakeVariant(dest)
	}
	frame, err := t.conn.Encode(m, 0)
	if err != nil {
		return fmt.Errorf("%s.%s of %s: %w: %w", iface, signal, p, ErrNotSent, err)
	}
	t.conn.Write(frame, nil, nil)
	return nil
}
