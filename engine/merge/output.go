package merge

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"davbus.org/davbus/engine/item"
)

// An output is a merged component: the agreed one with what is different.
type output struct {
	node  *item.Node
	parts []fate         // of the parts of node
	added []births       // before each part of node, and before its end
	last  map[string]int // the last part of each bucket
	lists map[string]int // the last list of each bucket and head, if values may join it
	inner int            // the first component within; the end if there is none
}

// A fate is what became of an agreed part.
type fate struct {
	gone  bool
	made  *cell        // stands in its place
	inner *output      // the component as merged
	lost  map[int]bool // values of the list that are gone
	more  [][]byte     // values of the list that are new
}

// Births are what is new at one place. Properties come before components.
type births struct{ lines, components []born }

// A born is something new.
type born struct {
	*cell
	inner *output // the component as merged; nil for as it stands
}

func newOutput(n *item.Node) *output {
	o := &output{node: n, parts: make([]fate, len(n.Parts)), added: make([]births, len(n.Parts)+1),
		last: map[string]int{}, lists: map[string]int{}, inner: len(n.Parts)}
	for i := range n.Parts {
		p := &n.Parts[i]
		bucket := bucketOf(p)
		o.last[bucket] = i
		if p.Child != nil {
			o.inner = min(o.inner, i)
		} else if bucket == "CATEGORIES" || bucket == "RESOURCES" {
			o.lists[bucket+p.Head()] = i
		}
	}
	return o
}

func bucketOf(p *item.Part) string {
	switch {
	case p.Child != nil:
		return componentPrefix + p.Child.Name
	case p.Name == nil:
		return ""
	}
	return p.Base()
}

// replace puts a cell in the place of an agreed one; nil deletes it.
func (o *output) replace(a, made *cell) {
	if a.nth >= 0 {
		f := &o.parts[a.parts[0]]
		if f.lost == nil {
			f.lost = map[int]bool{}
		}
		f.lost[a.nth] = true
		if made != nil {
			o.add(made, nil)
		}
		return
	}
	for _, i := range a.parts {
		o.parts[i].gone = true
	}
	o.parts[a.parts[0]].made = made
}

// within puts a merged component in its place.
func (o *output) within(a *cell, inner *output) { o.parts[a.parts[0]].inner = inner }

// add writes a new cell: a value into a list of its kind, the rest behind the
// last of its bucket, else before the components.
func (o *output) add(x *cell, inner *output) {
	if x.nth >= 0 {
		if at, ok := o.lists[x.bucket+x.part().Head()]; ok {
			o.parts[at].more = append(o.parts[at].more, []byte(x.value))
			return
		}
	}
	at := len(o.node.Parts)
	if last, ok := o.last[x.bucket]; ok {
		at = last + 1
	} else if x.child == nil || x.bucket == zoneBucket {
		at = o.inner
	}
	if b := &o.added[at]; x.child == nil {
		b.lines = append(b.lines, born{x, inner})
	} else {
		b.components = append(b.components, born{x, inner})
	}
}

// drop deletes time zones.
func (o *output) drop(zones map[string]bool) {
	for i, p := range o.node.Parts {
		if p.Child == nil {
			continue
		}
		if inner := o.parts[i].inner; inner != nil {
			inner.drop(zones)
		} else if p.Child.Name == "VTIMEZONE" && zones[p.Child.Value("TZID")] {
			o.parts[i] = fate{gone: true}
		}
	}
}

// render writes the component.
func (o *output) render(out []byte) []byte {
	labels := o.labels()
	out = appendLine(out, o.node.Begin)
	for i := range o.node.Parts {
		out = o.renderAdded(out, o.added[i], labels)
		p, f := &o.node.Parts[i], &o.parts[i]
		switch {
		case f.inner != nil:
			out = f.inner.render(out)
		case f.made != nil:
			out = appendLine(out, f.made.labelled(labels))
		case f.gone:
		case len(f.lost) > 0 || len(f.more) > 0:
			out = appendLine(out, f.list(p))
		default:
			out = appendLine(out, p.Raw)
		}
	}
	out = o.renderAdded(out, o.added[len(o.node.Parts)], labels)
	return appendLine(out, o.node.End)
}

func (o *output) renderAdded(out []byte, added births, labels map[*cell]string) []byte {
	for _, b := range slices.Concat(added.lines, added.components) {
		switch {
		case b.inner != nil:
			out = b.inner.render(out)
		case b.nth >= 0:
			out = appendLine(out, b.part().WithValue([]byte(b.value)))
		default:
			out = appendLine(out, b.labelled(labels))
		}
	}
	return out
}

// list writes a list with its new values; nothing if none is left.
func (f *fate) list(p *item.Part) []byte {
	var left [][]byte
	for nth, v := range splitList(p.Value) {
		if !f.lost[nth] {
			left = append(left, v)
		}
	}
	slices.SortFunc(f.more, bytes.Compare)
	if left = append(left, f.more...); len(left) == 0 {
		return nil
	}
	return p.WithValue(bytes.Join(left, []byte(",")))
}

// labels gives new groups of a card other names where theirs are taken. It does
// not depend on the order in which they came.
func (o *output) labels() map[*cell]string {
	if o.node.Name != "VCARD" {
		return nil
	}
	used := map[string]bool{}
	var groups []*cell
	note := func(x *cell) {
		if x.label() != "" {
			groups = append(groups, x)
		}
	}
	for i := range o.parts {
		if f := &o.parts[i]; f.made != nil {
			note(f.made)
		} else if !f.gone {
			used[o.node.Parts[i].Group()] = true
		}
	}
	for _, added := range o.added {
		for _, b := range added.lines {
			note(b.cell)
		}
	}
	slices.SortStableFunc(groups, func(a, b *cell) int {
		return cmp.Or(strings.Compare(a.says, b.says), strings.Compare(a.label(), b.label()))
	})
	labels := map[*cell]string{}
	next := 1
	for _, g := range groups {
		if !used[g.label()] {
			used[g.label()] = true
			continue
		}
		for used[fmt.Sprintf("ITEM%d", next)] {
			next++
		}
		labels[g] = fmt.Sprintf("item%d", next)
		used[fmt.Sprintf("ITEM%d", next)] = true
	}
	return labels
}

// labelled is the cell as it stands, or with the name of its group that labels
// has for it.
func (c *cell) labelled(labels map[*cell]string) []byte {
	if label := labels[c]; label != "" {
		return c.relabelled(label)
	}
	return c.raw()
}

// appendLine writes lines behind lines, ending the last one if it is not.
func appendLine(out, raw []byte) []byte {
	if len(raw) > 0 && len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, "\r\n"...)
	}
	return append(out, raw...)
}
