package dbusapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// How values of the bus are written as JSON, and read from it.
//
// Strings, paths and signatures are strings; numbers are numbers; arrays are
// lists and dictionaries objects; a variant is the value in it. Bytes are a
// string, or {"base64": …} where they are no UTF-8. Where a variant is read, its
// type is the one that the command's text names for the key, else the plainest
// that fits; {"type": SIGNATURE, "data": …} says it outright.

// toJSON gives a value of the bus a form that json.Marshal writes so.
func toJSON(v any) any {
	switch v := v.(type) {
	case dbus.Variant:
		return toJSON(v.Value())
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return map[string]string{"base64": base64.StdEncoding.EncodeToString(v)}
	case string, bool, dbus.ObjectPath, nil:
		return v
	case dbus.Signature:
		return v.String()
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
		return v
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		out := make([]any, r.Len())
		for i := range out {
			out[i] = toJSON(r.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := make(map[string]any, r.Len())
		for it := r.MapRange(); it.Next(); {
			out[fmt.Sprint(it.Key().Interface())] = toJSON(it.Value().Interface())
		}
		return out
	}
	return v
}

// fromJSON reads a value of one complete type. types are the types of keys of
// dictionaries of variants; others are guessed.
func fromJSON(sig string, raw json.RawMessage, types map[string]string) (any, error) {
	switch sig {
	case "s", "o", "g":
		return textFrom(sig, raw)
	case "b":
		return decodeTo[bool](raw, "true or false")
	case "y":
		return decodeTo[byte](raw, "a number from 0 to 255")
	case "i":
		return decodeTo[int32](raw, "a whole number of 32 bits")
	case "u":
		return decodeTo[uint32](raw, "a whole number from 0 to 4294967295")
	case "x":
		return decodeTo[int64](raw, "a whole number")
	case "t":
		return decodeTo[uint64](raw, "a whole number that is not negative")
	case "d":
		return decodeTo[float64](raw, "a number")
	case "v":
		return variantFrom("", raw, types)
	case "ay":
		return bytesFrom(raw)
	case "as":
		return decodeTo[[]string](raw, "a list of strings")
	case "ao":
		return decodeTo[[]dbus.ObjectPath](raw, "a list of paths")
	case "a{sv}":
		return dictFrom(raw, types)
	case "h":
		return nil, errors.New("it wants a descriptor, which this socket does not carry; call it over the bus")
	}
	return nil, fmt.Errorf("values of the type %q cannot be given here; call it over the bus", sig)
}

func decodeTo[T any](raw json.RawMessage, want string) (any, error) {
	var v T
	if string(raw) == "null" || json.Unmarshal(raw, &v) != nil {
		return nil, fmt.Errorf("it must be %s", want)
	}
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice && list.IsNil() {
		return nil, fmt.Errorf("it must be %s", want)
	}
	return v, nil
}

func textFrom(sig string, raw json.RawMessage) (any, error) {
	v, err := decodeTo[string](raw, "a string")
	if err != nil {
		return nil, err
	}
	s := v.(string)
	if strings.ContainsRune(s, 0) {
		return nil, errors.New("it must not hold a zero character")
	}
	switch sig {
	case "o":
		if p := dbus.ObjectPath(s); p.IsValid() {
			return p, nil
		}
		return nil, fmt.Errorf("%q is no path of an object", s)
	case "g":
		g, err := dbus.ParseSignature(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no signature", s)
		}
		return g, nil
	}
	return s, nil
}

func bytesFrom(raw json.RawMessage) (any, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != "null" {
		return []byte(s), nil
	}
	var coded struct {
		Base64 *[]byte `json:"base64"`
	}
	if err := json.Unmarshal(raw, &coded); err != nil || coded.Base64 == nil {
		return nil, errors.New(`it must be a string, or {"base64": …}`)
	}
	return *coded.Base64, nil
}

func dictFrom(raw json.RawMessage, types map[string]string) (any, error) {
	var in map[string]json.RawMessage
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return nil, errors.New("it must be an object")
	}
	out := map[string]dbus.Variant{}
	for key, value := range in {
		v, err := variantFrom(types[key], value, types)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		out[key] = v
	}
	return out, nil
}

// variantFrom reads a value of a type that may be known; "" guesses.
func variantFrom(sig string, raw json.RawMessage, types map[string]string) (dbus.Variant, error) {
	var said struct {
		Type *string         `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if bytes.HasPrefix(raw, []byte("{")) && json.Unmarshal(raw, &said) == nil && said.Type != nil && said.Data != nil {
		sig, raw = *said.Type, said.Data
	}
	if sig == "" {
		sig = guess(raw)
	}
	if sig == "v" {
		return dbus.Variant{}, errors.New("its type cannot be told; write {\"type\": SIGNATURE, \"data\": …}")
	}
	v, err := fromJSON(sig, raw, types)
	if err != nil {
		return dbus.Variant{}, err
	}
	return dbus.MakeVariant(v), nil
}

// guess is the plainest type that a value fits; "v" if there is none.
func guess(raw json.RawMessage) string {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return "v"
	}
	switch v := v.(type) {
	case bool:
		return "b"
	case string:
		return "s"
	case map[string]any:
		return "a{sv}"
	case json.Number:
		for _, sig := range []string{"u", "i", "t", "x", "d"} {
			if _, err := fromJSON(sig, raw, nil); err == nil {
				return sig
			}
		}
	case []any:
		for _, e := range v {
			if _, ok := e.(string); !ok {
				return "v"
			}
		}
		return "as"
	}
	return "v"
}
