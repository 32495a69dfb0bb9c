package tree

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// A bound is an interface of one object, found to be what its spec says.
type bound struct {
	spec    *spec
	methods map[string]method
	props   map[string]Property
}

// A method is one Go function that answers one D-Bus method.
type method struct {
	spec  *methodSpec
	fn    reflect.Value
	call  bool           // the first parameter is a Call
	loose bool           // it is a FileCall
	in    []reflect.Type // the others
	files int            // how many of them are files
}

var (
	errorType    = reflect.TypeFor[error]()
	callType     = reflect.TypeFor[Call]()
	fileCallType = reflect.TypeFor[FileCall]()
	fileType     = reflect.TypeFor[*os.File]()
)

var errMismatch = errors.New("the code does not match the XML")

// bind joins code to its description, or tells the first way in which they
// differ.
func bind(s *spec, i Interface) (*bound, error) {
	b := &bound{spec: s, methods: map[string]method{}, props: i.Properties}
	if extra := surplus(i.Methods, s.methods); extra != "" {
		return nil, fmt.Errorf("%w: %s has a method %s here and not there", errMismatch, s.name, extra)
	}
	if extra := surplus(i.Properties, s.properties); extra != "" {
		return nil, fmt.Errorf("%w: %s has a property %s here and not there", errMismatch, s.name, extra)
	}
	for name, ms := range s.methods {
		m, err := bindMethod(ms, i.Methods[name])
		if err != nil {
			return nil, fmt.Errorf("%w: method %s of %s %w", errMismatch, name, s.name, err)
		}
		b.methods[name] = m
	}
	for name, ps := range s.properties {
		if err := checkProperty(ps, i.Properties[name]); err != nil {
			return nil, fmt.Errorf("%w: property %s of %s %w", errMismatch, name, s.name, err)
		}
	}
	return b, nil
}

func surplus[A, B any](here map[string]A, there map[string]B) string {
	for _, name := range slices.Sorted(maps.Keys(here)) {
		if _, ok := there[name]; !ok {
			return name
		}
	}
	return ""
}

func bindMethod(s *methodSpec, fn any) (method, error) {
	m := method{spec: s, fn: reflect.ValueOf(fn)}
	if fn == nil {
		return m, errors.New("is absent here")
	}
	t := m.fn.Type()
	if t.Kind() != reflect.Func || t.IsVariadic() || t.NumOut() == 0 || t.Out(t.NumOut()-1) != errorType {
		return m, fmt.Errorf("is %v here, no function that ends in an error", t)
	}
	var in, out strings.Builder
	for i := range t.NumIn() {
		if i == 0 && (t.In(i) == callType || t.In(i) == fileCallType) {
			m.call, m.loose = true, t.In(i) == fileCallType
			continue
		}
		m.in = append(m.in, t.In(i))
		if t.In(i) == fileType {
			m.files++
		}
		if err := addType(&in, t.In(i)); err != nil {
			return m, err
		}
	}
	for i := range t.NumOut() - 1 {
		if err := addType(&out, t.Out(i)); err != nil {
			return m, err
		}
	}
	if in.String() != s.in || out.String() != s.out {
		return m, fmt.Errorf("is \"%s -> %s\" here and \"%s -> %s\" there", in.String(), out.String(), s.in, s.out)
	}
	return m, nil
}

// addType adds the signature of a Go type.
func addType(b *strings.Builder, t reflect.Type) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("has a %v, which the bus cannot carry", t)
		}
	}()
	if t == fileType {
		b.WriteByte('h')
		return nil
	}
	b.WriteString(dbus.SignatureOfType(t).String())
	return nil
}

func checkProperty(s *propertySpec, p Property) error {
	if p.Get == nil {
		return errors.New("is absent here")
	}
	if (p.Set != nil) != s.writable {
		return fmt.Errorf("can be written: %v here, %v there", p.Set != nil, s.writable)
	}
	var got strings.Builder
	value := p.Get()
	if value == nil {
		return errors.New("has no value")
	}
	if err := addType(&got, reflect.TypeOf(value)); err != nil {
		return err
	}
	if got.String() != s.typ {
		return fmt.Errorf("is %q here and %q there", got.String(), s.typ)
	}
	return nil
}

// value reads one property, in a form that the bus takes. A value of another type
// than the XML says would break those who read it, so it is an error; so is a
// panic, which is nobody's fault who happens to announce or to ask.
func (b *bound) value(name string) (v dbus.Variant, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot read property %s of %s: %v", name, b.spec.name, r)
		}
	}()
	got := Clean(b.props[name].Get())
	spec := b.spec.properties[name]
	if !spec.takes(got) {
		return v, fmt.Errorf("cannot read property %s of %s: it is %q and should be %q", name, b.spec.name, dbus.SignatureOf(got), spec.typ)
	}
	return dbus.MakeVariantWithSignature(got, spec.signature), nil
}

func (b *bound) values() (map[string]dbus.Variant, error) {
	out := make(map[string]dbus.Variant, len(b.props))
	for name := range b.props {
		v, err := b.value(name)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func (o object) values() (map[string]map[string]dbus.Variant, error) {
	out := make(map[string]map[string]dbus.Variant, len(o))
	for name, b := range o {
		v, err := b.values()
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}
