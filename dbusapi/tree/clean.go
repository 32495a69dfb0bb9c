package tree

import (
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// Clean makes a value fit for the bus, where one bad string voids a whole
// message: text becomes valid UTF-8 without NUL, the replacement character
// standing for what was bad, and an object path that is none becomes "/". It
// reaches into slices, maps, structs and variants. What was fit already is
// returned as it is; nothing is changed in place.
func Clean(v any) any {
	switch x := v.(type) {
	case nil, bool, int32, uint32, uint64, int64, dbus.UnixFDIndex:
		return v
	case string:
		return CleanText(x)
	case dbus.ObjectPath:
		if !x.IsValid() {
			return dbus.ObjectPath("/")
		}
		return x
	case dbus.Variant:
		return cleanVariant(x)
	}
	out, _ := cleanValue(reflect.ValueOf(v))
	return out.Interface()
}

// CleanText is Clean for one string.
func CleanText(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cleanVariant(v dbus.Variant) dbus.Variant {
	inner := v.Value()
	if inner == nil {
		return dbus.MakeVariant("") // a variant without a value cannot be sent
	}
	return dbus.MakeVariantWithSignature(Clean(inner), v.Signature())
}

var (
	pathType      = reflect.TypeFor[dbus.ObjectPath]()
	variantType   = reflect.TypeFor[dbus.Variant]()
	signatureType = reflect.TypeFor[dbus.Signature]()
)

// cleanValue gives a clean value and whether it differs from v.
func cleanValue(v reflect.Value) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.String:
		old := v.String()
		fit := CleanText(old)
		if v.Type() == pathType && !dbus.ObjectPath(old).IsValid() {
			fit = "/"
		}
		if fit == old {
			return v, false
		}
		return reflect.ValueOf(fit).Convert(v.Type()), true
	case reflect.Slice, reflect.Array:
		return cleanList(v)
	case reflect.Map:
		return cleanMap(v)
	case reflect.Struct:
		return cleanStruct(v)
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return v, false
		}
		fit, changed := cleanValue(v.Elem())
		if !changed {
			return v, false
		}
		out := reflect.New(v.Type()).Elem()
		if v.Kind() == reflect.Interface {
			out.Set(fit)
			return out, true
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(fit)
		return out, true
	}
	return v, false
}

func cleanList(v reflect.Value) (reflect.Value, bool) {
	if isPlain(v.Type().Elem().Kind()) {
		return v, false
	}
	out, changed := v, false
	for i := range v.Len() {
		fit, differs := cleanValue(v.Index(i))
		if !differs {
			continue
		}
		if !changed {
			out, changed = reflect.New(v.Type()).Elem(), true
			if v.Kind() == reflect.Slice {
				out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			}
			reflect.Copy(out, v)
		}
		out.Index(i).Set(fit)
	}
	return out, changed
}

func cleanMap(v reflect.Value) (reflect.Value, bool) {
	changed := false
	for it := v.MapRange(); it.Next() && !changed; {
		_, a := cleanValue(it.Key())
		_, b := cleanValue(it.Value())
		changed = a || b
	}
	if !changed {
		return v, false
	}
	out := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		key, _ := cleanValue(it.Key())
		value, _ := cleanValue(it.Value())
		out.SetMapIndex(key, value)
	}
	return out, true
}

func cleanStruct(v reflect.Value) (reflect.Value, bool) {
	switch v.Type() {
	case signatureType:
		return v, false
	case variantType:
		old := v.Interface().(dbus.Variant)
		if old.Value() == nil {
			return reflect.ValueOf(cleanVariant(old)), true
		}
		fit, changed := cleanValue(reflect.ValueOf(old.Value()))
		if !changed {
			return v, false
		}
		return reflect.ValueOf(dbus.MakeVariantWithSignature(fit.Interface(), old.Signature())), true
	}
	out, changed := v, false
	for i := range v.NumField() {
		if v.Type().Field(i).PkgPath != "" {
			continue
		}
		fit, differs := cleanValue(v.Field(i))
		if !differs {
			continue
		}
		if !changed {
			out, changed = reflect.New(v.Type()).Elem(), true
			out.Set(v)
		}
		out.Field(i).Set(fit)
	}
	return out, changed
}

func isPlain(k reflect.Kind) bool {
	switch k {
	case reflect.String, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct, reflect.Interface, reflect.Pointer:
		return false
	}
	return true
}
