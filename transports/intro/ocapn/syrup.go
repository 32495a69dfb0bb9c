package ocapn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Values of Syrup are bool, int64, string (text), []byte, Symbol, List, Dict and
// Record. Other kinds of numbers, and sets, are in no record that comes here.
type (
	Symbol string
	List   []any
	Record struct {
		Label any
		Args  []any
	}
	// A Dict is pairs of key and value; they are written in the order of their
	// written keys.
	Dict []Pair
	Pair struct{ Key, Value any }
)

// Limits of one value.
const (
	maxBytes = 64 << 10 // as it is written
	maxDepth = 16
)

// ErrSyntax says that what came is no Syrup, or none that is taken here.
var ErrSyntax = errors.New("not a value of Syrup")

func syntax(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSyntax, fmt.Sprintf(format, args...))
}

// Append writes a value.
func Append(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		return append(b, map[bool]byte{true: 't', false: 'f'}[v]), nil
	case int64:
		if v < 0 {
			return append(strconv.AppendUint(b, -uint64(v), 10), '-'), nil
		}
		return append(strconv.AppendInt(b, v, 10), '+'), nil
	case []byte:
		return text(b, ':', string(v)), nil
	case string:
		return text(b, '"', v), nil
	case Symbol:
		return text(b, '\'', string(v)), nil
	case List:
		return appendAll(append(b, '['), ']', v)
	case Record:
		return appendAll(append(b, '<'), '>', append([]any{v.Label}, v.Args...))
	case Dict:
		return appendDict(b, v)
	}
	return nil, syntax("a %T", v)
}

func text(b []byte, kind byte, s string) []byte {
	return append(append(strconv.AppendInt(b, int64(len(s)), 10), kind), s...)
}

func appendAll(b []byte, end byte, all []any) (_ []byte, err error) {
	for _, v := range all {
		if b, err = Append(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, end), nil
}

func appendDict(b []byte, d Dict) ([]byte, error) {
	var pairs [][2][]byte
	for _, p := range d {
		key, err1 := Append(nil, p.Key)
		value, err2 := Append(nil, p.Value)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		pairs = append(pairs, [2][]byte{key, value})
	}
	slices.SortFunc(pairs, func(x, y [2][]byte) int { return bytes.Compare(x[0], y[0]) })
	b = append(b, '{')
	for _, p := range pairs {
		b = append(append(b, p[0]...), p[1]...)
	}
	return append(b, '}'), nil
}

// A reader reads values one after the other. It takes no byte beyond a value.
type reader struct {
	in   *bufio.Reader
	left int // bytes that the present value may still take
}

// read reads one value. io.EOF is the end between two.
func (r *reader) read() (any, error) {
	r.left = maxBytes
	if _, err := r.in.Peek(1); err != nil {
		return nil, err
	}
	v, err := r.value(0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

func (r *reader) byte() (byte, error) {
	if r.left--; r.left < 0 {
		return 0, syntax("a value of more than %d bytes", maxBytes)
	}
	return r.in.ReadByte()
}

// An end closes a list, a dictionary or a record.
type end byte

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, syntax("more than %d values inside each other", maxDepth)
	}
	c, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch {
	case c == 't', c == 'f':
		return c == 't', nil
	case c == ']', c == '}', c == '>':
		return end(c), nil
	case c == '[':
		all, err := r.until(']', depth)
		return List(all), err
	case c == '{':
		return r.dict(depth)
	case c == '<':
		all, err := r.until('>', depth)
		if err == nil && len(all) == 0 {
			err = syntax("a record without a label")
		}
		if err != nil {
			return nil, err
		}
		return Record{all[0], all[1:]}, nil
	case c >= '0' && c <= '9':
		return r.number(c)
	}
	return nil, syntax("the byte %q begins nothing", c)
}

func (r *reader) until(last byte, depth int) (all []any, err error) {
	for {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if e, ok := v.(end); ok {
			if byte(e) != last {
				return nil, syntax("%q where %q should be", byte(e), last)
			}
			return all, nil
		}
		all = append(all, v)
	}
}

func (r *reader) dict(depth int) (any, error) {
	all, err := r.until('}', depth)
	if err != nil {
		return nil, err
	}
	if len(all)%2 != 0 {
		return nil, syntax("a key without a value")
	}
	var d Dict
	var before []byte
	for pair := range slices.Chunk(all, 2) {
		key, err := Append(nil, pair[0])
		if err != nil {
			return nil, err
		}
		if before != nil && bytes.Compare(before, key) >= 0 {
			return nil, syntax("the keys are not in order, or one is there twice")
		}
		before = key
		d = append(d, Pair{pair[0], pair[1]})
	}
	return d, nil
}

// number reads what begins with a digit: a number, or a length and so many bytes.
func (r *reader) number(first byte) (any, error) {
	digits := []byte{first}
	for {
		c, err := r.byte()
		if err != nil {
			return nil, err
		}
		if c >= '0' && c <= '9' {
			if digits = append(digits, c); digits[0] == '0' || len(digits) > 18 {
				return nil, syntax("the number %s…", digits)
			}
			continue
		}
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil {
			return nil, syntax("the number %s", digits)
		}
		switch {
		case c == '+':
			return n, nil
		case c == '-' && n > 0:
			return -n, nil
		case c == ':', c == '"', c == '\'':
			return r.text(c, n)
		}
		return nil, syntax("%q after a number", c)
	}
}

func (r *reader) text(kind byte, n int64) (any, error) {
	if n > int64(r.left) {
		return nil, syntax("a value of more than %d bytes", maxBytes)
	}
	r.left -= int(n)
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	switch kind {
	case '"':
		return string(b), nil
	case '\'':
		return Symbol(b), nil
	}
	return b, nil
}

// Parse reads one value and nothing behind it.
func Parse(b []byte) (any, error) {
	r := &reader{in: bufio.NewReader(bytes.NewReader(b))}
	v, err := r.read()
	if err == nil {
		if _, isEnd := v.(end); isEnd {
			return nil, syntax("an end without a beginning")
		}
		if _, more := r.in.ReadByte(); more == nil {
			return nil, syntax("more behind the value")
		}
	}
	return v, err
}
