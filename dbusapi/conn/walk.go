package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// A walker steps over encoded values and finds what is wrong with them. It
// allocates nothing. What it lets pass when strict, the library decodes without
// an error, without a panic and without an endless loop.
type walker struct {
	order  binary.ByteOrder
	b      []byte
	pos    int
	strict bool
}

const (
	maxArray = 64 << 20

	// Containers inside containers. The bus allows 64; nothing that we offer
	// needs more than five, so arguments may be a good deal shallower.
	maxDepth       = 80
	maxDepthStrict = 32
)

var (
	errShort     = errors.New("it ends too early")
	errSignature = errors.New("its signature makes no sense")
	errDeep      = errors.New("it is nested too deeply")
)

func (w *walker) align(n int) { w.pos = (w.pos + n - 1) &^ (n - 1) }

// take steps over n bytes that start at a multiple of align.
func (w *walker) take(align, n int) ([]byte, error) {
	w.align(align)
	if n < 0 || w.pos > len(w.b) || n > len(w.b)-w.pos {
		return nil, errShort
	}
	p := w.b[w.pos : w.pos+n]
	w.pos += n
	return p, nil
}

func (w *walker) uint32() (uint32, error) {
	p, err := w.take(4, 4)
	if err != nil {
		return 0, err
	}
	return w.order.Uint32(p), nil
}

// text steps over a string and gives its bytes.
func (w *walker) text() ([]byte, error) {
	n, err := w.uint32()
	if err != nil {
		return nil, err
	}
	if n > maxArray {
		return nil, errShort
	}
	p, err := w.take(1, int(n)+1)
	if err != nil {
		return nil, err
	}
	s := p[:n]
	if p[n] != 0 || !utf8.Valid(s) || bytes.IndexByte(s, 0) >= 0 {
		return nil, errors.New("it holds a string that is no text")
	}
	return s, nil
}

// signature steps over a signature and gives it.
func (w *walker) signature() (string, error) {
	n, err := w.take(1, 1)
	if err != nil {
		return "", err
	}
	p, err := w.take(1, int(n[0])+1)
	if err != nil {
		return "", err
	}
	if p[len(p)-1] != 0 {
		return "", errSignature
	}
	return string(p[:len(p)-1]), nil
}

// values steps over one value for each type of a signature.
func (w *walker) values(sig string, depth int) error {
	for sig != "" {
		one, rest, err := cutType(sig)
		if err != nil {
			return err
		}
		if err := w.value(one, depth); err != nil {
			return err
		}
		sig = rest
	}
	return nil
}

func (w *walker) value(sig string, depth int) error {
	if w.strict && depth > maxDepthStrict || depth > maxDepth {
		return errDeep
	}
	switch sig[0] {
	case 'y':
		_, err := w.take(1, 1)
		return err
	case 'n', 'q':
		_, err := w.take(2, 2)
		return err
	case 'i', 'u', 'h':
		_, err := w.take(4, 4)
		return err
	case 'x', 't', 'd':
		_, err := w.take(8, 8)
		return err
	case 'b':
		n, err := w.uint32()
		if err == nil && n > 1 {
			err = errors.New("it holds a boolean that is neither true nor false")
		}
		return err
	case 's':
		_, err := w.text()
		return err
	case 'o':
		p, err := w.text()
		if err == nil && !dbus.ObjectPath(p).IsValid() {
			err = errors.New("it holds an object path that is none")
		}
		return err
	case 'g':
		s, err := w.signature()
		if err == nil {
			err = checkSignature(s)
		}
		return err
	case 'v':
		return w.variant(depth)
	case 'a':
		return w.array(sig[1:], depth)
	case '(':
		w.align(8)
		return w.values(sig[1:len(sig)-1], depth+1)
	}
	return errSignature
}

func (w *walker) variant(depth int) error {
	s, err := w.signature()
	if err != nil {
		return err
	}
	one, rest, err := cutType(s)
	if err != nil {
		return err
	}
	if rest != "" {
		return errSignature
	}
	return w.value(one, depth+1)
}

func (w *walker) array(elem string, depth int) error {
	n, err := w.uint32()
	if err != nil {
		return err
	}
	if n > maxArray {
		return errors.New("it holds an array that is too long")
	}
	w.align(alignment(elem[0]))
	end := w.pos + int(n)
	if end > len(w.b) {
		return errShort
	}
	dict := elem[0] == '{'
	if dict && w.strict && strings.IndexByte("bgv", elem[1]) >= 0 {
		return errors.New("it holds a dictionary with keys of a kind that is not supported")
	}
	for w.pos < end {
		if dict {
			w.align(8)
			err = w.values(elem[1:len(elem)-1], depth+2)
		} else {
			err = w.value(elem, depth+1)
		}
		if err != nil {
			return err
		}
	}
	if w.pos != end {
		return errors.New("it holds an array whose length is wrong")
	}
	return nil
}

// decode turns the body of a message into values, which is where the library
// comes in. A descriptor is an index here, whatever it is wrapped in.
func decode(order binary.ByteOrder, sig string, body []byte) (values []any, err error) {
	if sig == "" {
		return nil, nil
	}
	if err := checkSignature(sig); err != nil {
		return nil, err
	}
	w := walker{order: order, b: body, strict: true}
	if err := w.values(sig, 0); err != nil {
		return nil, err
	}
	if w.pos != len(body) {
		return nil, errors.New("there is more than its signature tells")
	}
	defer func() {
		if r := recover(); r != nil {
			values, err = nil, fmt.Errorf("it cannot be decoded: %v", r)
		}
	}()
	m, err := dbus.DecodeMessage(bytes.NewReader(envelope(order, sig, body)))
	if err != nil {
		return nil, err
	}
	return m.Body, nil
}

// envelope makes the plainest message that can carry a body.
func envelope(order binary.ByteOrder, sig string, body []byte) []byte {
	mark := byte('l')
	if order == binary.BigEndian {
		mark = 'B'
	}
	put, ok := order.(binary.AppendByteOrder)
	if !ok {
		panic("conn: byte order cannot append")
	}
	m := make([]byte, 0, 48+len(sig)+len(body))
	m = append(m, mark, byte(dbus.TypeMethodReply), 0, 1)
	m = put.AppendUint32(m, uint32(len(body)))
	m = put.AppendUint32(m, 1)
	m = put.AppendUint32(m, uint32(8+4+1+len(sig)+1))
	m = append(m, byte(dbus.FieldReplySerial), 1, 'u', 0)
	m = put.AppendUint32(m, 1)
	m = append(m, byte(dbus.FieldSignature), 1, 'g', 0, byte(len(sig)))
	m = append(m, sig...)
	m = append(m, 0)
	for len(m)%8 != 0 {
		m = append(m, 0)
	}
	return append(m, body...)
}
