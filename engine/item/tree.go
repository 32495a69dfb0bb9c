package item

import (
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
	Property
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
			top.Parts = append(top.Parts, Part{Raw: r.raw, Property: r.keep()})
		case step == garbage, len(open) > 1, !r.whole:
			return nil, errors.New(r.reason)
		default:
			return root, nil
		}
	}
}

// keep makes the property outlive the next step.
func (r *reader) keep() Property {
	p := r.Property
	if p.Name == nil {
		return Property{}
	}
	if len(r.text) > 0 && len(r.join) > 0 && &r.text[0] == &r.join[0] {
		p, _ = parse(slices.Clone(r.text), nil)
		return p
	}
	p.Params = slices.Clone(p.Params)
	return p
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
