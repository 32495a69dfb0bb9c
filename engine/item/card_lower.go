package item

import (
	"bytes"
	"slices"
	"strings"
)

// homeless are properties of vCard 4 that vCard 3 has no place for. They stay
// with those who hold version 4.
var homeless = []string{"LANG", "RELATED", "CLIENTPIDMAP", "XML"}

// strange are parameters of vCard 4 that vCard 3 has no place for.
var strange = []string{"ALTID", "PID", "PREF", "CALSCALE", "MEDIATYPE", "SORT-AS", "GEO", "TZ", "LABEL", "INDEX", "LEVEL"}

// lower says in vCard 3 what fields say in vCard 4, as far as it can.
func lower(in []field) []field {
	out := make([]field, 0, len(in)+2)
	fn, n := preferred(in, "FN"), preferred(in, "N")
	for i := range in {
		f := in[i]
		if f.name == "FN" && i != fn || f.name == "N" && i != n {
			continue // version 3 takes one
		}
		label, sort := f.get("LABEL"), f.all("SORT-AS")
		if !f.lower() {
			continue
		}
		out = append(out, f)
		switch {
		case f.name == "ADR" && label != "":
			out = append(out, f.made("LABEL", textOfParam(label)))
			for _, t := range f.types() {
				out[len(out)-1].add("TYPE", t)
			}
		case f.name == "N" && sort != "":
			out = append(out, f.made("SORT-STRING", appendEscaped(nil, []byte(sort))))
		}
	}
	if fn < 0 {
		out = append(out, fullName(in))
	}
	if n < 0 {
		out = append(out, field{name: "N", value: []byte(";;;;")})
	}
	return out
}

// preferred is which field of a name is the one to have where there can only be
// one: the preferred, or else the first. It is -1 if there is none.
func preferred(fields []field, name string) int {
	best := -1
	for i := range fields {
		if f := &fields[i]; f.name == name && (best < 0 || f.get("PREF") == "1" && fields[best].get("PREF") != "1") {
			best = i
		}
	}
	return best
}

// made is another field that is made of the last part of f.
func (f *field) made(name string, value []byte) field {
	m := field{group: f.group, name: name, value: value}
	if len(f.from) > 0 {
		m.from = f.from[len(f.from)-1:]
	}
	return m
}

// all are the values of a parameter, as a list.
func (f *field) all(name string) string {
	var values []string
	for _, p := range f.params {
		if foldEqual(p.Name, name) {
			values = append(values, string(p.Value))
		}
	}
	return strings.Join(values, ",")
}

// lower tells whether version 3 can say it at all.
func (f *field) lower() bool {
	for _, r := range renamed {
		if f.name == r.v4 {
			f.rename(r.v3)
		}
	}
	switch {
	case f.name == "RELATED" && slices.Equal(f.types(), []string{"agent"}) && bytes.Contains(f.value, []byte(":")):
		f.rename("AGENT")
		f.drop("TYPE")
		f.drop("VALUE")
		f.add("VALUE", "uri")
	case slices.Contains(homeless, f.name):
		return false
	case f.name == "X-ANNIVERSARY":
		return f.lowerDate()
	case strings.HasPrefix(f.name, "X-"):
		return true
	}
	media := f.get("MEDIATYPE")
	f.lowerParams()
	switch f.name {
	case "VERSION":
		f.set([]byte("3.0"))
	case "PHOTO", "LOGO", "SOUND", "KEY":
		f.lowerMedia(media)
	case "BDAY":
		return f.lowerDate()
	case "REV":
		f.lowerDate()
	case "GEO":
		return f.lowerGeo()
	case "TZ":
		f.lowerZone()
	case "TEL":
		if number, is := cutFold(f.value, "tel:"); is && strings.EqualFold(f.get("VALUE"), "uri") {
			f.drop("VALUE")
			f.set(appendEscaped(nil, number))
		}
	}
	return true
}

func (f *field) lowerParams() {
	pref := f.get("PREF") == "1"
	if !strings.HasPrefix(f.name, "X-") {
		for _, name := range strange {
			f.drop(name)
		}
	}
	for i := 0; i < len(f.params); i++ {
		if p := f.params[i]; foldEqual(p.Name, "TYPE") && bytes.IndexByte(p.Value, ',') >= 0 {
			var list []Param
			for t := range bytes.SplitSeq(p.Value, []byte(",")) {
				list = append(list, Param{Name: p.Name, Value: t})
			}
			f.params = slices.Replace(slices.Clone(f.params), i, i+1, list...)
			f.raw = nil
		}
	}
	if pref {
		f.add("TYPE", "pref")
	}
}

// textOfParam is what a parameter says, as a text.
func textOfParam(label string) []byte {
	plain := strings.NewReplacer("^n", "\n", "^'", `"`, "^^", "^", `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(label)
	return bytes.ReplaceAll(appendEscaped(nil, []byte(plain)), []byte("\n"), []byte(`\n`))
}

func cutFold(s []byte, prefix string) ([]byte, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(string(s[:len(prefix)]), prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
