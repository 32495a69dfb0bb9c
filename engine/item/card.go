package item

import (
	"bytes"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// A card is one vCard taken apart, for another version of the format.
type card struct {
	format string
	node   *Node
	eol    string
	fields []field
}

// A field is one line of a card. What nothing was changed in keeps its bytes.
type field struct {
	group  string // "item1.", as written
	name   string // in capitals
	params []Param
	value  []byte
	raw    []byte // the line as it stands; nil once something was changed
	from   []int  // the parts of the card that it was made of; nil if of none
}

// cardOf takes a text apart if it is one well-formed card of a known version.
func cardOf(text []byte) (card, bool) {
	c := card{format: Format(text)}
	if c.format == "" {
		return c, false
	}
	root, err := Parse(text)
	if err != nil || len(root.Parts) != 1 || root.Parts[0].Child == nil {
		return c, false
	}
	c.node = root.Parts[0].Child
	c.eol = lineEnd(c.node.Begin)
	for i := range c.node.Parts {
		p := &c.node.Parts[i]
		if p.Child != nil || p.Name == nil {
			return c, false
		}
		group := ""
		if dot := bytes.IndexByte(p.Name, '.'); dot >= 0 {
			group = string(p.Name[:dot+1])
		}
		f := field{group, p.Base(), p.Params, p.Value, p.Raw, []int{i}}
		if !f.nameParams() {
			return c, false
		}
		c.fields = append(c.fields, f)
	}
	return c, true
}

// nameParams gives parameters without a name, as programs of old write them, the
// name that they are meant to have. It fails where nobody can tell.
func (f *field) nameParams() bool {
	for i, p := range f.params {
		if !p.Bare {
			continue
		}
		if len(p.Value) == 0 || bytes.ContainsAny(p.Value, `,;="`) {
			return false
		}
		name := "TYPE"
		switch strings.ToUpper(string(p.Value)) {
		case "BASE64", "B", "QUOTED-PRINTABLE", "8BIT", "7BIT":
			name = "ENCODING"
		case "URI", "URL":
			name = "VALUE"
		}
		f.params = slices.Clone(f.params)
		f.params[i], f.raw = Param{Name: []byte(name), Value: p.Value}, nil
	}
	return true
}

// to says the card in another version.
func (c card) to(format string) card {
	if format == engine.VCard4 {
		c.fields = raise(c.fields)
	} else {
		c.fields = lower(c.fields)
	}
	c.format = format
	return c
}

func (c card) render() []byte {
	out := endLine(slices.Clone(c.node.Begin))
	for i := range c.fields {
		out = c.fields[i].appendTo(out, c.eol)
	}
	return append(out, c.node.End...)
}

func (f *field) appendTo(out []byte, eol string) []byte {
	if f.raw != nil {
		return endLine(append(out, f.raw...))
	}
	line := []byte(f.group + f.name)
	for i, p := range f.params {
		switch {
		case i > 0 && bytes.EqualFold(p.Name, f.params[i-1].Name):
			line = append(line, ',')
		default:
			line = append(append(append(line, ';'), p.Name...), '=')
		}
		if bytes.ContainsAny(p.Value, ",;:") && !bytes.Contains(p.Value, []byte(`"`)) {
			line = append(append(append(line, '"'), p.Value...), '"')
		} else {
			line = append(line, p.Value...)
		}
	}
	return appendFolded(out, append(append(line, ':'), f.value...), eol)
}

// key is equal for fields that say the same.
func (f *field) key() string {
	p := Property{Name: []byte(f.name), Params: slices.Clone(f.params), Value: f.value}
	return strings.ToUpper(f.group) + f.name + "\n" + p.Content()
}

// set changes the value.
func (f *field) set(value []byte) { f.value, f.raw = value, nil }

func (f *field) rename(name string) { f.name, f.raw = name, nil }

// get is the first value of a parameter; "" if there is none.
func (f *field) get(name string) string {
	for _, p := range f.params {
		if foldEqual(p.Name, name) {
			return string(p.Value)
		}
	}
	return ""
}

// add adds a parameter, beside others of its name.
func (f *field) add(name, value string) {
	at := len(f.params)
	for i, p := range f.params {
		if foldEqual(p.Name, name) {
			at = i + 1
		}
	}
	f.params = slices.Insert(slices.Clone(f.params), at, Param{Name: []byte(name), Value: []byte(value)})
	f.raw = nil
}

// drop takes parameters away: those of a name, or of these values of it.
func (f *field) drop(name string, values ...string) (dropped bool) {
	rest := slices.DeleteFunc(slices.Clone(f.params), func(p Param) bool {
		return foldEqual(p.Name, name) && (len(values) == 0 ||
			slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, string(p.Value)) }))
	})
	if len(rest) == len(f.params) {
		return false
	}
	f.params, f.raw = rest, nil
	return true
}

// types are the values of TYPE in lower case, sorted.
func (f *field) types() (all []string) {
	for _, p := range f.params {
		if foldEqual(p.Name, "TYPE") {
			all = append(all, strings.ToLower(string(p.Value)))
		}
	}
	slices.Sort(all)
	return all
}

// component is one part of a value such as that of N, unescaped.
func (f *field) component(n int) string {
	parts := splitAt(f.value, ';')
	if n >= len(parts) {
		return ""
	}
	return strings.TrimSpace(string(unescape(parts[n])))
}

// splitAt splits a value where c stands unescaped.
func splitAt(value []byte, c byte) (parts [][]byte) {
	start := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case c:
			parts = append(parts, value[start:i])
			start = i + 1
		}
	}
	return append(parts, value[start:])
}

// named finds the first field of a name.
func named(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// fullName is an FN for a card that has none: every version asks for one.
func fullName(fields []field) field {
	value := ""
	if n := named(fields, "N"); n != nil {
		value = strings.TrimSpace(n.component(1) + " " + n.component(0))
	}
	for _, name := range []string{"ORG", "NICKNAME", "EMAIL", "TEL"} {
		if f := named(fields, name); f != nil && value == "" {
			value = f.component(0)
		}
	}
	return field{name: "FN", value: appendEscaped(nil, []byte(value))}
}

// nobody tells an N that names nobody: version 3 asks for one all the same.
func (f *field) nobody() bool { return f.name == "N" && len(bytes.Trim(f.value, "; ")) == 0 }
