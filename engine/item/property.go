package item

import (
	"bytes"
	"cmp"
	"slices"
)

// A Property is one content line taken apart. Its parts lie in the line.
type Property struct {
	Name   []byte // with its group, as written: "item1.URL"
	Params []Param
	Value  []byte
}

// A Param is one value of one parameter, without the quotes around it. A
// parameter with three values is three of them.
type Param struct {
	Name  []byte
	Value []byte
	Bare  bool // a type of vCard 2.1, written without a name: it is in Value
}

// parse takes an unfolded line apart, using the room of params. It fails where
// no colon ends the name. Where the parameters make no sense (a quote without an
// end), all of them become one bare parameter, so that nothing is overlooked.
func parse(line []byte, params []Param) (Property, bool) {
	end := 0
	for end < len(line) && line[end] != ':' && line[end] != ';' {
		end++
	}
	if end == 0 || end == len(line) {
		return Property{Params: params[:0]}, false
	}
	p := Property{Name: line[:end], Params: params[:0]}
	at := end
	for line[at] == ';' {
		next, ok := p.param(line, at+1)
		if !ok {
			return opaque(line, end, params)
		}
		at = next
	}
	p.Value = line[at+1:]
	return p, true
}

// param reads the parameter that begins at start and tells where it ends: at a
// semicolon or a colon.
func (p *Property) param(line []byte, start int) (end int, ok bool) {
	var name []byte
	bare := true
	at := start
	n := at
	for n < len(line) && line[n] != '=' && line[n] != ';' && line[n] != ':' {
		n++
	}
	if n < len(line) && line[n] == '=' {
		name, bare = line[at:n], false
		at = n + 1
	}
	for {
		n, ok := paramValue(line[at:])
		if !ok {
			return 0, false
		}
		p.Params = append(p.Params, Param{name, unquote(line[at : at+n]), bare})
		at += n
		if line[at] != ',' {
			return at, true
		}
		at++
	}
}

// paramValue tells where a parameter's value ends: at the first comma, semicolon
// or colon outside quotes.
func paramValue(s []byte) (end int, ok bool) {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == ':'):
			return i, true
		}
	}
	return 0, false
}

func unquote(s []byte) []byte {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' && bytes.IndexByte(s[1:len(s)-1], '"') < 0 {
		return s[1 : len(s)-1]
	}
	return s
}

func opaque(line []byte, name int, params []Param) (Property, bool) {
	colon := bytes.IndexByte(line[name:], ':')
	if colon < 0 {
		return Property{Params: params[:0]}, false
	}
	colon += name
	return Property{
		Name:   line[:name],
		Params: append(params[:0], Param{Value: line[name+1 : colon], Bare: true}),
		Value:  line[colon+1:],
	}, true
}

// Base is the name in capitals, without its group.
func (p *Property) Base() string { return string(appendUpper(nil, p.base())) }

// Group is the group in capitals: "ITEM1"; "" if there is none.
func (p *Property) Group() string {
	group, _, found := bytes.Cut(p.Name, []byte("."))
	if !found {
		return ""
	}
	return string(appendUpper(nil, group))
}

// Content is what the property says, without its name: equal for two that say
// the same. It sorts the parameters.
func (p *Property) Content() string { return string(appendContent(nil, p)) }

// Head is Content without the value.
func (p *Property) Head() string { return string(appendHead(nil, p)) }

// base is the name without its group.
func (p *Property) base() []byte {
	if dot := bytes.IndexByte(p.Name, '.'); dot >= 0 {
		return p.Name[dot+1:]
	}
	return p.Name
}

// is compares the name, without its group, with one in capitals.
func (p *Property) is(name string) bool { return foldEqual(p.base(), name) }

func foldEqual(s []byte, upper string) bool {
	if len(s) != len(upper) {
		return false
	}
	for i, c := range s {
		if toUpper(c) != upper[i] {
			return false
		}
	}
	return true
}

func toUpper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

func appendUpper(dst, s []byte) []byte {
	for _, c := range s {
		dst = append(dst, toUpper(c))
	}
	return dst
}

// sortParams brings parameters into the one order in which they are summed.
func sortParams(params []Param) {
	if len(params) < 2 {
		return
	}
	slices.SortFunc(params, func(a, b Param) int {
		if c := compareFold(a.Name, b.Name); c != 0 {
			return c
		}
		if c := bytes.Compare(a.Value, b.Value); c != 0 {
			return c
		}
		return compareBool(a.Bare, b.Bare)
	})
}

func compareFold(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := toUpper(a[i]), toUpper(b[i]); x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
