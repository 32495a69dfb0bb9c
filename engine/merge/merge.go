// Package merge combines what several members did to one item.
//
// Every member's edit is what it did to the text of its own mark: what its server
// made of the item when it was stored is not an edit. The edits are applied to
// the text that all had agreed on, property by property, and what nobody touched
// keeps its bytes. Components are told apart by UID and RECURRENCE-ID, alarms by
// what they say. Where two edits cannot both be, there is a clash: the result
// then is a proposal, with the first member's edit in the disputed places.
//
// Read Merge, then component.go, which does the same for one component.
package merge

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"davbus.org/davbus/engine/item"
)

// An Edit is what one member holds.
type Edit struct {
	Name string // of the member
	Text []byte // what it holds now

	// Mark is what it held when it was last in step; nil if it never was. Nobody
	// can tell then what it changed, so every difference is a clash.
	Mark []byte

	// Behind says that Mark stands for an older version than the agreed one. Then
	// what others agreed on meanwhile is in dispute with this edit where they
	// touch the same; otherwise such differences are the member's spelling.
	Behind bool

	// Keep tells what the member can keep; nil for everything. The rest is not
	// looked at in its texts and comes from the others.
	Keep item.Keep
}

// A Result is the outcome of a merge.
type Result struct {
	Text     []byte   // the merged item; nil if there are clashes
	Proposal []byte   // the merged item, or the best guess at one
	Clashes  []string // what is in dispute: "SUMMARY", "VALARM"; sorted, each once
}

// Whole is the clash of texts, or of lines, that cannot be taken apart.
const Whole = "*"

// Merge applies edits to the agreed text. Agreed is nil if nothing was ever agreed
// on; then the marks mean nothing either.
func Merge(agreed []byte, edits []Edit) Result {
	if agreed == nil {
		if len(edits) == 0 {
			return Result{}
		}
		agreed = edits[0].Text
		edits = slices.Clone(edits[1:])
		for i := range edits {
			edits[i].Mark = nil
		}
	}
	edits = slices.DeleteFunc(slices.Clone(edits), func(e Edit) bool { return !e.touches(agreed) })
	if len(edits) == 0 {
		return Result{Text: agreed, Proposal: agreed}
	}
	if text := plain(agreed, edits); text != nil {
		return Result{Text: text, Proposal: text}
	}
	m, ok := newMerger(agreed, edits)
	if !ok {
		return Result{Proposal: edits[0].Text, Clashes: []string{Whole}}
	}
	text := m.run()
	if len(m.clashes) > 0 {
		return Result{Proposal: text, Clashes: slices.Sorted(maps.Keys(m.clashes))}
	}
	return Result{Text: text, Proposal: text}
}

// touches tells whether there is an edit at all.
func (e *Edit) touches(agreed []byte) bool {
	mark := e.Mark
	if mark == nil {
		mark = agreed
	}
	return !item.Same(item.Project(e.Text, e.Keep), item.Project(mark, e.Keep))
}

// plain gives the text if all say the same of an agreed text that they all knew:
// the first of them as it stands.
func plain(agreed []byte, edits []Edit) []byte {
	for _, e := range edits {
		if e.Mark == nil || e.Keep != nil || !bytes.Equal(e.Mark, agreed) || !item.Same(e.Text, edits[0].Text) {
			return nil
		}
	}
	return edits[0].Text
}

// A merger merges one item.
type merger struct {
	agreed  *item.Node
	views   []view
	clashes map[string]bool

	// Zones that a member left out. They go only if nothing names them any more.
	dropped map[string]bool
}

// A view is one component as one member changed it.
type view struct {
	mark   *item.Node // nil if the member's mark does not have it
	text   *item.Node
	behind bool // the mark stands for an older version
	lost   bool // there is no mark: the agreed text stands in for it
	second bool // the agreed text is a member's own, which comes first
}

// deepest is how deep components may nest to be merged; calendars need three.
const deepest = 16

func newMerger(agreed []byte, edits []Edit) (m *merger, ok bool) {
	ok = true
	m = &merger{clashes: map[string]bool{}, dropped: map[string]bool{}}
	parse := func(text []byte, keep item.Keep) *item.Node {
		n, err := item.Parse(item.Project(text, keep))
		if err != nil || !orderly(n) {
			ok = false
		}
		return n
	}
	m.agreed = parse(agreed, nil)
	for _, e := range edits {
		v := view{text: parse(e.Text, e.Keep), behind: e.Behind}
		if v.lost = e.Mark == nil; v.lost {
			v.mark = parse(agreed, e.Keep)
		} else {
			v.mark = parse(e.Mark, e.Keep)
		}
		m.views = append(m.views, v)
	}
	return m, ok
}

// orderly tells whether a text can be merged by its lines: not if it nests too
// deep, nor if a line would continue whatever comes to stand before it.
func orderly(n *item.Node) bool {
	level := []*item.Node{n}
	for range deepest {
		var next []*item.Node
		for _, n := range level {
			next = slices.AppendSeq(next, n.Children)
			for _, p := range n.Parts {
				if p.Child == nil && p.Name == nil && (p.Text[0] == ' ' || p.Text[0] == '\t') {
					return false
				}
			}
		}
		if len(next) == 0 {
			return true
		}
		level = next
	}
	return false
}

func (m *merger) run() []byte {
	out := m.component(m.agreed, m.views)
	text := out.render(nil)
	for zone := range m.dropped {
		if named(text, zone) {
			delete(m.dropped, zone)
		}
	}
	if len(m.dropped) == 0 {
		return text
	}
	out.drop(m.dropped)
	return out.render(nil)
}

// named tells whether anything in a text names a time zone.
func named(text []byte, zone string) bool {
	root, err := item.Parse(text)
	return err != nil || slices.Contains(root.NamedZones(), zone)
}

// clash notes that a bucket is in dispute.
func (m *merger) clash(bucket string) {
	name := strings.TrimPrefix(bucket, componentPrefix)
	if name == "" {
		name = Whole
	}
	m.clashes[name] = true
}
