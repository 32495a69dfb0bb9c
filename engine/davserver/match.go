package davserver

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine/item"
)

type calendarFilter struct {
	top  compFilter
	zone *time.Location // of times that name none
}

func (f calendarFilter) finds(text []byte) bool {
	root, err := item.Parse(text)
	if err != nil {
		return true
	}
	for calendar := range root.Children {
		if calendar.Name == "VCALENDAR" {
			m := calendarMatch{calendar: calendar, clock: newClock(calendar, f.zone)}
			if m.comp(&f.top, root) {
				return true
			}
		}
	}
	return false
}

type calendarMatch struct {
	calendar *item.Node
	clock    clock
}

// comp tells whether a filter is true of what is inside a component.
func (m *calendarMatch) comp(f *compFilter, parent *item.Node) bool {
	for n := range parent.Children {
		if n.Name == f.name {
			if f.absent {
				return false
			}
			if m.all(f, n) {
				return true
			}
		}
	}
	return f.absent
}

func (m *calendarMatch) all(f *compFilter, n *item.Node) bool {
	if f.within != nil && !m.happens(n, *f.within) {
		return false
	}
	if len(f.props)+len(f.comps) == 0 {
		return true
	}
	for i := range f.props {
		if m.prop(&f.props[i], n) == f.anyOf {
			return f.anyOf
		}
	}
	for i := range f.comps {
		if m.comp(&f.comps[i], n) == f.anyOf {
			return f.anyOf
		}
	}
	return !f.anyOf
}

func (m *calendarMatch) prop(f *propFilter, n *item.Node) bool {
	for p := range n.Lines {
		if strings.EqualFold(string(p.Name), f.name) {
			if f.absent {
				return false
			}
			if f.within != nil {
				t, ok := m.clock.read(&p.Property)
				if ok && !f.within.widened(t.slack).touches(t.Time, 0) {
					continue
				}
			}
			if f.matches(&p.Property) {
				return true
			}
		}
	}
	return f.absent
}

// matches tries the texts and parameters on one property.
func (f *propFilter) matches(p *item.Property) bool {
	if len(f.texts)+len(f.params) == 0 {
		return true
	}
	for i := range f.texts {
		if f.texts[i].matches(plainText(p.Value)) == f.anyOf {
			return f.anyOf
		}
	}
	for i := range f.params {
		if f.params[i].matches(p) == f.anyOf {
			return f.anyOf
		}
	}
	return !f.anyOf
}

func (f *paramFilter) matches(p *item.Property) bool {
	found := false
	for _, q := range p.Params {
		name, value := string(q.Name), string(q.Value)
		if q.Bare {
			name = "TYPE"
		}
		if strings.EqualFold(name, f.name) {
			if !f.absent && (f.text == nil || f.text.matches(value)) {
				return true
			}
			found = true
		}
	}
	return f.absent && !found
}

func (m *textMatch) matches(value string) bool {
	value, text := m.fold(value), m.fold(m.text)
	var yes bool
	switch m.how {
	case "equals":
		yes = value == text
	case "starts-with":
		yes = strings.HasPrefix(value, text)
	case "ends-with":
		yes = strings.HasSuffix(value, text)
	default:
		yes = strings.Contains(value, text)
	}
	return yes != m.negate
}

// plainText takes the escapes of TEXT back.
func plainText(value []byte) string {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";").Replace(string(value))
}

// A cardFilter finds contacts; without properties it finds all.
type cardFilter struct {
	anyOf bool
	props []propFilter
}

func (f cardFilter) finds(text []byte) bool {
	if len(f.props) == 0 {
		return true
	}
	root, err := item.Parse(text)
	if err != nil {
		return true
	}
	for card := range root.Children {
		found := slices.ContainsFunc(f.props, func(p propFilter) bool { return p.inCard(card) == f.anyOf })
		if found == f.anyOf {
			return true
		}
	}
	return false
}

// inCard tells whether the filter is true of a card. A name without a group
// means the property in every group.
func (f *propFilter) inCard(card *item.Node) bool {
	for p := range card.Lines {
		name := string(p.Name)
		if dot := strings.IndexByte(name, '.'); dot >= 0 && !strings.Contains(f.name, ".") {
			name = name[dot+1:]
		}
		if strings.EqualFold(name, f.name) {
			if f.absent {
				return false
			}
			if f.matches(&p.Property) {
				return true
			}
		}
	}
	return f.absent
}
