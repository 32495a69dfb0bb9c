package merge

import (
	"slices"
	"strings"

	"davbus.org/davbus/engine/item"
)

// together are properties that mean something only together: an event that one
// member moved and another made longer must not end before it begins.
var together = [...][]string{
	{"DTSTART", "DTEND", "DUE", "DURATION"},
	{"STATUS", "PERCENT-COMPLETE"},
}

// units finds members that changed one of these in different ways. Of the changes
// only the first member's are left.
func (c *component) units() {
	base := saying(c.cells)
	for _, unit := range together {
		first := -1
		agreed := whole(base, unit)
		for i, s := range c.said {
			mark, text := whole(s.mark, unit), whole(s.text, unit)
			if mark == text {
				continue
			}
			unaware := c.views[i].behind || c.views[i].mark == nil
			if unaware && agreed != mark && agreed != text && agreed != whole(nil, unit) {
				c.clashOf(unit, base, s.text)
				if c.views[i].mark == nil {
					c.leaveOut(i, unit)
				}
			}
			switch {
			case first < 0:
				first = i
			case text != whole(c.said[first].text, unit):
				c.clashOf(unit, c.said[first].text, s.text)
				c.leaveOut(i, unit)
			}
		}
	}
}

func whole(says map[string]string, unit []string) string {
	var all []string
	for _, bucket := range unit {
		all = append(all, says[bucket])
	}
	return strings.Join(all, "\n\n")
}

// clashOf notes a clash of those properties of a unit of which two texts differ.
func (c *component) clashOf(unit []string, a, b map[string]string) {
	for _, bucket := range unit {
		if a[bucket] != b[bucket] {
			c.clash(bucket)
		}
	}
}

// leaveOut forgets what a member did to a unit.
func (c *component) leaveOut(view int, unit []string) {
	its := func(ch change) bool { return ch.view == view }
	for a, changes := range c.changes {
		if slices.Contains(unit, a.bucket) {
			c.changes[a] = slices.DeleteFunc(changes, its)
		}
	}
	for _, bucket := range unit {
		if c.added[bucket] = slices.DeleteFunc(c.added[bucket], its); len(c.added[bucket]) == 0 {
			delete(c.added, bucket)
		}
	}
}

// series finds a member that moved the beginning of a series of events while
// another changed single occurrences: those are known by the times that they had,
// so an occurrence that was cancelled would come back.
func (c *component) series() {
	type edit struct{ was, is occurrences }
	var edits []edit
	for _, v := range c.views {
		if v.mark == nil || v.lost {
			continue
		}
		mark := occurrencesOf(v.mark)
		edits = append(edits, edit{mark, occurrencesOf(v.text)})
		if v.behind {
			edits = append(edits, edit{mark, occurrencesOf(c.agreed)})
		}
	}
	for _, a := range edits {
		for _, b := range edits {
			if a.was.begin != a.is.begin && b.was.single != b.is.single && a.is != b.is {
				c.clash("DTSTART")
				return
			}
		}
	}
}

// occurrences are what a calendar says of its series.
type occurrences struct {
	begin  string // when the series begin
	single string // their exceptions and overrides
}

func occurrencesOf(calendar *item.Node) occurrences {
	var begin, single []string
	for n := range calendar.Children {
		if n.Name == "VTIMEZONE" {
			continue
		}
		if n.Value("RECURRENCE-ID") != "" {
			sum := item.Sum(n.Raw)
			single = append(single, string(sum[:]))
			continue
		}
		if n.Value("RRULE") == "" && n.Value("RDATE") == "" {
			continue
		}
		for p := range n.Lines {
			switch p.Base() {
			case "DTSTART":
				begin = append(begin, p.Content())
			case "EXDATE", "RDATE":
				for _, v := range splitList(p.Value) {
					single = append(single, p.Base()+p.Head()+string(v))
				}
			}
		}
	}
	slices.Sort(begin)
	slices.Sort(single)
	return occurrences{strings.Join(begin, "\n"), strings.Join(single, "\n")}
}
