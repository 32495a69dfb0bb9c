package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A setting is one key as a file should have it.
type setting struct {
	key   string
	value any
	set   bool // else the key is not there
}

// edit gives a text in which the keys are as wanted. Lines of keys that need no
// change, comments and blank lines stay as they are, byte for byte.
func edit(path string, data []byte, want []setting) ([]byte, error) {
	d, err := parseDocument(path, data)
	if err != nil || d.flow {
		return nil, cannotEdit(path)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	} else {
		lines[n-1] = append(bytes.Clone(lines[n-1]), '\n')
	}
	var added []string
	replaced := map[int]string{} // by index of d.entries; "" removes
	for _, w := range want {
		i := slices.IndexFunc(d.entries, func(e entry) bool { return e.key == w.key })
		switch {
		case i < 0 && w.set:
			added = append(added, lineOf(w, ""))
		case i >= 0 && !w.set && !d.holds(i, w):
			replaced[i] = ""
		case i >= 0 && w.set && !d.holds(i, w):
			replaced[i] = lineOf(w, d.entries[i].comment)
		}
	}
	var out bytes.Buffer
	next := 0 // the first line not yet written
	for i, e := range d.entries {
		text, change := replaced[i]
		if !change {
			continue
		}
		first, last := d.span(i, lines)
		if e.col != 1 || first < next {
			return nil, cannotEdit(path)
		}
		out.Write(bytes.Join(lines[next:first], nil))
		out.WriteString(text)
		next = last
	}
	out.Write(bytes.Join(lines[next:], nil))
	for _, line := range added {
		out.WriteString(line)
	}
	return out.Bytes(), nil
}

// holds reports whether an entry says what is wanted already: a key that is
// unset may stand there with its default.
func (d *document) holds(i int, w setting) bool {
	if w.value == nil {
		return false
	}
	now, err := d.valueOf(d.entries[i], signatureOf(w.value))
	if err != nil {
		return false
	}
	a, b := listOf(now), listOf(w.value)
	if a != nil || b != nil {
		return slices.Equal(a, b)
	}
	return now == w.value
}

func signatureOf(v any) string {
	switch v.(type) {
	case bool:
		return "b"
	case uint32:
		return "u"
	case []string:
		return "as"
	}
	return "s"
}

// span is which lines an entry covers: up to the next key, less the blank lines
// and comments that stand before that.
func (d *document) span(i int, lines [][]byte) (first, last int) {
	first, last = d.entries[i].line-1, len(lines)
	if i+1 < len(d.entries) {
		last = d.entries[i+1].line - 1
	}
	for last > first+1 {
		line := bytes.TrimRight(lines[last-1], "\r\n \t")
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) && !bytes.Equal(line, []byte("...")) {
			break
		}
		last--
	}
	return first, last
}

func lineOf(w setting, comment string) string {
	var s string
	switch v := w.value.(type) {
	case bool:
		s = strconv.FormatBool(v)
	case uint32:
		s = strconv.FormatUint(uint64(v), 10)
	case string:
		s = quote(v, false)
	case []string:
		quoted := make([]string, len(v))
		for i, one := range v {
			quoted[i] = quote(one, true)
		}
		s = "[" + strings.Join(quoted, ", ") + "]"
	}
	if comment != "" {
		s += " " + comment
	}
	return w.key + ": " + s + "\n"
}

// quote writes a text so that YAML reads it as that text: plain where nobody can
// take it for anything else.
func quote(s string, inList bool) string {
	plain := s != "" && !ambiguous(s)
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		fine := letter || c >= '0' && c <= '9' || c == '/' || c == '_' || c == '.' || i > 0 && strings.IndexByte("-+@%~=:", c) >= 0
		if c == ':' && (i+1 == len(s) || inList) {
			fine = false
		}
		plain = plain && (fine || c == '~' && len(s) > 1)
	}
	if plain {
		return s
	}
	text, err := json.Marshal(s) // YAML's double quotes take JSON's escapes
	if err != nil {
		return `""`
	}
	return string(text)
}

// ambiguous texts are those that YAML, old or new, takes for something else.
func ambiguous(s string) bool {
	if c := s[0]; c >= '0' && c <= '9' || c == '.' {
		return true
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return true
	}
	return false
}
