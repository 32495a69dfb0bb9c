package merge

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine/item"
)

// settle decides what becomes of an agreed property, value or zone.
func (c *component) settle(a *cell) {
	changes := slices.DeleteFunc(slices.Clone(c.changes[a]), func(ch change) bool { return ch.says() == a.says })
	sure := slices.DeleteFunc(slices.Clone(changes), func(ch change) bool { return ch.lost || ch.second })
	switch {
	case len(changes) == 0 || c.ignores(a.bucket):
	case agree(changes):
		c.out.replace(a, plainest(changes))
	case c.renews(a.bucket):
		if best := newest(a, changes); best != a {
			c.out.replace(a, best)
		}
	default:
		c.clash(a.bucket)
		if len(sure) > 0 {
			c.out.replace(a, sure[0].text)
		}
	}
}

// agree tells whether all changes come to the same, and none is disputed.
func agree(changes []change) bool {
	for _, ch := range changes {
		if ch.disputed || ch.lost || ch.says() != changes[0].says() {
			return false
		}
	}
	return true
}

// plainest picks one spelling of what several members say, whatever their order.
func plainest(changes []change) *cell {
	best := changes[0].text
	for _, ch := range changes[1:] {
		if best != nil && bytes.Compare(ch.text.raw(), best.raw()) < 0 {
			best = ch.text
		}
	}
	return best
}

// descend decides what becomes of a component within.
func (c *component) descend(a *cell) {
	changes := c.changes[a]
	deleted := slices.DeleteFunc(slices.Clone(changes), func(ch change) bool { return ch.text != nil })
	if len(deleted) > 0 && (len(deleted) < len(changes) || !agree(deleted)) {
		c.clash(a.bucket)
	}
	// The edits are merged also where a deletion stands against them: what clashes
	// must not depend on which came first.
	var inner *output
	if len(c.known[a]) > 0 {
		inner = c.component(a.child, c.known[a])
	}
	switch {
	case len(changes) > 0 && changes[0].text == nil && !changes[0].lost:
		c.out.replace(a, nil)
	case inner != nil:
		c.out.within(a, inner)
	}
}

// add decides what becomes of new cells of one bucket.
func (c *component) add(bucket string, changes []change) {
	switch {
	case c.ignores(bucket):
		return
	case c.renews(bucket) && c.single(changes[0].text):
		c.out.add(newest(changes[0].text, changes), nil)
		return
	case bucket != zoneBucket && slices.ContainsFunc(changes, func(ch change) bool { return ch.lost }):
		c.clash(bucket)
	}
	var order []string
	rivals := map[string][]*cell{}
	for n, x := range union(changes) {
		key := strconv.Itoa(n)
		switch {
		case c.single(x):
			key = "the only one"
		case x.about != "":
			key = "about " + x.about
		}
		if rivals[key] == nil {
			order = append(order, key)
		}
		rivals[key] = append(rivals[key], x)
	}
	for _, key := range order {
		c.place(rivals[key][0], rivals[key][1:])
	}
}

// place writes a new cell. If others stand against it they are left out; but a
// component is merged with them.
func (c *component) place(first *cell, rivals []*cell) {
	switch {
	case len(rivals) == 0:
		c.out.add(first, nil)
	case first.child == nil || first.bucket == zoneBucket:
		c.clash(first.bucket)
		c.out.add(first, nil)
	default:
		views := make([]view, len(rivals))
		for i, r := range rivals {
			views[i] = view{text: r.child, second: true}
		}
		c.out.add(first, c.component(first.child, views))
	}
}

// union are the new cells of all members: what two have added is there once, but
// what one has added twice is there twice.
func union(changes []change) []*cell {
	type count struct {
		by   map[int]int
		most int
		best *cell
	}
	counts := map[string]*count{}
	var order []string
	for _, ch := range changes {
		n := counts[ch.text.says]
		if n == nil {
			n = &count{by: map[int]int{}, best: ch.text}
			counts[ch.text.says] = n
		}
		if n.by[ch.view]++; n.by[ch.view] > n.most {
			n.most = n.by[ch.view]
			order = append(order, ch.text.says)
		}
		if bytes.Compare(ch.text.raw(), n.best.raw()) < 0 {
			n.best = ch.text
		}
	}
	cells := make([]*cell, len(order))
	for i, says := range order {
		cells[i] = counts[says].best
	}
	return cells
}

// renewed are properties that programs count up or date with every edit: where
// members differ the newest is right, and they never clash.
var renewed = []string{"SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "REV", "COMPLETED", "ACKNOWLEDGED", "X-MOZ-LASTACK", "X-MOZ-GENERATION"}

func (c *component) renews(bucket string) bool {
	return slices.Contains(renewed, bucket) || c.ignores(bucket)
}

// ignores tells whether a property says nothing, so that it stays as agreed.
func (c *component) ignores(bucket string) bool {
	switch bucket {
	case "PRODID", "METHOD", "X-WR-CALNAME", "X-RADICALE-NAME":
		return true
	case "CREATED":
		return c.agreed.Name != "VCARD"
	}
	return false
}

// newest is the newest of a cell and what became of it. A cell that changed only
// counts if it stands against the changes.
func newest(a *cell, changes []change) *cell {
	var best *cell
	if slices.ContainsFunc(changes, func(ch change) bool { return ch.disputed || ch.lost }) {
		best = a
	}
	for _, ch := range changes {
		if ch.text != nil && (best == nil || compareAge(ch.text, best) > 0) {
			best = ch.text
		}
	}
	return best
}

// compareAge compares two times or numbers. One that is neither is the oldest.
func compareAge(a, b *cell) int {
	return cmp.Or(cmp.Compare(age(a), age(b)), strings.Compare(a.says, b.says), bytes.Compare(a.raw(), b.raw()))
}

func age(c *cell) int64 {
	value := strings.TrimSpace(c.value)
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if t, ok := item.Seconds([]byte(value)); ok {
		return t
	}
	return -1
}
