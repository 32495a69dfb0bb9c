package merge

import (
	"slices"
	"strings"

	"davbus.org/davbus/engine/item"
)

// A cell is what a component is made of, as far as a merge is concerned: a
// property, one value of a list, the properties of one group of a card, or a
// component.
type cell struct {
	bucket string // what it is: "SUMMARY", "BEGIN:VALARM". Only cells of one bucket are compared
	says   string // what it says: equal for two that say the same
	about  string // what it is about, in a bucket that has such: an address, an occurrence. It never changes
	value  string // the part of says that tells best which one it is: the value without parameters

	grouped bool // it is a group of a card

	node  *item.Node // where it is
	parts []int      // which parts of node it is
	nth   int        // which value of the list; -1 for anything else
	child *item.Node // the component, if it is one
}

// componentPrefix tells buckets of components from those of properties.
const componentPrefix = "BEGIN:"

const zoneBucket = componentPrefix + "VTIMEZONE"

// lists hold several values in one line; the order of values means nothing.
var lists = []string{"EXDATE", "RDATE", "CATEGORIES", "RESOURCES"}

// sets are buckets in which another cell is never a changed one.
var sets = []string{"ATTENDEE", "MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"}

// repeated are properties of which each is one of many, so that two that are
// added do not stand against each other.
var repeated = append([]string{"ATTACH", "COMMENT", "CONTACT", "RELATED-TO", "CONFERENCE", "IMAGE", "REQUEST-STATUS",
	"TEL", "EMAIL", "ADR", "IMPP", "URL", "RELATED", "LANG", "KEY", "X-SOCIALPROFILE", "X-ABRELATEDNAMES", "X-ABDATE",
	"X-JABBER", "LABEL"}, slices.Concat(lists, sets)...)

// cellsOf takes a component apart. Lists are taken apart where split says so.
func cellsOf(n *item.Node, split map[string]bool) []*cell {
	if n == nil {
		return nil
	}
	card := n.Name == "VCARD"
	groups := map[string]*cell{}
	var cells []*cell
	for i := range n.Parts {
		p := &n.Parts[i]
		c := &cell{node: n, parts: []int{i}, nth: -1}
		switch group := p.Group(); {
		case p.Child != nil:
			c.component(p.Child)
		case p.Name == nil:
			c.says = string(p.Text)
		case split[p.Base()]:
			cells = append(cells, valuesOf(c, p)...)
			continue
		case card && group != "" && groups[group] != nil:
			groups[group].parts = append(groups[group].parts, i)
			continue
		case card && group != "":
			groups[group] = c
		default:
			c.property(p)
		}
		cells = append(cells, c)
	}
	for _, c := range groups {
		c.group()
	}
	return cells
}

func (c *cell) property(p *item.Part) {
	c.bucket, c.says, c.value = p.Base(), p.Content(), string(p.Value)
	if c.bucket == "ATTENDEE" {
		c.about = strings.ToLower(c.value)
	}
}

func (c *cell) component(n *item.Node) {
	sum := item.Sum(n.Raw)
	c.bucket, c.says, c.child = componentPrefix+n.Name, string(sum[:]), n
	switch n.Name {
	case "VTIMEZONE":
		c.about = n.Value("TZID")
	case "VALARM":
		c.value = n.Value("TRIGGER")
		c.about = n.Value("UID")
	case "VEVENT", "VTODO", "VJOURNAL":
		c.about = "occurrence " + n.Value("RECURRENCE-ID")
		c.value = n.Value("UID") + "\n" + c.about
	}
}

// group makes one cell of the lines of a group. It goes by a line that is not a
// label of others, and what it says does not depend on the group's name.
func (c *cell) group() {
	says := make([]string, 0, len(c.parts))
	for _, i := range c.parts {
		p := &c.node.Parts[i]
		base := p.Base()
		says = append(says, base+":"+p.Content())
		better := isLabel(c.bucket) && !isLabel(base) || isLabel(c.bucket) == isLabel(base) && base < c.bucket
		if c.bucket == "" || better {
			c.bucket, c.value = base, string(p.Value)
		}
	}
	slices.Sort(says)
	c.grouped, c.says = true, "group\n"+strings.Join(says, "\n")
}

// isLabel tells a property that says something about the others of its group.
func isLabel(name string) bool { return strings.HasPrefix(name, "X-AB") }

// valuesOf makes a cell of each value of a list.
func valuesOf(line *cell, p *item.Part) []*cell {
	var cells []*cell
	for nth, v := range splitList(p.Value) {
		c := *line
		c.bucket, c.nth, c.value = p.Base(), nth, string(v)
		c.says = p.Head() + c.value
		cells = append(cells, &c)
	}
	return cells
}

// splitList splits a value at the commas that are not escaped.
func splitList(value []byte) [][]byte {
	var out [][]byte
	start := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case ',':
			out = append(out, value[start:i])
			start = i + 1
		}
	}
	return append(out, value[start:])
}

// part is the first line of the cell.
func (c *cell) part() *item.Part { return &c.node.Parts[c.parts[0]] }

// raw is the cell as it stands in its text; of a value of a list, the list.
func (c *cell) raw() []byte {
	if len(c.parts) == 1 {
		return c.part().Raw
	}
	var out []byte
	for _, i := range c.parts {
		out = append(out, c.node.Parts[i].Raw...)
	}
	return out
}

// label is the group's name; "" if the cell is no group.
func (c *cell) label() string {
	if c.child != nil || c.bucket == "" || c.node.Name != "VCARD" {
		return ""
	}
	return c.part().Group()
}

// relabelled is raw with another name of the group.
func (c *cell) relabelled(group string) []byte {
	var out []byte
	for _, i := range c.parts {
		out = append(out, c.node.Parts[i].WithGroup(group)...)
	}
	return out
}
