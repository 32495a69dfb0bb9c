package item

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// renamed are names of version 4 and those under which version 3 knows them.
var renamed = [...]struct{ v4, v3 string }{
	{"KIND", "X-ADDRESSBOOKSERVER-KIND"}, {"MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"},
	{"ANNIVERSARY", "X-ANNIVERSARY"}, {"GENDER", "X-GENDER"},
}

// raise says in vCard 4 what fields say in vCard 3. What version 4 has no name
// for (CLASS, MAILER, an AGENT that is a card) stays as it is: a property that a
// program does not know, which it must not stumble over.
func raise(in []field) []field {
	out := make([]field, 0, len(in)+1)
	for _, f := range in {
		if f.nobody() {
			continue
		}
		if f.raise(); f.name == "VERSION" {
			out = slices.Insert(out, 0, f)
		} else {
			out = append(out, f)
		}
	}
	if named(in, "FN") == nil {
		out = append(out, fullName(in))
	}
	return joinSort(joinLabels(out))
}

func (f *field) raise() {
	for _, r := range renamed {
		if f.name == r.v3 {
			f.rename(r.v4)
		}
	}
	if strings.HasPrefix(f.name, "X-") {
		return
	}
	if f.drop("TYPE", "pref") && f.get("PREF") == "" {
		f.add("PREF", "1")
	}
	f.utf8()
	if bytes.Contains(f.value, []byte(`\:`)) {
		f.set(bytes.ReplaceAll(f.value, []byte(`\:`), []byte(":")))
	}
	switch f.name {
	case "VERSION":
		f.set([]byte("4.0"))
	case "PHOTO", "LOGO", "SOUND", "KEY":
		f.raiseMedia()
	case "BDAY", "ANNIVERSARY", "REV":
		f.raiseDate()
	case "GEO":
		f.raiseGeo()
	case "TZ":
		f.raiseZone()
	case "AGENT":
		if strings.EqualFold(f.get("VALUE"), "uri") {
			f.rename("RELATED")
			f.drop("VALUE")
			f.add("TYPE", "agent")
		}
	}
}

// utf8 takes away the name of a character set: version 4 has but one.
func (f *field) utf8() {
	set := strings.ToUpper(f.get("CHARSET"))
	switch {
	case set == "":
		return
	case utf8.Valid(f.value):
	case set == "ISO-8859-1" || set == "LATIN1":
		var value []byte
		for _, c := range f.value {
			value = utf8.AppendRune(value, rune(c))
		}
		f.set(value)
	default:
		return
	}
	f.drop("CHARSET")
}

// joinLabels puts each LABEL to the address that it is of. One of no address
// stays.
func joinLabels(fields []field) []field {
	rest := make([]field, 0, len(fields))
	var labels []field
	for _, f := range fields {
		if f.name == "LABEL" && !bytes.Contains(f.value, []byte(`"`)) {
			labels = append(labels, f)
		} else {
			rest = append(rest, f)
		}
	}
	for _, l := range labels {
		at := slices.IndexFunc(rest, func(a field) bool {
			return a.name == "ADR" && a.get("LABEL") == "" && strings.EqualFold(a.group, l.group) && slices.Equal(a.types(), l.types())
		})
		if at < 0 {
			rest = append(rest, l)
			continue
		}
		rest[at].add("LABEL", string(labelParam(l.value)))
		rest[at].from = slices.Concat(rest[at].from, l.from)
	}
	return rest
}

// labelParam is a text as the value of a parameter, in which only the end of a
// line is written as in a text.
func labelParam(text []byte) []byte {
	return []byte(strings.NewReplacer(`\\`, `\\`, `\N`, `\n`, `\,`, ",", `\;`, ";").Replace(string(text)))
}

// joinSort puts the SORT-STRING to the name.
func joinSort(fields []field) []field {
	n := slices.IndexFunc(fields, func(f field) bool { return f.name == "N" && f.get("SORT-AS") == "" })
	s := slices.IndexFunc(fields, func(f field) bool {
		return f.name == "SORT-STRING" && f.group == "" && len(f.value) > 0 && bytes.IndexByte(f.value, '"') < 0
	})
	if n < 0 || s < 0 {
		return fields
	}
	fields[n].add("SORT-AS", string(unescape(fields[s].value)))
	fields[n].from = slices.Concat(fields[n].from, fields[s].from)
	return slices.Delete(fields, s, s+1)
}
