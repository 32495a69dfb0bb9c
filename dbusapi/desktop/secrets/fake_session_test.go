package secrets

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

func (f *fake) openSession(body []any) ([]any, string) {
	if body[0] != algorithm {
		return nil, "org.freedesktop.DBus.Error.NotSupported"
	}
	mine, err := newHalf()
	if err != nil {
		f.t.Error(err)
	}
	key, err := mine.key(body[1].(dbus.Variant).Value().([]byte))
	if err != nil {
		f.t.Error(err)
	}
	f.next++
	p := servicePath + dbus.ObjectPath(fmt.Sprint("/session/", f.next))
	f.sessions[p] = &session{path: p, key: key}
	public := mine.public()
	if f.weak != nil {
		public = f.weak
	}
	return []any{dbus.MakeVariant(public), p}, ""
}

func (f *fake) unlock(what []dbus.ObjectPath) ([]any, string) {
	return []any{[]dbus.ObjectPath{}, f.prompt(func() dbus.Variant {
		for _, p := range what {
			if item := f.items[p]; item != nil {
				p = item.collection
			}
			f.collections[p].locked = false
		}
		return dbus.MakeVariant(what)
	})}, ""
}

func (f *fake) createItem(c dbus.ObjectPath, body []any) ([]any, string) {
	if f.collections[c] == nil {
		return nil, noObject
	}
	if f.collections[c].locked {
		return nil, isLocked
	}
	value, fault := f.open(body[1])
	if fault != "" {
		return nil, fault
	}
	p := body[0].(map[string]dbus.Variant)
	return []any{f.add(c, value, p[itemIface+".Label"].Value().(string), p[itemIface+".Attributes"].Value().(map[string]string)), dbus.ObjectPath("/")}, ""
}

// open deciphers a secret that came.
func (f *fake) open(arg any) (string, string) {
	var w wireSecret
	if err := dbus.Store([]any{arg}, &w); err != nil {
		f.t.Error(err)
	}
	s := f.sessions[w.Session]
	if s == nil {
		return "", noSession
	}
	value, err := s.decipher(w)
	if err != nil {
		f.t.Error(err)
	}
	if value != nil && strings.Contains(string(w.Value), string(value)) && len(value) > 0 {
		f.t.Error("the secret crossed in the clear")
	}
	return string(value), ""
}

func (f *fake) get(p dbus.ObjectPath, name string) ([]any, string) {
	switch c, item := f.collections[p], f.items[p]; {
	case name == "Collections":
		return []any{dbus.MakeVariant(slices.Sorted(maps.Keys(f.collections)))}, ""
	case c != nil && name == "Locked":
		return []any{dbus.MakeVariant(c.locked)}, ""
	case c != nil && name == "Items":
		shown := []dbus.ObjectPath{}
		for q, item := range f.items {
			if item.collection == p && !(c.locked && f.hides) {
				shown = append(shown, q)
			}
		}
		return []any{dbus.MakeVariant(shown)}, ""
	case item != nil && name == "Modified":
		return []any{dbus.MakeVariant(item.modified)}, ""
	}
	return nil, noObject
}

func (f *fake) onItem(m *conn.Incoming, body []any) ([]any, string) {
	item := f.items[m.Path]
	if item == nil {
		return nil, noObject
	}
	if f.collections[item.collection].locked {
		return nil, isLocked
	}
	switch m.Member {
	case "GetSecret":
		s := f.sessions[body[0].(dbus.ObjectPath)]
		if s == nil {
			return nil, noSession
		}
		w, err := s.encipher([]byte(item.value))
		if err != nil {
			f.t.Error(err)
		}
		return []any{w}, ""
	case "SetSecret":
		value, fault := f.open(body[0])
		if fault == "" {
			item.value = value
		}
		return nil, fault
	case "Delete":
		delete(f.items, m.Path)
		return []any{dbus.ObjectPath("/")}, ""
	}
	return nil, "org.freedesktop.DBus.Error.UnknownMethod"
}
