package tree

import (
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

func (t *Tree) managed(p dbus.ObjectPath) bool {
	return strings.HasPrefix(string(p), string(t.root)+"/")
}

func (t *Tree) object(p dbus.ObjectPath) object {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.objects[p]
}

func (t *Tree) add(p dbus.ObjectPath, o object) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.objects[p]; taken {
		return false
	}
	t.objects[p] = o
	t.grow(p)
	return true
}

// grow makes p reachable from "/"; mu is held.
func (t *Tree) grow(p dbus.ObjectPath) {
	for parent, name := range ancestors(p) {
		if t.nodes[parent] == nil {
			t.nodes[parent] = map[string]int{}
		}
		t.nodes[parent][name]++
	}
}

func (t *Tree) remove(p dbus.ObjectPath) object {
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.objects[p]
	if !ok {
		return nil
	}
	delete(t.objects, p)
	for parent, name := range ancestors(p) {
		if t.nodes[parent][name]--; t.nodes[parent][name] == 0 {
			delete(t.nodes[parent], name)
		}
		if len(t.nodes[parent]) == 0 {
			delete(t.nodes, parent)
		}
	}
	return o
}

// ancestors yields every path above p with the name of the child that leads to p.
func ancestors(p dbus.ObjectPath) func(yield func(dbus.ObjectPath, string) bool) {
	return func(yield func(dbus.ObjectPath, string) bool) {
		for s := string(p); s != "/"; {
			i := strings.LastIndexByte(s, '/')
			parent := s[:max(i, 1)]
			if !yield(dbus.ObjectPath(parent), s[i+1:]) {
				return
			}
			s = parent
		}
	}
}

// exists reports whether there is an object at p or below it. The root is there
// from the beginning, and with it what leads to it.
func (t *Tree) exists(p dbus.ObjectPath) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.objects[p]
	return ok || p == t.root || len(t.nodes[p]) > 0
}

func (t *Tree) children(p dbus.ObjectPath) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.nodes[p]))
}
