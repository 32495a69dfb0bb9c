package dbusapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// A Local is a caller who is not on the bus: a client of the control socket. It
// may do what it could do on the bus, by the same methods, in the same order.
type Local struct {
	face *Face
	who  Caller

	mu   sync.Mutex
	gone bool
	left map[*int]func()
}

// A CallError is why a command failed, with the name that the bus has for it.
type CallError struct{ name, text string }

func (e *CallError) Error() string     { return e.text }
func (e *CallError) ErrorName() string { return e.name }

// localCallers adds those who are not on the bus to those who are.
type localCallers struct {
	Callers
	mu   sync.Mutex
	next uint64
	here map[string]*Local
}

func (l *localCallers) find(name string) *Local {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.here[name]
}

const localPrefix = "local."

func (l *localCallers) Identify(name string) Caller {
	if !strings.HasPrefix(name, localPrefix) {
		return l.Callers.Identify(name)
	}
	if c := l.find(name); c != nil {
		return c.who
	}
	return Caller{Name: name, Sandboxed: true}
}

func (l *localCallers) Gone(name string, left func()) (stop func(), err error) {
	if !strings.HasPrefix(name, localPrefix) {
		return l.Callers.Gone(name, left)
	}
	c := l.find(name)
	if c == nil {
		return nil, engine.Fail(engine.Cancelled, "follow the caller", "", "it has left already")
	}
	return c.onLeave(left)
}

// Join lets somebody in who is not on the bus. Who it is was found out by whoever
// let it in.
func (f *Face) Join(initiator string, sandboxed bool) *Local {
	l := f.callers.(*localCallers)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	c := &Local{face: f, who: Caller{Name: localPrefix + strconv.FormatUint(l.next, 10), Initiator: initiator, Sandboxed: sandboxed}, left: map[*int]func(){}}
	l.here[c.who.Name] = c
	return c
}

// Leave ends what was bound to this caller, as leaving the bus does.
func (c *Local) Leave() {
	l := c.face.callers.(*localCallers)
	l.mu.Lock()
	delete(l.here, c.who.Name)
	l.mu.Unlock()
	c.mu.Lock()
	left := slices.Collect(maps.Values(c.left))
	c.gone, c.left = true, nil
	c.mu.Unlock()
	for _, f := range left {
		f()
	}
}

func (c *Local) onLeave(left func()) (stop func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, engine.Fail(engine.Cancelled, "follow the caller", "", "it has left already")
	}
	id := new(int)
	c.left[id] = left
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.left, id)
	}, nil
}

// Commands lists what Begin takes, by name.
func (f *Face) Commands() []*Command {
	var out []*Command
	for _, name := range slices.Sorted(maps.Keys(f.commands)) {
		out = append(out, f.commands[name])
	}
	return out
}

// Begin starts a command. It does not wait, so that who begins one after the
// other has them done in that order; finish waits for what came of it: an object
// with the results by name. Known is false if there is no such command.
func (c *Local) Begin(ctx context.Context, method string, params json.RawMessage) (finish func() (any, error), known bool) {
	cmd := c.face.commands[method]
	if cmd == nil {
		return nil, false
	}
	fail := func(err error) func() (any, error) {
		return func() (any, error) { return nil, callError(ErrorReply(err)) }
	}
	path, signature, args, err := c.face.read(cmd, params)
	if err != nil {
		return fail(err), true
	}
	answers := make(chan tree.Answer, 1)
	c.face.tree.Call(ctx, c.who.Name, path, cmd.iface, cmd.member, signature, args, func(a tree.Answer) { answers <- a })
	return func() (any, error) {
		a := <-answers
		if a.Err != nil {
			return nil, callError(a.Err)
		}
		out := map[string]any{}
		for i, v := range a.Values {
			if i < len(cmd.Out) {
				out[cmd.Out[i].Name] = toJSON(v)
			}
		}
		return out, nil
	}, true
}

func callError(e *dbus.Error) *CallError { return &CallError{e.Name, e.Error()} }

