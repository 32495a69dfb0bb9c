package item

import "strings"

// A Keep tells what a member over a poorer format can keep: a component, asked
// with an empty property, or a property of one. Names are in capitals, without
// groups. A nil Keep keeps everything.
type Keep func(component, property string) bool

// Keeps is a Keep of names: "SUMMARY" is a property of what the item is made of,
// "VALARM.TRIGGER" one of a component inside of it. What makes an item one is
// always kept. No names keep everything.
func Keeps(names []string) Keep {
	if len(names) == 0 {
		return nil
	}
	has := map[string]bool{}
	for _, n := range names {
		n = strings.ToUpper(n)
		inner, _, is := strings.Cut(n, ".")
		has[n] = true
		has[inner+"."] = has[inner+"."] || is
	}
	return func(component, property string) bool {
		switch component {
		case "VTIMEZONE", "STANDARD", "DAYLIGHT":
			return true
		case "VCALENDAR":
			return property == "" || property == "VERSION" || property == "PRODID" || has["VCALENDAR."+property]
		case "VCARD", "VEVENT", "VTODO", "VJOURNAL":
			switch property {
			case "", "VERSION", "PRODID", "UID", "RECURRENCE-ID", "DTSTAMP":
				return true
			}
			return has[property]
		}
		return has[component+"."+property]
	}
}

// Project leaves out of a text what keep does not keep. The lines that stay keep
// their bytes.
func Project(text []byte, keep Keep) []byte {
	if keep == nil {
		return text
	}
	out := make([]byte, 0, len(text))
	left := 0 // depth of the component that is being left out; 0 if none is
	for r := read(text); ; {
		switch step := r.step(); {
		case step == stop:
			return append(out, r.raw...)
		case left > 0:
			if step == end && len(r.open) == left {
				left = 0
			}
			continue
		case step == begin && !keep(string(r.name()), ""):
			left = len(r.open)
			continue
		case step == property && !keep(string(r.name()), string(appendUpper(nil, r.base()))):
			continue
		}
		out = append(out, r.raw...)
	}
}
