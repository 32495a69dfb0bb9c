package davserver

import (
	"net/http"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// A filter decides which items a query finds. One that it cannot be tried on is
// found: to leave it out would look as if it were gone.
type filter interface {
	finds(text []byte) bool
}

// A compFilter is true of a component that holds one of its name of which
// everything else is true.
type compFilter struct {
	name   string
	absent bool // there is none of its name
	anyOf  bool // one of props and comps is enough
	within *period
	props  []propFilter
	comps  []compFilter
}

// A propFilter is true of a component, or a card, that has a property of its
// name of which everything else is true.
type propFilter struct {
	name   string
	absent bool
	anyOf  bool
	within *period
	texts  []textMatch
	params []paramFilter
}

type paramFilter struct {
	name   string
	absent bool
	text   *textMatch
}

// A textMatch compares a value with a text.
type textMatch struct {
	text   string
	how    string // "contains", "equals", "starts-with", "ends-with"
	fold   func(string) string
	negate bool
}

// filterOf reads the filter of a query in a collection of a kind.
func (s *Server) filterOf(body *node, kind string) (filter, error) {
	d := filterReader{space: namespaceOf(kind)}
	top := body.kid(d.space, "filter")
	if kind == engine.AddressBook {
		f := cardFilter{anyOf: top == nil || top.attribute("test") != "allof"}
		if top != nil {
			f.props = d.props(top)
		}
		return f, d.err
	}
	top = top.kid(d.space, "comp-filter")
	if top == nil {
		return nil, d.invalid("a calendar-query needs a filter with one comp-filter")
	}
	zone := s.opt.Zone
	if id := body.kid(d.space, "timezone-id"); id != nil {
		if z, err := time.LoadLocation(id.trimmed()); err == nil {
			zone = z
		}
	}
	f := calendarFilter{top: d.comp(top), zone: zone}
	if f.top.name != "VCALENDAR" {
		d.invalid("the outermost comp-filter is VCALENDAR")
	}
	return f, d.err
}

// A filterReader makes filters of elements and keeps the first fault.
type filterReader struct {
	space string
	err   error
}

func (d *filterReader) fail(condition, text string) error {
	if d.err == nil {
		d.err = refuse(http.StatusForbidden, "%s", text).because(d.space, condition)
	}
	return d.err
}

func (d *filterReader) invalid(text string) error { return d.fail("valid-filter", text) }

func (d *filterReader) name(n *node) string {
	name := n.attribute("name")
	if name == "" {
		d.invalid("a filter names what it is about")
	}
	return strings.ToUpper(name)
}

func (d *filterReader) comp(n *node) compFilter {
	f := compFilter{
		name: d.name(n), absent: n.kid(d.space, "is-not-defined") != nil,
		anyOf: n.attribute("test") == "anyof", within: d.within(n), props: d.props(n),
	}
	for _, k := range n.kids {
		if k.is(d.space, "comp-filter") {
			f.comps = append(f.comps, d.comp(k))
		}
	}
	return f
}

func (d *filterReader) props(n *node) (list []propFilter) {
	for _, k := range n.kids {
		if !k.is(d.space, "prop-filter") {
			continue
		}
		f := propFilter{
			name: d.name(k), absent: k.kid(d.space, "is-not-defined") != nil,
			// CardDAV says anyof where nothing is said, CalDAV knows only allof.
			anyOf:  k.attribute("test") == "anyof" || d.space == cardNS && k.attribute("test") != "allof",
			within: d.within(k),
		}
		for _, m := range k.kids {
			switch {
			case m.is(d.space, "text-match"):
				f.texts = append(f.texts, d.text(m))
			case m.is(d.space, "param-filter"):
				p := paramFilter{name: d.name(m), absent: m.kid(d.space, "is-not-defined") != nil}
				if t := m.kid(d.space, "text-match"); t != nil {
					text := d.text(t)
					p.text = &text
				}
				f.params = append(f.params, p)
			}
		}
		list = append(list, f)
	}
	return list
}

func (d *filterReader) text(n *node) textMatch {
	m := textMatch{text: n.text, how: n.attribute("match-type"), negate: n.attribute("negate-condition") == "yes"}
	switch m.how {
	case "":
		m.how = "contains"
	case "contains", "equals", "starts-with", "ends-with":
	default:
		d.invalid("match-type is equals, contains, starts-with or ends-with")
	}
	collation := n.attribute("collation")
	if collation == "" && d.space == calNS {
		collation = "i;ascii-casemap"
	}
	switch collation {
	case "", "i;unicode-casemap":
		m.fold = foldUnicode
	case "i;ascii-casemap":
		m.fold = foldASCII
	case "i;octet":
		m.fold = func(s string) string { return s }
	default:
		d.fail("supported-collation", "the collations are i;ascii-casemap, i;unicode-casemap and i;octet")
	}
	return m
}

func (d *filterReader) within(n *node) *period {
	r := n.kid(d.space, "time-range")
	if r == nil {
		return nil
	}
	var p period
	var err, err2 error
	if s := r.attribute("start"); s != "" {
		p.start, err = time.Parse(utcTime, s)
	}
	if s := r.attribute("end"); s != "" {
		p.end, err2 = time.Parse(utcTime, s)
	}
	if err != nil || err2 != nil || p.start.IsZero() && p.end.IsZero() || !p.end.IsZero() && !p.start.Before(p.end) {
		d.invalid("a time-range has start, end or both in order, each written like 20061231T235959Z")
	}
	return &p
}

const utcTime = "20060102T150405Z"

func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func foldUnicode(s string) string { return strings.ToLower(strings.ToUpper(s)) }
