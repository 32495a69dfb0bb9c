package conn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
)

// An Incoming is a message as it came: its header is read, its body is not yet.
type Incoming struct {
	Type        dbus.Type
	Flags       dbus.Flags
	Serial      uint32
	Path        dbus.ObjectPath
	Interface   string
	Member      string
	ErrorName   string
	Sender      string
	Signature   string
	ReplySerial uint32

	// Files came with the message. They belong to whoever got the message.
	Files []*os.File

	order       binary.ByteOrder
	body        []byte
	descriptors uint32
	values      []any // of a call that is Local; nil of one from the bus
}

// WantsReply reports whether the caller waits for an answer.
func (m *Incoming) WantsReply() bool { return m.Flags&dbus.FlagNoReplyExpected == 0 }

// Size is about how much memory the message holds while it waits.
func (m *Incoming) Size() int { return len(m.body) + 512 }

// Body decodes the values. A descriptor in it is a [dbus.UnixFDIndex] into Files.
func (m *Incoming) Body() ([]any, error) {
	if m.values != nil {
		return m.values, nil
	}
	return decode(m.order, m.Signature, m.body)
}

// Close closes the files that nobody took. Take sets them to nil.
func (m *Incoming) Close() {
	for _, f := range m.Files {
		if f != nil {
			f.Close()
		}
	}
	m.Files = nil
}

// Take hands one file over to the caller.
func (m *Incoming) Take(i dbus.UnixFDIndex) (*os.File, bool) {
	if int64(i) >= int64(len(m.Files)) || m.Files[i] == nil {
		return nil, false
	}
	f := m.Files[i]
	m.Files[i] = nil
	return f, true
}

// The fixed part of a header, and bounds of the specification.
const (
	fixedLen  = 16
	maxLength = 128 << 20
)

// A prefix is the fixed part of a message.
type prefix struct {
	order        binary.ByteOrder
	kind         byte
	flags        byte
	serial       uint32
	fields, body int // lengths; fields without the padding that follows
}

func (p prefix) headLen() int { return fixedLen + (p.fields+7)&^7 }
func (p prefix) length() int  { return p.headLen() + p.body }

func readPrefix(b []byte) (prefix, error) {
	var p prefix
	switch b[0] {
	case 'l':
		p.order = binary.LittleEndian
	case 'B':
		p.order = binary.BigEndian
	default:
		return p, fmt.Errorf("a message starts with byte %#x", b[0])
	}
	if b[3] != 1 {
		return p, fmt.Errorf("a message is of protocol version %d", b[3])
	}
	p.kind, p.flags, p.serial = b[1], b[2], p.order.Uint32(b[8:])
	body, fields := p.order.Uint32(b[4:]), p.order.Uint32(b[12:])
	if body > maxLength || fields > maxArray || int(body)+int(fields) > maxLength {
		return p, errors.New("a message is longer than any may be")
	}
	p.fields, p.body = int(fields), int(body)
	return p, nil
}

// Codes of header fields that we read, beside those of the library.
const fieldCount = byte(dbus.FieldUnixFDs)

var fieldTypes = [fieldCount + 1]string{
	dbus.FieldPath: "o", dbus.FieldInterface: "s", dbus.FieldMember: "s", dbus.FieldErrorName: "s", dbus.FieldReplySerial: "u",
	dbus.FieldDestination: "s", dbus.FieldSender: "s", dbus.FieldSignature: "g", dbus.FieldUnixFDs: "u",
}

// readHeader reads the header fields in head, the whole header of a message.
// Fields and flags that are not known are passed over, as the specification
// demands.
func readHeader(p prefix, head []byte) (*Incoming, error) {
	m := &Incoming{
		Type: dbus.Type(p.kind), Serial: p.serial, order: p.order,
		Flags: dbus.Flags(p.flags) & (dbus.FlagNoReplyExpected | dbus.FlagNoAutoStart | dbus.FlagAllowInteractiveAuthorization),
	}
	end := fixedLen + p.fields
	w := walker{order: p.order, b: head[:end], pos: fixedLen}
	for w.pos < end {
		w.align(8)
		code, err := w.take(1, 1)
		if err != nil {
			return nil, err
		}
		sig, err := w.signature()
		if err != nil {
			return nil, err
		}
		if code[0] == 0 || code[0] > fieldCount {
			one, rest, err := cutType(sig)
			if err != nil || rest != "" {
				return nil, errSignature
			}
			if err := w.value(one, 0); err != nil {
				return nil, err
			}
			continue
		}
		if sig != fieldTypes[code[0]] {
			return nil, errSignature
		}
		if err := m.readField(&w, dbus.HeaderField(code[0])); err != nil {
			return nil, err
		}
	}
	return m, m.complete()
}

func (m *Incoming) readField(w *walker, field dbus.HeaderField) error {
	switch field {
	case dbus.FieldSignature:
		s, err := w.signature()
		m.Signature = s
		return err
	case dbus.FieldReplySerial, dbus.FieldUnixFDs:
		n, err := w.uint32()
		if field == dbus.FieldReplySerial {
			m.ReplySerial = n
		} else {
			m.descriptors = n
		}
		return err
	}
	p, err := w.text()
	if err != nil {
		return err
	}
	switch s := string(p); field {
	case dbus.FieldPath:
		m.Path = dbus.ObjectPath(s)
	case dbus.FieldInterface:
		m.Interface = s
	case dbus.FieldMember:
		m.Member = s
	case dbus.FieldErrorName:
		m.ErrorName = s
	case dbus.FieldSender:
		m.Sender = s
	}
	return nil
}

// complete reports whether the message has what its type needs.
func (m *Incoming) complete() error {
	var ok bool
	switch m.Type {
	case dbus.TypeMethodCall:
		ok = m.Path != "" && m.Member != ""
	case dbus.TypeMethodReply:
		ok = m.ReplySerial != 0
	case dbus.TypeError:
		ok = m.ReplySerial != 0 && m.ErrorName != ""
	case dbus.TypeSignal:
		ok = m.Path != "" && m.Interface != "" && m.Member != ""
	default:
		return nil // a kind of the future, to be ignored
	}
	if !ok {
		return errors.New("a message lacks a part of its header")
	}
	return nil
}
