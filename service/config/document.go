package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"davbus.org/davbus/engine"
)

// A document is one file: a flat mapping of names to scalars and lists of
// scalars. Nothing else of YAML is taken.
type document struct {
	path    string
	data    []byte
	entries []entry
	flow    bool // written as {…}: read, but never edited
}

// An entry is one key with its value, as it stands in the file.
type entry struct {
	key       string
	value     ast.Node
	line, col int    // of the key
	comment   string // at the end of the key's line, with its "#"
}

// fault is an error at a place of the file.
func (d *document) fault(line, col int, format string, args ...any) error {
	return engine.Fail(engine.InvalidConfig, "use the configuration", fmt.Sprintf("%s:%d:%d", d.path, line, col), format, args...)
}

func (d *document) faultAt(n ast.Node, format string, args ...any) error {
	line, col := at(n.GetToken())
	return d.fault(line, col, format, args...)
}

func at(t *token.Token) (line, col int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}

func parseDocument(path string, data []byte) (*document, error) {
	d := &document{path: path, data: data}
	f, err := parser.ParseBytes(data, parser.ParseComments)
	if err != nil {
		return nil, d.syntax(err)
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, d.faultAt(doc.Body, "a file holds one document")
		}
		body = doc.Body
	}
	switch b := body.(type) {
	case nil:
		return d, nil
	case *ast.MappingNode:
		d.flow = b.IsFlowStyle
		for _, v := range b.Values {
			if err := d.add(v); err != nil {
				return nil, err
			}
		}
		return d, nil
	case *ast.MappingValueNode:
		return d, d.add(b)
	}
	return nil, d.faultAt(body, "a file holds lines of the form KEY: VALUE")
}

// syntax gives an error of the parser a place. The parser's own text would quote
// the file.
func (d *document) syntax(err error) error {
	var e yaml.Error
	if !errors.As(err, &e) {
		return d.fault(1, 1, "%s", "it is no YAML")
	}
	line, col := at(e.GetToken())
	return d.fault(line, col, "%s", e.GetMessage())
}

func (d *document) add(v *ast.MappingValueNode) error {
	key, ok := v.Key.(*ast.StringNode)
	if !ok {
		return d.faultAt(v.Key, "a key is a plain word")
	}
	line, col := at(key.GetToken())
	for _, e := range d.entries {
		if e.key == key.Value {
			return d.fault(line, col, "the key %q stands here twice; first in line %d", key.Value, e.line)
		}
	}
	e := entry{key: key.Value, value: v.Value, line: line, col: col}
	for _, n := range []ast.Node{v.Value, v} {
		if c := n.GetComment(); c != nil && len(c.Comments) > 0 {
			if l, _ := at(c.Comments[0].Token); l == line {
				e.comment = "#" + c.Comments[0].Token.Value
				break
			}
		}
	}
	d.entries = append(d.entries, e)
	return nil
}

// valueOf reads a value as what a signature says.
func (d *document) valueOf(e entry, signature string) (any, error) {
	wrong := func(want string) (any, error) { return nil, d.faultAt(e.value, "%q is %s", e.key, want) }
	switch signature {
	case "b":
		if b, ok := e.value.(*ast.BoolNode); ok {
			return b.Value, nil
		}
		return wrong("true or false")
	case "u":
		if i, ok := e.value.(*ast.IntegerNode); ok {
			if n, ok := i.Value.(uint64); ok && n <= 1<<32-1 {
				return uint32(n), nil
			}
		}
		return wrong("a whole number from 0 to 4294967295")
	case "as":
		seq, ok := e.value.(*ast.SequenceNode)
		if !ok {
			return wrong("a list: [one, two]")
		}
		list := make([]string, 0, len(seq.Values))
		for _, v := range seq.Values {
			s, ok := scalar(v)
			if !ok {
				return nil, d.faultAt(v, "an element of %q is a text", e.key)
			}
			list = append(list, s)
		}
		return list, nil
	}
	if s, ok := scalar(e.value); ok {
		return s, nil
	}
	return wrong("a text")
}

// scalar is a scalar as it is written: a user name may be all digits.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}
