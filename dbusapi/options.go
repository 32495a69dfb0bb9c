package dbusapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// An options reads the trailing a{sv} of one call. Each key is asked for once,
// by the type that it must have; end then refuses what nobody asked for, since a
// key that is mistyped ("dryrun") must not start the real thing.
//
//	o := readOptions("sync home", in)
//	dry := o.bool("dry-run", false)
//	if err := o.end(); err != nil { … }
type options struct {
	op   string
	in   map[string]dbus.Variant
	keys []string // that were asked for, with their types
	err  error
}

func readOptions(op string, in map[string]dbus.Variant) *options {
	return &options{op: op, in: in}
}

// noOptions is for calls that take none yet.
func noOptions(op string, in map[string]dbus.Variant) error {
	return readOptions(op, in).end()
}

func option[T any](o *options, key, signature string, otherwise T) T {
	o.keys = append(o.keys, fmt.Sprintf("%q %s", key, signature))
	v, ok := o.in[key]
	if !ok {
		return otherwise
	}
	got, ok := v.Value().(T)
	if !ok || v.Signature().String() != signature {
		o.fail("option %q must be of type %s, not %s", key, signature, v.Signature())
		return otherwise
	}
	return got
}

func (o *options) bool(key string, otherwise bool) bool { return option(o, key, "b", otherwise) }
func (o *options) string(key, otherwise string) string  { return option(o, key, "s", otherwise) }

// line is a string that people read in one line, on a terminal too.
func (o *options) line(key, otherwise string) string {
	s := o.string(key, otherwise)
	if !inLines(s) {
		o.fail("option %q must not hold control characters, as %q does", key, s)
	}
	return s
}

func (o *options) uint(key string, otherwise uint32) uint32 {
	return option(o, key, "u", otherwise)
}
func (o *options) uint64(key string, otherwise uint64) uint64 {
	return option(o, key, "t", otherwise)
}
func (o *options) strings(key string) []string { return option[[]string](o, key, "as", nil) }
func (o *options) dict(key string) map[string]dbus.Variant {
	return option[map[string]dbus.Variant](o, key, "a{sv}", nil)
}

// choice is a string of a closed set; the first is the default.
func (o *options) choice(key string, allowed ...string) string {
	s := o.string(key, allowed[0])
	if !slices.Contains(allowed, s) {
		o.fail("option %q must be one of %s, not %q", key, quoted(allowed), s)
	}
	return s
}

// has tells whether the caller gave the option.
func (o *options) has(key string) bool {
	_, ok := o.in[key]
	return ok
}

func (o *options) fail(format string, args ...any) {
	if o.err == nil {
		o.err = invalid(o.op, format, args...)
	}
}

// end gives the first error. A key that starts with "x-" is for others and is
// ignored.
func (o *options) end() error {
	if o.err != nil {
		return o.err
	}
	for _, key := range slices.Sorted(maps.Keys(o.in)) {
		known := slices.ContainsFunc(o.keys, func(k string) bool { return strings.HasPrefix(k, fmt.Sprintf("%q ", key)) })
		if known || strings.HasPrefix(key, "x-") {
			continue
		}
		takes := "there are none"
		if len(o.keys) > 0 {
			takes = "there are " + strings.Join(o.keys, ", ")
		}
		return invalid(o.op, "option %q is not known; %s", key, takes)
	}
	return nil
}

func invalid(op, format string, args ...any) error {
	return engine.Fail(engine.Invalid, op, "", format, args...)
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

// readParams checks parameters of an account against what its kind takes.
func readParams(op, kind string, specs []engine.ParamSpec, in map[string]dbus.Variant, by Caller) (engine.Params, error) {
	out := engine.Params{}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		spec, err := specOf(op, kind, specs, key)
		if err != nil {
			return nil, err
		}
		v := in[key]
		if v.Signature().String() != spec.Signature {
			return nil, invalid(op, "parameter %q must be of type %s, not %s", key, spec.Signature, v.Signature())
		}
		value := v.Value()
		if by.Sandboxed && (spec.Command || runsProgram(value)) {
			return nil, engine.Fail(engine.Denied, op, "", "parameter %q would run a program, and the caller is not proved to be outside a sandbox", key)
		}
		if !spec.Command && !inLines(value) {
			return nil, invalid(op, "parameter %q must not hold control characters, as %q does", key, value)
		}
		if s, ok := value.(string); ok && len(spec.Choices) > 0 && !slices.Contains(spec.Choices, s) {
			return nil, invalid(op, "parameter %q must be one of %s, not %q", key, quoted(spec.Choices), s)
		}
		out[key] = value
	}
	return out, nil
}

// inLines reports whether a text, or each of several, is without control characters.
// What a person has in a file may hold some; what comes over the bus is shown by
// programs that do not expect them.
func inLines(value any) bool {
	all, _ := value.([]string)
	if s, ok := value.(string); ok {
		all = []string{s}
	}
	return !slices.ContainsFunc(all, func(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) })
}

// runsProgram finds the one string value that does: the route "exec:COMMAND".
func runsProgram(value any) bool {
	s, ok := value.(string)
	return ok && strings.HasPrefix(s, "exec:")
}

func specOf(op, kind string, specs []engine.ParamSpec, key string) (engine.ParamSpec, error) {
	var names []string
	for _, spec := range specs {
		if spec.Name == key && !spec.Secret {
			return spec, nil
		}
		if spec.Name == key {
			return spec, invalid(op, "parameter %q is a secret and is never passed on the bus; give it with Account.SetSecret, or store it in the keyring", key)
		}
		if !spec.Secret {
			names = append(names, spec.Name)
		}
	}
	return engine.ParamSpec{}, invalid(op, "parameter %q is not known; kind %q takes %s", key, kind, quoted(names))
}

// missingParam refuses a set without all that is required. What a command prints
// is there, too.
func missingParam(op string, specs []engine.ParamSpec, got engine.Params) error {
	for _, spec := range specs {
		if _, ok := got[spec.Name]; spec.Required && !spec.Secret && !ok && got[spec.Name+"-command"] == nil {
			return invalid(op, "parameter %q is required: %s", spec.Name, spec.Summary)
		}
	}
	return nil
}

// groupParams are the parameters of a group and their types.
var groupParams = map[string]string{
	"direction": "s", "conflict-policy": "s", "conflict-command": "as", "interval-sec": "u", "create-missing": "as",
	"read-only-policy": "s", "hold-items": "u", "hold-percent": "u", "enabled": "b",
}

// metaParams are the properties of a collection that a caller may set.
var metaParams = map[string]string{
	string(engine.MetaName): "s", string(engine.MetaColor): "s", string(engine.MetaDescription): "s", string(engine.MetaOrder): "i",
}

// readSet checks names and types of the two halves of an update.
func readSet(op string, types map[string]string, set map[string]dbus.Variant, unset []string) (map[string]any, error) {
	known := func(key string) error {
		if _, ok := types[key]; !ok {
			return invalid(op, "%q is not known; there are %s", key, quoted(slices.Sorted(maps.Keys(types))))
		}
		return nil
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if err := known(key); err != nil {
			return nil, err
		}
		if got := set[key].Signature().String(); got != types[key] {
			return nil, invalid(op, "%q must be of type %s, not %s", key, types[key], got)
		}
		out[key] = set[key].Value()
	}
	for _, key := range unset {
		if err := known(key); err != nil {
			return nil, err
		}
		if _, twice := out[key]; twice {
			return nil, invalid(op, "%q is both set and unset", key)
		}
	}
	return out, nil
}
