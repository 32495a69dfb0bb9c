package item

import (
	"bytes"
	"errors"
	"slices"
)

// A Node is one component of a text, or the whole text. The Raw parts of a whole
// text put together are the text again.
type Node struct {
	Name  string // of the component, in capitals; "" for the whole text
	Raw   []byte // the component with all that is in it
	Begin []byte // its first line, as it stands; nil for the whole text
	End   []byte // its last line
	Parts []Part // what is between, in order
}

// A Part is a component or one line. A line that makes no sense has no Name.
type Part struct {
	Raw   []byte // as it stands
	Child *Node  // nil for a line
	Text  []byte // the line unfolded, without its end
	Property

	body span // the line in Raw, without empty lines around it
}

// Parse takes a text apart. It fails where components do not nest, or where
// something stands outside them. The tree may be as deep as the text is long.
func Parse(text []byte) (*Node, error) {
	root := &Node{Raw: text}
	open := []*Node{root}
	starts := []int{0}
	for r := read(text); ; {
		before := len(text) - len(r.rest)
		step := r.step()
		top := open[len(open)-1]
		switch {
		case step == begin:
			n := &Node{Name: string(r.name()), Begin: r.raw}
			top.Parts = append(top.Parts, Part{Child: n})
			open, starts = append(open, n), append(starts, before)
		case step == end:
			top.End = r.raw
			top.Raw = text[starts[len(starts)-1] : len(text)-len(r.rest)]
			open, starts = open[:len(open)-1], starts[:len(starts)-1]
			parent := open[len(open)-1]
			parent.Parts[len(parent.Parts)-1].Raw = top.Raw
		case step == property, step == garbage && len(open) > 1 && !r.is("END"):
			top.Parts = append(top.Parts, r.part())
		case step == garbage, len(open) > 1, !r.whole:
			return nil, errors.New(r.reason)
		default:
			return root, nil
		}
	}
}

// part is the line of this step, made to outlive the next.
func (r *reader) part() Part {
	p := Part{Raw: r.raw, Text: r.text, Property: r.Property, body: r.body}
	if len(r.join) > 0 && &r.text[0] == &r.join[0] {
		p.Text = slices.Clone(r.text)
		p.Property, _ = parse(p.Text, nil)
	}
	p.Params = slices.Clone(p.Params)
	return p
}

// WithValue writes the line with another value. The rest of it keeps its bytes,
// but for the folding.
func (p *Part) WithValue(value []byte) []byte {
	line := append(slices.Clone(p.Text[:len(p.Text)-len(p.Value)]), value...)
	return p.rewritten(line)
}

// WithGroup writes the line with another group ("item2").
func (p *Part) WithGroup(group string) []byte {
	_, rest, _ := bytes.Cut(p.Text, []byte("."))
	return p.rewritten(append([]byte(group+"."), rest...))
}

func (p *Part) rewritten(line []byte) []byte {
	out := slices.Clone(p.Raw[:p.body.start])
	out = appendFolded(out, line, lineEnd(p.Raw[p.body.start:p.body.end]))
	return append(out, p.Raw[p.body.end:]...)
}

// Lines yields the lines of a component that have a name.
func (n *Node) Lines(yield func(*Part) bool) {
	for i := range n.Parts {
		if p := &n.Parts[i]; p.Child == nil && p.Name != nil && !yield(p) {
			return
		}
	}
}

// Children yields the components in a component.
func (n *Node) Children(yield func(*Node) bool) {
	for _, p := range n.Parts {
		if p.Child != nil && !yield(p.Child) {
			return
		}
	}
}
