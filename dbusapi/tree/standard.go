package tree

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/godbus/dbus/v5"
)

// The interfaces that every tree serves by itself.
const (
	peer           = "org.freedesktop.DBus.Peer"
	introspectable = "org.freedesktop.DBus.Introspectable"
	properties     = "org.freedesktop.DBus.Properties"
	objectManager  = "org.freedesktop.DBus.ObjectManager"
)

// A standardMethod is a method of one of them. What it gives, if reads is set,
// stands in line with the announcements of changes.
type standardMethod struct {
	in    string
	reads bool
	run   func(c *call, body []any) ([]any, error)
}

var peerMethods = map[string]*standardMethod{
	"Ping": {"", false, func(*call, []any) ([]any, error) { return nil, nil }},
	"GetMachineId": {"", false, func(*call, []any) ([]any, error) {
		id, err := machineID()
		return []any{id}, err
	}},
}

var introspectableMethods = map[string]*standardMethod{
	"Introspect": {"", false, func(c *call, _ []any) ([]any, error) { return []any{c.tree.describe(c.msg.Path)}, nil }},
}

var objectManagerMethods = map[string]*standardMethod{
	"GetManagedObjects": {"", true, func(c *call, _ []any) ([]any, error) {
		all, err := c.tree.allValues()
		return []any{all}, err
	}},
}

var propertiesMethods = map[string]*standardMethod{
	"Get": {"ss", true, func(c *call, a []any) ([]any, error) {
		b, err := c.property(a[0].(string), a[1].(string))
		if err != nil {
			return nil, err
		}
		v, err := b.value(a[1].(string))
		return []any{v}, err
	}},
	"GetAll": {"s", true, func(c *call, a []any) ([]any, error) {
		all, err := c.allProperties(a[0].(string))
		return []any{all}, err
	}},
	"Set": {"ssv", false, func(c *call, a []any) ([]any, error) {
		return nil, c.setProperty(a[0].(string), a[1].(string), a[2].(dbus.Variant))
	}},
}

// findStandard finds a standard method that the object has.
func (c *call) findStandard(o object) *standardMethod {
	m := c.msg
	for name, methods := range map[string]map[string]*standardMethod{
		peer: peerMethods, introspectable: introspectableMethods, properties: propertiesMethods, objectManager: objectManagerMethods,
	} {
		s := methods[m.Member]
		if s != nil && (m.Interface == name || m.Interface == "") && c.tree.hasStandard(m.Path, o, name) {
			m.Interface = name
			return s
		}
	}
	return nil
}

// hasStandard reports whether an object, or a mere node of the tree, has one of
// the standard interfaces.
func (t *Tree) hasStandard(p dbus.ObjectPath, o object, name string) bool {
	switch name {
	case peer, introspectable:
		return true
	case properties:
		return o != nil
	case objectManager:
		return p == t.root
	}
	return false
}

// standard runs a standard method.
func (c *call) standard(s *standardMethod) (rets []any, files []*os.File, err error) {
	body, err := c.msg.Body()
	if err != nil {
		return nil, nil, invalid("the arguments of %s cannot be read: %v", c.msg.Member, err)
	}
	err = c.guard(func() (err error) {
		rets, err = s.run(c, body)
		return err
	})
	return rets, nil, err
}

// read answers a call with values, so that the answer does not overtake, nor
// fall behind, the announcement of a change: whoever keeps a copy would keep a
// stale value for ever. The values are read and encoded at leisure, and again
// if something was announced meanwhile; the third time announcements wait.
func (c *call) read(s *standardMethod) {
	t := c.tree
	for try := 1; ; try++ {
		t.say.Lock()
		before := t.said
		if try < 3 {
			t.say.Unlock()
		}
		rets, _, err := c.standard(s)
		var frame []byte
		if err == nil && c.local == nil && c.msg.WantsReply() {
			frame = c.encodeClean(rets, 0) // value has cleaned each
		}
		if try < 3 {
			t.say.Lock()
		}
		if try == 3 || t.said == before {
			if frame != nil {
				c.conn.Write(frame, nil, c.sent)
			} else {
				c.answer(rets, nil, err)
			}
			t.say.Unlock()
			return
		}
		t.say.Unlock()
	}
}

// property finds the interface that has a property; "" leaves the choice to us.
func (c *call) property(iface, name string) (*bound, error) {
	o := c.tree.object(c.msg.Path)
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if b := o[key]; (iface == "" || iface == key) && b.spec.properties[name] != nil {
			return b, nil
		}
	}
	if iface != "" && o[iface] == nil && !c.tree.hasStandard(c.msg.Path, o, iface) {
		return nil, unknownInterface(c.msg.Path, iface)
	}
	return nil, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{fmt.Sprintf("%s has no property %s", cmp.Or(iface, string(c.msg.Path)), name)})
}

func (c *call) allProperties(iface string) (map[string]dbus.Variant, error) {
	o := c.tree.object(c.msg.Path)
	if b, ok := o[iface]; ok {
		return b.values()
	}
	all := map[string]dbus.Variant{}
	if iface != "" {
		if !c.tree.hasStandard(c.msg.Path, o, iface) {
			return nil, unknownInterface(c.msg.Path, iface)
		}
		return all, nil
	}
	for _, b := range o {
		some, err := b.values()
		if err != nil {
			return nil, err
		}
		maps.Copy(all, some)
	}
	return all, nil
}

func (c *call) setProperty(iface, name string, v dbus.Variant) error {
	b, err := c.property(iface, name)
	if err != nil {
		return err
	}
	ps := b.spec.properties[name]
	if !ps.writable {
		return dbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly", []any{"property " + name + " of " + b.spec.name + " may only be read"})
	}
	if got := v.Signature().String(); got != ps.typ {
		return invalid("property %s is of type %s, not %s", name, ps.typ, got)
	}
	return b.props[name].Set(Call{c}, v)
}

// allValues is the answer of the object manager. Values are read without a lock
// on the tree, so that nobody waits for them.
func (t *Tree) allValues() (map[dbus.ObjectPath]map[string]map[string]dbus.Variant, error) {
	t.mu.RLock()
	objects := maps.Clone(t.objects)
	t.mu.RUnlock()
	all := make(map[dbus.ObjectPath]map[string]map[string]dbus.Variant, len(objects))
	for p, o := range objects {
		if !t.managed(p) {
			continue
		}
		v, err := o.values()
		if err != nil {
			return nil, err
		}
		all[p] = v
	}
	return all, nil
}
