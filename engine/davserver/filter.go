package davserver

import (
	"net/http"
	"strings"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-vcard"
	"github.com/emersion/go-webdav/caldav"
	"github.com/emersion/go-webdav/carddav"
)

// An item that a filter cannot be tried on is let through: to leave it out would
// look like a deletion.

func calendarFilter(body *node) (func([]byte) bool, error) {
	top := body.kid(calNS, "filter").kid(calNS, "comp-filter")
	if top == nil {
		return nil, refuse(http.StatusForbidden, "a calendar-query needs a filter with one comp-filter").because(calNS, "valid-filter")
	}
	filter, err := compFilter(top)
	if err != nil {
		return nil, err
	}
	return func(text []byte) (match bool) {
		defer func() {
			if recover() != nil {
				match = true
			}
		}()
		parsed, err := ical.NewDecoder(strings.NewReader(string(text))).Decode()
		if err != nil {
			return true
		}
		match, err = caldav.Match(*filter, &caldav.CalendarObject{Data: parsed})
		return match || err != nil
	}, nil
}

func compFilter(n *node) (*caldav.CompFilter, error) {
	f := &caldav.CompFilter{Name: strings.ToUpper(n.attribute("name")), IsNotDefined: n.kid(calNS, "is-not-defined") != nil}
	var err error
	if f.Start, f.End, err = timeRange(n); err != nil {
		return nil, err
	}
	for _, k := range n.kids {
		switch {
		case k.is(calNS, "comp-filter"):
			sub, err := compFilter(k)
			if err != nil {
				return nil, err
			}
			f.Comps = append(f.Comps, *sub)
		case k.is(calNS, "prop-filter"):
			p := caldav.PropFilter{Name: strings.ToUpper(k.attribute("name")), IsNotDefined: k.kid(calNS, "is-not-defined") != nil}
			if p.Start, p.End, err = timeRange(k); err != nil {
				return nil, err
			}
			if t := k.kid(calNS, "text-match"); t != nil {
				p.TextMatch = &caldav.TextMatch{Text: t.text, NegateCondition: t.attribute("negate-condition") == "yes"}
			}
			f.Props = append(f.Props, p)
		}
	}
	return f, nil
}

func timeRange(n *node) (start, end time.Time, err error) {
	r := n.kid(calNS, "time-range")
	if r == nil {
		return start, end, nil
	}
	bad := refuse(http.StatusForbidden, "a time-range has start, end or both, each written like 20061231T235959Z").because(calNS, "valid-filter")
	for name, into := range map[string]*time.Time{"start": &start, "end": &end} {
		s := r.attribute(name)
		if s == "" {
			continue
		}
		if *into, err = time.Parse("20060102T150405Z", s); err != nil {
			return start, end, bad
		}
	}
	if start.IsZero() && end.IsZero() || !start.IsZero() && !end.IsZero() && !start.Before(end) {
		return start, end, bad
	}
	return start, end, nil
}

func cardFilter(body *node) (func([]byte) bool, error) {
	f := body.kid(cardNS, "filter")
	q := &carddav.AddressBookQuery{}
	if f != nil {
		q.FilterTest = carddav.FilterTest(f.attribute("test"))
		for _, k := range f.kids {
			if k.is(cardNS, "prop-filter") {
				q.PropFilters = append(q.PropFilters, cardPropFilter(k))
			}
		}
	}
	if len(q.PropFilters) == 0 {
		return func([]byte) bool { return true }, nil
	}
	return func(text []byte) (match bool) {
		defer func() {
			if recover() != nil {
				match = true
			}
		}()
		card, err := vcard.NewDecoder(strings.NewReader(string(text))).Decode()
		if err != nil {
			return true
		}
		match, err = carddav.Match(q, &carddav.AddressObject{Card: card})
		return match || err != nil
	}, nil
}

func cardPropFilter(n *node) carddav.PropFilter {
	p := carddav.PropFilter{
		Name: strings.ToUpper(n.attribute("name")), Test: carddav.FilterTest(n.attribute("test")),
		IsNotDefined: n.kid(cardNS, "is-not-defined") != nil,
	}
	for _, k := range n.kids {
		if k.is(cardNS, "text-match") {
			p.TextMatches = append(p.TextMatches, carddav.TextMatch{
				Text: k.text, NegateCondition: k.attribute("negate-condition") == "yes",
				MatchType: carddav.MatchType(k.attribute("match-type")),
			})
		}
	}
	return p
}
