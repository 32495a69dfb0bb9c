package item

import (
	"bytes"
	"cmp"
	"slices"

	"davbus.org/davbus/engine"
)

// Settle gives, for each copy of one item, the sum to plan with: equal sums are
// the same item. A copy that is the same as its mark gets Sum of the mark; else,
// one that is the same as the agreed text gets Sum of that; the rest get one sum
// for each set of texts that are the same. A copy that is gone gets the zero Sum.
// Agreed may be nil. The order of copies does not matter.
//
// A card of one version of vCard and one of another are the same where Alike says
// so of the poorer one.
//
// Two copies that carry different rules for one zone never get one sum unless
// each is the same as its own mark.
func Settle(agreed []byte, copies []Copy) []engine.Sum {
	sums := make([]engine.Sum, len(copies))
	var moved []movedCopy
	for i, c := range copies {
		switch {
		case c.Text == nil:
		case c.Mark != nil && Alike(c.Text, c.Mark):
			sums[i] = Sum(c.Mark)
		default:
			d := digestOf(c.Text)
			moved = append(moved, movedCopy{i, d, d.sum(), c.Text, Format(c.Text)})
		}
	}
	// Those that know most zones come first, so that a copy without zones cannot
	// make two different ones one; and so do those of the richer format.
	slices.SortFunc(moved, func(a, b movedCopy) int {
		if n := cmp.Or(len(b.zones)-len(a.zones), cmp.Compare(b.format, a.format)); n != 0 {
			return n
		}
		return bytes.Compare(a.sum[:], b.sum[:])
	})
	var classes []class
	if agreed != nil {
		d := digestOf(agreed)
		classes = append(classes, class{d.sum(), d, agreed, Format(agreed)})
	}
	for _, m := range moved {
		at := slices.IndexFunc(classes, func(c class) bool { return c.takes(&m) })
		if at < 0 {
			at = len(classes)
			classes = append(classes, class{m.sum, digest{body: m.body}, m.text, m.format})
		}
		classes[at].learn(m.zones)
		sums[m.at] = classes[at].sum
	}
	return sums
}

type movedCopy struct {
	at int
	digest
	sum    engine.Sum
	text   []byte
	format string
}

// A class is a set of texts that are all the same: with the zones of all of them.
type class struct {
	sum engine.Sum
	digest
	text   []byte // of the first of them
	format string
}

// takes tells whether a copy is the same as those of the class.
func (c *class) takes(m *movedCopy) bool {
	if c.format != m.format {
		return Alike(m.text, c.text)
	}
	return c.same(&m.digest)
}

func (c *class) learn(zones []zone) {
	for _, z := range zones {
		if at, known := c.find(z.id); !known {
			c.zones = slices.Insert(c.zones, at, z)
		}
	}
}
