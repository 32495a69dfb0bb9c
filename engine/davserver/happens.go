package davserver

import (
	"bytes"
	"errors"
	"time"

	"github.com/teambition/rrule-go"

	"davbus.org/davbus/engine/item"
)

// happens tells whether a component happens in a period, as the tables of RFC
// 4791, 9.9 have it. An alarm, and what cannot be told with reasonable effort,
// is said to happen.
func (m *calendarMatch) happens(n *item.Node, within period) bool {
	starts, ok := m.time(n, "DTSTART")
	switch {
	case n.Name == "VTODO":
		return m.todoHappens(n, within)
	case n.Name != "VEVENT" && n.Name != "VJOURNAL", !ok && property(n, "DTSTART") != nil:
		return true
	case !ok:
		return false
	}
	lasts, _ := m.lasts(n, starts)
	if n.Name == "VJOURNAL" {
		lasts = 0
	}
	if starts.day && lasts == 0 {
		lasts = 24 * time.Hour
	}
	within = within.widened(starts.slack)
	return m.recurs(n, starts, within, func(at time.Time) bool { return within.touches(at, lasts) })
}

func (m *calendarMatch) todoHappens(n *item.Node, within period) bool {
	starts, hasStart := m.time(n, "DTSTART")
	due, hasDue := m.time(n, "DUE")
	lasts, bounded := m.lasts(n, starts)
	within = within.widened(max(starts.slack, due.slack))
	switch {
	case hasStart && bounded:
		return m.recurs(n, starts, within, func(at time.Time) bool {
			end := at.Add(lasts)
			begins := within.beginsBy(end)
			if hasDue {
				begins = within.beginsBefore(end) || within.beginsBy(at)
			}
			return begins && (within.endsAfter(at) || within.endsFrom(end))
		})
	case hasStart:
		return m.recurs(n, starts, within, func(at time.Time) bool { return within.touches(at, 0) })
	case hasDue:
		return m.recurs(n, due, within, func(at time.Time) bool { return within.beginsBefore(at) && within.endsFrom(at) })
	}
	completed, isCompleted := m.time(n, "COMPLETED")
	created, isCreated := m.time(n, "CREATED")
	switch {
	case isCompleted && isCreated:
		return (within.beginsBy(created.Time) || within.beginsBy(completed.Time)) && (within.endsFrom(created.Time) || within.endsFrom(completed.Time))
	case isCompleted:
		return within.beginsBy(completed.Time) && within.endsFrom(completed.Time)
	case isCreated:
		return within.endsAfter(created.Time)
	}
	return true
}

// time reads the time in a property of a component, if there is one that can be
// read.
func (m *calendarMatch) time(n *item.Node, name string) (moment, bool) {
	if p := property(n, name); p != nil {
		return m.clock.read(p)
	}
	return moment{}, false
}

// lasts is how long each instance of a component is, if the component says.
func (m *calendarMatch) lasts(n *item.Node, starts moment) (time.Duration, bool) {
	for _, name := range []string{"DTEND", "DUE"} {
		if ends, ok := m.time(n, name); ok {
			return max(0, ends.Sub(starts.Time)), true
		}
	}
	d, ok := parseDuration(string(value(n, "DURATION")))
	return max(0, d), ok
}

// Limits of what is tried to find out when something recurs.
const (
	maxRule      = 1000    // bytes of one rule
	maxRules     = 8       // rules of one component
	maxInstances = 100_000 // instances looked at
)

var errTooMuch = errors.New("this recurs in a way that is not worked out")

// recurs tries every instance of a component until one hits. What is beyond the
// limits counts as a hit, unless it begins after the period or ends before.
func (m *calendarMatch) recurs(n *item.Node, first moment, within period, hits func(time.Time) bool) bool {
	excluded := m.excluded(n)
	try := func(at time.Time) bool { return !excluded[at.Unix()] && hits(at) }
	if try(first.Time) {
		return true
	}
	rules := 0
	for p := range n.Lines {
		switch string(bytes.ToUpper(p.Name)) {
		case "RDATE":
			for v := range bytes.SplitSeq(p.Value, []byte(",")) {
				if at, ok := m.clock.parse(string(bytes.TrimSpace(v)), param(&p.Property, "TZID")); ok && try(at.Time) {
					return true
				}
			}
		case "RRULE":
			if rules++; rules > maxRules {
				return true
			}
			hit, err := follow(string(bytes.TrimSpace(p.Value)), first, within, try)
			if hit || err != nil {
				return true
			}
		}
	}
	return false
}

// follow tries the instances of one rule in order.
func follow(rule string, first moment, within period, try func(time.Time) bool) (hit bool, err error) {
	if len(rule) > maxRule {
		return false, errTooMuch
	}
	opt, err := rrule.StrToROptionInLocation(rule, first.Location())
	if err != nil {
		return false, err
	}
	if !within.endsFrom(first.Time) {
		return false, nil
	}
	if opt.Freq > rrule.HOURLY {
		return false, errTooMuch
	}
	opt.Dtstart = first.Time
	r, err := rrule.NewRRule(*opt)
	if err != nil {
		return false, err
	}
	next := r.Iterator()
	for range maxInstances {
		at, ok := next()
		if !ok || !within.endsFrom(at) {
			return false, nil
		}
		if try(at) {
			return true, nil
		}
	}
	return false, errTooMuch
}

// excluded are the instances that do not happen: those that EXDATE names, and
// those for which the text has a component of their own.
func (m *calendarMatch) excluded(n *item.Node) map[int64]bool {
	gone := map[int64]bool{}
	for p := range n.Lines {
		if string(bytes.ToUpper(p.Name)) == "EXDATE" {
			for v := range bytes.SplitSeq(p.Value, []byte(",")) {
				if at, ok := m.clock.parse(string(bytes.TrimSpace(v)), param(&p.Property, "TZID")); ok {
					gone[at.Unix()] = true
				}
			}
		}
	}
	if property(n, "RECURRENCE-ID") != nil {
		return gone
	}
	for other := range m.calendar.Children {
		if other.Name == n.Name && bytes.Equal(value(other, "UID"), value(n, "UID")) {
			if at, ok := m.time(other, "RECURRENCE-ID"); ok {
				gone[at.Unix()] = true
			}
		}
	}
	return gone
}
