package client

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Props are the properties of one object on one interface.
type Props map[string]dbus.Variant

// Str, Uint, Bool, Strs and Paths read one property; what is missing or of
// another type reads as zero, as a client must treat what it does not know.
func (p Props) Str(name string) string           { return read[string](p, name) }
func (p Props) Bool(name string) bool            { return read[bool](p, name) }
func (p Props) Strs(name string) []string        { return read[[]string](p, name) }
func (p Props) Path(name string) dbus.ObjectPath { return read[dbus.ObjectPath](p, name) }
func (p Props) Paths(name string) []dbus.ObjectPath {
	return read[[]dbus.ObjectPath](p, name)
}
func (p Props) Int(name string) int64 {
	switch v := p[name].Value().(type) {
	case uint32:
		return int64(v)
	case int32:
		return int64(v)
	case uint64:
		return int64(v)
	}
	return 0
}

// Time reads a property in microseconds; zero for never.
func (p Props) Time(name string) time.Time {
	us := read[uint64](p, name)
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

func read[T any](p Props, name string) T {
	v, _ := p[name].Value().(T)
	return v
}

// Plain gives the properties as values that encoding/json writes well.
func (p Props) Plain() map[string]any { return plainMap(p) }

func plainMap(p map[string]dbus.Variant) map[string]any {
	out := make(map[string]any, len(p))
	for k, v := range p {
		out[k] = plain(v.Value())
	}
	return out
}

func plain(v any) any {
	switch v := v.(type) {
	case dbus.Variant:
		return plain(v.Value())
	case map[string]dbus.Variant:
		return plainMap(v)
	case []map[string]dbus.Variant:
		out := make([]map[string]any, 0, len(v))
		for _, m := range v {
			out = append(out, plainMap(m))
		}
		return out
	}
	return v
}

// An Object is one object of davbus with its davbus interfaces.
type Object struct {
	Path       dbus.ObjectPath
	Interfaces map[string]Props // by short name: "Account"
}

// Objects gives every object below the root, sorted by path.
func (c *Client) Objects(ctx context.Context) ([]Object, error) {
	var all map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := c.Call(ctx, Root, objectManager+".GetManagedObjects", nil, &all); err != nil {
		return nil, err
	}
	var out []Object
	for _, path := range slices.Sorted(maps.Keys(all)) {
		o := Object{path, map[string]Props{}}
		for name, props := range all[path] {
			if short, ok := strings.CutPrefix(name, Name+"."); ok {
				o.Interfaces[short] = props
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// Each yields the properties of every object that has the interface.
func Each(objects []Object, short string) func(yield func(dbus.ObjectPath, Props) bool) {
	return func(yield func(dbus.ObjectPath, Props) bool) {
		for _, o := range objects {
			if p, ok := o.Interfaces[short]; ok && !yield(o.Path, p) {
				return
			}
		}
	}
}

// Manager reads the properties of the root.
func (c *Client) Manager(ctx context.Context) (Props, error) {
	return c.props(ctx, Root, "Manager")
}

// Job reads the properties of a job.
func (c *Client) Job(ctx context.Context, job dbus.ObjectPath) (Props, error) {
	return c.props(ctx, job, "Job")
}

// Account and Group read the properties of one, by its id.
func (c *Client) Account(ctx context.Context, id string) (Props, error) {
	return c.props(ctx, AccountPath(id), "Account")
}
func (c *Client) Group(ctx context.Context, id string) (Props, error) {
	return c.props(ctx, GroupPath(id), "Group")
}

func (c *Client) props(ctx context.Context, path dbus.ObjectPath, short string) (Props, error) {
	var p Props
	err := c.Call(ctx, path, properties+".GetAll", []any{Name + "." + short}, &p)
	return p, err
}

// Lookup finds the object of an id as Sync takes it.
func (c *Client) Lookup(ctx context.Context, what string) (dbus.ObjectPath, error) {
	var path dbus.ObjectPath
	err := c.Call(ctx, Root, Name+".Manager.Lookup", []any{what}, &path)
	return path, err
}
