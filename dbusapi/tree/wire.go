package tree

import (
	"encoding/binary"

	"github.com/godbus/dbus/v5"
)

// A treeOf is the answer of GetManagedObjects.
type treeOf = map[dbus.ObjectPath]map[string]map[string]dbus.Variant

const treeSignature = "a{oa{sa{sv}}}"

// writeTree writes a whole tree as the body of a message. The library does it by
// reflection, value by value, and takes four times as long; a tree may have
// thousands of objects and many listeners ask for it at the same time. ok is
// false if a value has a type that is not written here: the library can.
func writeTree(all treeOf) (body []byte, ok bool) {
	w := &wire{fits: true}
	w.array(8, func() {
		for path, interfaces := range all {
			w.pad(8)
			w.text(string(path))
			w.array(8, func() {
				for name, values := range interfaces {
					w.pad(8)
					w.text(name)
					w.values(values)
				}
			})
		}
	})
	return w.buf, w.fits
}

// A wire holds what is written, from an offset that is a multiple of eight.
type wire struct {
	buf  []byte
	fits bool
}

func (w *wire) pad(to int) {
	for len(w.buf)%to != 0 {
		w.buf = append(w.buf, 0)
	}
}

func (w *wire) number(v uint32) {
	w.pad(4)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, v)
}

func (w *wire) text(s string) {
	w.number(uint32(len(s)))
	w.buf = append(append(w.buf, s...), 0)
}

// array writes a list whose elements begin at multiples of align.
func (w *wire) array(align int, elements func()) {
	w.number(0)
	at := len(w.buf) - 4
	w.pad(align)
	start := len(w.buf)
	elements()
	binary.LittleEndian.PutUint32(w.buf[at:], uint32(len(w.buf)-start))
}

func (w *wire) values(values map[string]dbus.Variant) {
	w.array(8, func() {
		for name, v := range values {
			w.pad(8)
			w.text(name)
			signature := v.Signature().String()
			w.buf = append(append(append(w.buf, byte(len(signature))), signature...), 0)
			w.value(v.Value())
		}
	})
}

func (w *wire) value(v any) {
	switch v := v.(type) {
	case string:
		w.text(v)
	case dbus.ObjectPath:
		w.text(string(v))
	case bool:
		w.number(map[bool]uint32{true: 1}[v])
	case uint32:
		w.number(v)
	case int32:
		w.number(uint32(v))
	case uint64:
		w.pad(8)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, v)
	case []string:
		w.array(4, func() {
			for _, s := range v {
				w.text(s)
			}
		})
	case []dbus.ObjectPath:
		w.array(4, func() {
			for _, p := range v {
				w.text(string(p))
			}
		})
	case map[string]dbus.Variant:
		w.values(v)
	case []map[string]dbus.Variant:
		w.array(4, func() {
			for _, m := range v {
				w.values(m)
			}
		})
	default:
		w.fits = false
	}
}