// read makes the call that a command means.
func (f *Face) read(cmd *Command, params json.RawMessage) (path dbus.ObjectPath, signature string, args []any, err error) {
	in := map[string]json.RawMessage{}
	if len(params) > 0 && string(params) != "null" {
		if json.Unmarshal(params, &in) != nil {
			return "", "", nil, invalid(cmd.Name, "its params must be an object with the arguments by name")
		}
	}
	path = Root
	if cmd.Object {
		if path, err = f.objectOf(cmd, in["object"]); err != nil {
			return "", "", nil, err
		}
		delete(in, "object")
	}
	if cmd.Name == "Log.SetLevel" {
		level, err := fromJSON("s", in["level"], nil)
		if err != nil || len(in) != 1 {
			return "", "", nil, invalid(cmd.Name, "it takes one argument, \"level\", a string")
		}
		return LogPath, "ssv", []any{ifLog, "LogLevel", dbus.MakeVariant(level)}, nil
	}
	args, err = arguments(cmd, in)
	for _, a := range cmd.In {
		signature += a.Type
	}
	return path, signature, args, err
}

// arguments reads the arguments by name. What is no argument is an option, if
// the command has some, so that a word that is mistyped is refused by the one
// who knows the options.
func arguments(cmd *Command, in map[string]json.RawMessage) ([]any, error) {
	args := []any{}
	options := map[string]json.RawMessage{}
	for key, raw := range in {
		if !slices.ContainsFunc(cmd.In, func(a Argument) bool { return a.Name == key }) {
			options[key] = raw
		}
	}
	for _, a := range cmd.In {
		raw, given := in[a.Name]
		switch {
		case a.Name == "options" && len(options) > 0:
			if given {
				more := map[string]json.RawMessage{}
				if json.Unmarshal(raw, &more) != nil {
					return nil, invalid(cmd.Name, "%q: it must be an object", a.Name)
				}
				maps.Copy(options, more)
			}
			raw, _ = json.Marshal(options) // of raw JSON: it cannot fail
			clear(options)
		case !given && a.Type == "a{sv}":
			raw = json.RawMessage("{}")
		case !given:
			return nil, invalid(cmd.Name, "it needs %q, of the type %s", a.Name, a.Type)
		}
		v, err := fromJSON(a.Type, raw, cmd.options)
		if err != nil && a.Type == "h" {
			return nil, engine.Fail(engine.NotSupported, cmd.Name, "", "%q: %w", a.Name, err)
		}
		if err != nil {
			return nil, invalid(cmd.Name, "%q: %w", a.Name, err)
		}
		if s, ok := v.(string); ok && a.Name == "interface" && slices.Contains(commandInterfaces, s) {
			v = BusName + "." + s
		}
		args = append(args, v)
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		return nil, invalid(cmd.Name, "it has no argument %q", key)
	}
	return args, nil
}

// objectOf finds the object that a command is about: by its path, by the id that
// Sync takes, or by the number or id of a job, a stream or a conflict.
func (f *Face) objectOf(cmd *Command, raw json.RawMessage) (dbus.ObjectPath, error) {
	var n uint32
	var s string
	switch {
	case raw == nil && strings.HasPrefix(cmd.Name, "Properties."):
		return Root, nil
	case raw == nil:
		return "", invalid(cmd.Name, "it needs \"object\": an id, a number or a path")
	case json.Unmarshal(raw, &n) == nil && string(raw) != "null":
		s = strconv.FormatUint(uint64(n), 10)
	case json.Unmarshal(raw, &s) != nil || string(raw) == "null":
		return "", invalid(cmd.Name, "\"object\" must be an id, a number or a path")
	}
	if strings.HasPrefix(s, "/") {
		if p := dbus.ObjectPath(s); p.IsValid() {
			return p, nil
		}
		return "", invalid(cmd.Name, "%q is no path of an object", s)
	}
	switch cmd.iface {
	case ifJob:
		id, ok := jobNamed(s)
		if !ok {
			return "", invalid(cmd.Name, "%q is no number of a job", s)
		}
		return jobPath(id), nil
	case ifConflict:
		return conflictPath(unname(s)), nil
	case ifStream:
		if _, err := strconv.ParseUint(s, 10, 32); err != nil {
			return "", invalid(cmd.Name, "%q is no number of a stream", s)
		}
		return dbus.ObjectPath(streamPrefix + s), nil
	}
	if s == "" {
		return Root, nil
	}
	target, err := f.host.Lookup(unname(s))
	return targetPath(target), err
}
