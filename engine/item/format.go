package item

import (
	"bytes"
	"slices"

	"davbus.org/davbus/engine"
)

// Format tells in which of the formats that As knows a text is: engine.VCard3 or
// engine.VCard4; "" for any other.
func Format(text []byte) string {
	for r := read(text); ; {
		switch step := r.step(); {
		case step == stop:
			return ""
		case step != property || !r.inItem() || !r.is("VERSION"):
		case !r.inCard():
			return ""
		case string(bytes.TrimSpace(r.Value)) == "3.0":
			return engine.VCard3
		case string(bytes.TrimSpace(r.Value)) == "4.0":
			return engine.VCard4
		default:
			return ""
		}
	}
}

// Fit is the format in which a text goes to a member that takes these formats:
// its own where that is taken, or where nothing better is known. nil takes all.
func Fit(formats []string, text []byte) string {
	own := Format(text)
	if own == "" || formats == nil || slices.Contains(formats, own) {
		return own
	}
	for _, other := range []string{engine.VCard4, engine.VCard3} {
		if slices.Contains(formats, other) {
			return other
		}
	}
	return own
}

// As says a card in another version of vCard. Like is a text of that version
// that the card may have come from, or nil. Where both say the same, the line
// stands as it does in like; and what the card's own version cannot say at all
// is there if it is in like. So what is lost on the way into a poorer version
// is there again on the way back, and every line that nobody touched keeps its
// bytes. A text that is no card of a known version stays as it is.
func As(text []byte, format string, like []byte) []byte {
	c, ok := cardOf(text)
	if !ok || c.format == format || format != engine.VCard3 && format != engine.VCard4 {
		return text
	}
	out := c.to(format)
	if l, ok := cardOf(like); ok && l.format == format {
		out = out.like(l, c.format)
	}
	return out.render()
}

// Alike tells whether a text says what a known one does, as far as its version
// can: then nothing was changed in it. Texts of one version are alike if they are
// the same.
func Alike(text, known []byte) bool {
	from, to := Format(text), Format(known)
	if from == to || from == "" || to == "" {
		return Same(text, known)
	}
	if from == engine.VCard4 {
		// Of what the known text cannot say, it knows nothing.
		c, ok := cardOf(text)
		if !ok || slices.ContainsFunc(c.unsaid(to), func(i int) bool { return !c.fields[i].nobody() }) {
			return false
		}
	}
	return Same(As(text, to, known), known)
}

// unsaid are the fields of a card that another version cannot say.
func (c card) unsaid(format string) (lost []int) {
	said := map[int]bool{}
	for _, f := range c.to(format).to(c.format).fields {
		for _, i := range f.from {
			said[i] = true
		}
	}
	for i := range c.fields {
		if !said[i] {
			lost = append(lost, i)
		}
	}
	return lost
}

// only are the properties of which a card has one, but for its other languages.
var only = []string{"N", "BDAY", "ANNIVERSARY", "GENDER", "KIND", "UID", "REV", "PRODID"}

// like writes a card, which was of another version, in the lines of l: in those
// that say the same, and with those that the other version cannot say.
func (c card) like(l card, other string) card {
	waiting := map[string][]int{} // lines of l, by what they say once they went there and back
	for _, f := range l.to(other).to(l.format).fields {
		line := -1 // what l does without
		if len(f.from) > 0 {
			line = f.from[0]
		}
		waiting[f.key()] = append(waiting[f.key()], line)
	}
	stays := map[int]bool{}
	var news []field
	for _, f := range c.fields {
		if key := f.key(); len(waiting[key]) > 0 {
			stays[waiting[key][0]], waiting[key] = true, waiting[key][1:]
		} else {
			news = append(news, f)
		}
	}
	for _, i := range l.unsaid(other) {
		f := &l.fields[i]
		stays[i] = f.get("ALTID") != "" || !slices.Contains(only, f.name) || named(news, f.name) == nil
	}
	out := card{format: l.format, node: l.node, eol: l.eol}
	for i, f := range l.fields {
		if stays[i] {
			f.raw = l.node.Parts[i].Raw
			out.fields = append(out.fields, f)
		} else if at := slices.IndexFunc(news, func(n field) bool { return n.name == f.name && n.group == f.group }); at >= 0 {
			news[at].inherit(&f)
			out.fields = append(out.fields, news[at])
			news = slices.Delete(news, at, at+1)
		}
	}
	out.fields = append(out.fields, news...)
	return out
}

// inherit gives a changed field what the other version could not say of the one
// that it was, but for what was said of the old value.
func (f *field) inherit(was *field) {
	for _, name := range []string{"ALTID", "PID", "PREF", "INDEX", "LEVEL"} {
		if value := was.get(name); value != "" && f.get(name) == "" && (name != "PREF" || value != "1") {
			f.add(name, value)
		}
	}
}
