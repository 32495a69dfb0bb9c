package dav

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// replaced stands where an answer held a byte that XML does not allow. An item
// text with it is not believed: the item is fetched by itself, where no XML is
// in the way.
const replaced = "\uFFFD"

// A cleaner makes what servers send readable as XML: it takes away a byte order
// mark and what stands before the document, and puts a sign in place of control
// characters and of bytes that are not UTF-8, which servers copy out of items
// as they are.
type cleaner struct {
	in      *bufio.Reader
	out     []byte // cleaned and not yet read
	began   bool
	foreign bool // declared in another charset: bytes pass as they are
}

func newCleaner(r io.Reader) *cleaner {
	return &cleaner{in: bufio.NewReaderSize(r, 32<<10)}
}

func (c *cleaner) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// tail is how many bytes may belong together: a character, or a reference.
const tail = 16

func (c *cleaner) fill() error {
	if !c.began {
		if err := c.begin(); err != nil {
			return err
		}
	}
	buf, err := c.in.Peek(tail + 1)
	if len(buf) == 0 {
		return err
	}
	buf, _ = c.in.Peek(c.in.Buffered())
	// The last few bytes wait for what follows them, unless nothing does.
	safe := len(buf) - tail
	if safe <= 0 {
		safe = len(buf)
	}
	out := make([]byte, 0, len(buf)+64)
	i := 0
	for i < safe {
		n, repl := c.step(buf[i:])
		if repl == "" {
			out = append(out, buf[i:i+n]...)
		} else {
			out = append(out, repl...)
		}
		i += n
	}
	_, _ = c.in.Discard(i)
	c.out = out
	return nil
}

// step looks at what b begins with: how many bytes belong together, and what is
// to stand in their place, "" for themselves.
func (c *cleaner) step(b []byte) (int, string) {
	switch ch := b[0]; {
	case ch == '&':
		if n := badReference(b); n > 0 {
			return n, replaced
		}
		return 1, ""
	case ch >= 0x20 && ch < utf8.RuneSelf, ch == '\t', ch == '\n', ch == '\r':
		n := 1
		for n < len(b)-tail && b[n] >= 0x20 && b[n] < utf8.RuneSelf && b[n] != '&' {
			n++
		}
		return n, ""
	case ch < 0x20:
		return 1, replaced
	case c.foreign:
		return 1, ""
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n <= 1 || r == 0xFFFE || r == 0xFFFF {
		return max(n, 1), replaced
	}
	return n, ""
}

// badReference is the length of a character reference to a character that XML
// does not allow; 0 if b begins with another thing.
func badReference(b []byte) int {
	end := bytes.IndexByte(b[:min(len(b), tail)], ';')
	if end < 3 || b[1] != '#' {
		return 0
	}
	num, base := string(b[2:end]), 10
	if num[0] == 'x' {
		num, base = num[1:], 16
	}
	v, err := strconv.ParseUint(num, base, 32)
	if err != nil {
		return 0
	}
	if v == '\t' || v == '\n' || v == '\r' || v >= 0x20 && v < 0xD800 || v >= 0xE000 && v < 0xFFFE || v > 0xFFFF && v <= 0x10FFFF {
		return 0
	}
	return end + 1
}

func (c *cleaner) begin() error {
	c.began = true
	if b, _ := c.in.Peek(3); bytes.Equal(b, []byte("\xEF\xBB\xBF")) {
		_, _ = c.in.Discard(3)
	}
	for {
		b, err := c.in.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != ' ' && b[0] != '\t' && b[0] != '\r' && b[0] != '\n' {
			break
		}
		_, _ = c.in.Discard(1)
	}
	head, _ := c.in.Peek(100)
	decl, _, ok := strings.Cut(strings.ToLower(string(head)), "?>")
	if ok && strings.HasPrefix(decl, "<?xml") {
		if _, enc, ok := strings.Cut(decl, "encoding"); ok {
			enc = strings.Trim(enc, " =\t\r\n")
			if q := enc[:min(1, len(enc))]; q == `"` || q == "'" {
				enc, _, _ = strings.Cut(enc[1:], q)
				c.foreign = enc != "utf-8" && enc != "utf8" && enc != "us-ascii"
			}
		}
	}
	return nil
}

// charset reads the Latin charsets that servers declare. Names and hrefs are
// readable so; item texts are not taken from such a document, because the
// declaration is often wrong.
func (c *cleaner) charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii":
		return in, nil
	case "iso-8859-1", "latin1", "windows-1252", "iso-8859-15":
		return &latin{bufio.NewReader(in), nil}, nil
	}
	return nil, &malformed{fmt.Sprintf("it is written in the charset %.40q", label)}
}

type latin struct {
	in  *bufio.Reader
	out []byte
}

func (l *latin) Read(p []byte) (int, error) {
	if len(l.out) == 0 {
		b, err := l.in.ReadByte()
		if err != nil {
			return 0, err
		}
		l.out = utf8.AppendRune(nil, rune(b))
		if b >= 0x80 && b < 0xA0 {
			l.out = []byte(replaced)
		}
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// ReadByte spares the decoder a buffer.
func (l *latin) ReadByte() (byte, error) {
	var one [1]byte
	_, err := l.Read(one[:])
	return one[0], err
}
