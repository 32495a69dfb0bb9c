package item

import (
	"bytes"
	"unicode/utf8"

	"davbus.org/davbus/engine"
)

// WithUID gives every component that an item is made of another UID. Every other
// line keeps its bytes, and so does one that says that UID already.
func WithUID(text []byte, uid engine.UID) []byte {
	value := cleanUID(uid)
	if len(value) == 0 {
		return text
	}
	named := componentsWithUID(text)
	out := make([]byte, 0, len(text)+len(value)+32)
	for r := read(text); ; {
		switch step := r.step(); {
		case step == stop:
			return append(out, r.raw...)
		case step == begin && r.inItem():
			out = append(out, r.raw[:r.body.end]...)
			if !named[0] {
				out = endLine(out)
				out = appendFolded(out, appendEscaped([]byte("UID:"), value), lineEnd(r.raw[:r.body.end]))
			}
			named = named[1:]
			out = append(out, r.raw[r.body.end:]...)
		case r.namesItem(step) && !bytes.Equal(unescape(bytes.TrimSpace(r.Value)), value):
			out = append(out, r.raw[:r.body.start]...)
			out = appendFolded(out, appendEscaped(r.headOfUID(), value), lineEnd(r.raw[r.body.start:r.body.end]))
			out = append(out, r.raw[r.body.end:]...)
		default:
			out = append(out, r.raw...)
		}
	}
}

// componentsWithUID tells, for each component that the item is made of, whether
// it has a UID.
func componentsWithUID(text []byte) (named []bool) {
	for r := read(text); ; {
		switch step := r.step(); {
		case step == stop:
			return named
		case step == begin && r.inItem():
			named = append(named, false)
		case r.namesItem(step) && len(named) > 0:
			named[len(named)-1] = true
		}
	}
}

// namesItem tells whether a step is the UID of the item. Outside components it
// is one too: an item whose first line is lost has a UID all the same.
func (r *reader) namesItem(s step) bool {
	return (s == property || s == garbage) && (len(r.open) == 0 || r.inItem()) && r.is("UID")
}

// headOfUID is the UID's line up to its value. Of one that is encoded only the
// name is kept, since the new value is not.
func (r *reader) headOfUID() []byte {
	head := bytes.Clone(r.text[:len(r.text)-len(r.Value)])
	if bytes.Contains(bytes.ToUpper(head), []byte("ENCODING")) || bytes.Contains(bytes.ToUpper(head), []byte("QUOTED")) {
		return append(bytes.Clone(r.Name), ':')
	}
	return head
}

// cleanUID takes out what cannot stand in a line.
func cleanUID(uid engine.UID) []byte {
	clean := make([]byte, 0, len(uid))
	for _, c := range []byte(uid) {
		if c != '\r' && c != '\n' {
			clean = append(clean, c)
		}
	}
	return bytes.TrimSpace(clean)
}

func appendEscaped(dst, s []byte) []byte {
	for _, c := range s {
		if c == '\\' || c == ',' || c == ';' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// lineEnd is the line end of a line, or CRLF if it has none.
func lineEnd(line []byte) string {
	if bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, []byte("\r\n")) {
		return "\n"
	}
	return "\r\n"
}

// endLine ends the last line of a text, if it is not.
func endLine(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(text, "\r\n"...)
	}
	return text
}

// foldAt is the most octets of a line, as RFC 5545 and RFC 6350 have it.
const foldAt = 75

// appendFolded writes a line, folded where no character is cut in two.
func appendFolded(dst, line []byte, eol string) []byte {
	for room := foldAt; len(line) > room; room = foldAt - 1 {
		cut := room
		for cut > room-utf8.UTFMax && !utf8.RuneStart(line[cut]) {
			cut--
		}
		dst = append(append(append(dst, line[:cut]...), eol...), ' ')
		line = line[cut:]
	}
	return append(append(dst, line...), eol...)
}

// CRLF brings a text back to CRLF line ends after XML took them for LF. It
// touches nothing else.
func CRLF(text []byte) []byte {
	bare := bytes.Count(text, []byte("\n")) - bytes.Count(text, []byte("\r\n"))
	if bare == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+bare)
	for line := range bytes.Lines(text) {
		if n := len(line); lineEnd(line) == "\n" {
			out = append(append(out, line[:n-1]...), "\r\n"...)
		} else {
			out = append(out, line...)
		}
	}
	return out
}
