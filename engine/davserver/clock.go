package davserver

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/engine/item"
)

// A period is the time from start until before end; a zero time is open.
type period struct{ start, end time.Time }

// The four ways in which RFC 4791 compares a period with a time.
func (p period) beginsBefore(t time.Time) bool { return p.start.IsZero() || p.start.Before(t) }
func (p period) beginsBy(t time.Time) bool     { return p.start.IsZero() || !p.start.After(t) }
func (p period) endsAfter(t time.Time) bool    { return p.end.IsZero() || p.end.After(t) }
func (p period) endsFrom(t time.Time) bool     { return p.end.IsZero() || !p.end.Before(t) }

// touches tells whether something that lasts some time happens in the period.
func (p period) touches(at time.Time, lasts time.Duration) bool {
	if lasts > 0 {
		return p.beginsBefore(at.Add(lasts)) && p.endsAfter(at)
	}
	return p.beginsBy(at) && p.endsAfter(at)
}

// widened is the period with some time more on both sides.
func (p period) widened(by time.Duration) period {
	if !p.start.IsZero() {
		p.start = p.start.Add(-by)
	}
	if !p.end.IsZero() {
		p.end = p.end.Add(by)
	}
	return p
}

// A moment is a time that was read off a property. Where its zone is not fully
// known it may be wrong by slack.
type moment struct {
	time.Time
	day   bool // a date without a time
	slack time.Duration
}

// A clock reads the times of one calendar text.
type clock struct {
	floating *time.Location // of times that name no zone
	calendar *item.Node
	zones    map[string]knownZone
}

type knownZone struct {
	*time.Location
	slack time.Duration
}

func newClock(calendar *item.Node, floating *time.Location) clock {
	return clock{floating, calendar, map[string]knownZone{}}
}

// read reads the first time in a property's value.
func (c *clock) read(p *item.Property) (moment, bool) {
	first, _, _ := bytes.Cut(p.Value, []byte(","))
	return c.parse(string(bytes.TrimSpace(first)), param(p, "TZID"))
}

// parse reads one DATE or DATE-TIME.
func (c *clock) parse(value, tzid string) (moment, bool) {
	value, _, _ = strings.Cut(value, "/") // of a period its start
	if len(value) == len("20060102") {
		t, err := time.ParseInLocation("20060102", value, c.floating)
		return moment{Time: t, day: true}, err == nil
	}
	if strings.HasSuffix(value, "Z") {
		t, err := time.Parse(utcTime, value)
		return moment{Time: t}, err == nil
	}
	zone := knownZone{Location: c.floating}
	if tzid != "" {
		zone = c.zone(tzid)
	}
	t, err := time.ParseInLocation("20060102T150405", value, zone.Location)
	return moment{Time: t, slack: zone.slack}, err == nil
}

// zone finds a zone by its name, also where the name of a program stands before
// it; else by the offset that the text gives for it, which may be wrong by the
// hour of summer time; else it can be anywhere on earth.
func (c *clock) zone(tzid string) knownZone {
	if z, ok := c.zones[tzid]; ok {
		return z
	}
	z := knownZone{time.UTC, 14 * time.Hour}
	parts := strings.Split(strings.Trim(tzid, "/"), "/")
	for i := max(0, len(parts)-3); i < len(parts); i++ {
		name := strings.Join(parts[i:], "/")
		if found, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
			z = knownZone{found, 0}
			break
		}
	}
	if z.slack > 0 {
		if offset, ok := c.standardOffset(tzid); ok {
			z = knownZone{time.FixedZone(tzid, offset), time.Hour}
		}
	}
	c.zones[tzid] = z
	return z
}

func (c *clock) standardOffset(tzid string) (seconds int, ok bool) {
	for zone := range c.calendar.Children {
		if zone.Name != "VTIMEZONE" || string(value(zone, "TZID")) != tzid {
			continue
		}
		for n := range zone.Children {
			offset, good := parseOffset(string(value(n, "TZOFFSETTO")))
			if good && (!ok || n.Name == "STANDARD") {
				seconds, ok = offset, true
			}
		}
	}
	return seconds, ok
}

// parseOffset reads +HHMM or +HHMMSS.
func parseOffset(s string) (seconds int, ok bool) {
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	for i, unit := 1, 3600; i < len(s); i, unit = i+2, unit/60 {
		n, err := strconv.ParseUint(s[i:i+2], 10, 8)
		if err != nil {
			return 0, false
		}
		seconds += int(n) * unit
	}
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

// property finds the first property of a name in a component; nil if there is none.
func property(n *item.Node, name string) *item.Property {
	for p := range n.Lines {
		if strings.EqualFold(string(p.Name), name) {
			return &p.Property
		}
	}
	return nil
}

func value(n *item.Node, name string) []byte {
	if p := property(n, name); p != nil {
		return bytes.TrimSpace(p.Value)
	}
	return nil
}

func param(p *item.Property, name string) string {
	for _, q := range p.Params {
		if strings.EqualFold(string(q.Name), name) {
			return string(q.Value)
		}
	}
	return ""
}

// parseDuration reads a DURATION such as P1DT2H or -PT15M.
func parseDuration(s string) (d time.Duration, ok bool) {
	sign := time.Duration(1)
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		sign, s = -1, rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	s, ok = strings.CutPrefix(s, "P")
	if !ok || s == "" {
		return 0, false
	}
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour}
	for s != "" {
		if s[0] == 'T' {
			units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
			s = s[1:]
			continue
		}
		i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if i < 1 || i > 9 || units[s[i]] == 0 {
			return 0, false
		}
		n, err := strconv.Atoi(s[:i])
		if err != nil || n > 1_000_000 {
			return 0, false
		}
		d += time.Duration(n) * units[s[i]]
		s = s[i+1:]
	}
	return sign * d, true
}
