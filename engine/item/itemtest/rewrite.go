package itemtest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
)

// Rewrite gives a well-formed text back as a server does that takes it apart and
// writes it anew: other folds, another order of properties and parameters, names
// in another case, no quotes where none are needed, new time stamps. What it
// says is the same.
func Rewrite(rng *rand.Rand, text []byte) []byte {
	r := rewriter{rng: rng, card: strings.HasPrefix(string(text), "BEGIN:VCARD")}
	r.block(unfold(text))
	return []byte(r.out.String())
}

// unfold gives the content lines of a text.
func unfold(text []byte) []string {
	var joined [][]byte
	for l := range bytes.Lines(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) {
		l = bytes.TrimRight(l, "\r\n")
		last := len(joined) - 1
		switch {
		case last >= 0 && len(l) > 0 && (l[0] == ' ' || l[0] == '\t'):
			joined[last] = append(joined[last], l[1:]...)
		case last >= 0 && softBreak(joined[last]):
			joined[last] = append(joined[last][:len(joined[last])-1], l...)
		case len(l) > 0:
			joined = append(joined, bytes.Clone(l))
		}
	}
	lines := make([]string, len(joined))
	for i, l := range joined {
		lines[i] = string(l)
	}
	return lines
}

type rewriter struct {
	rng  *rand.Rand
	card bool
	out  strings.Builder
}

// block writes lines and components in another order.
func (r *rewriter) block(lines []string) {
	var props, blocks [][]string
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(strings.ToUpper(lines[i]), "BEGIN:") {
			props = append(props, lines[i:i+1])
			continue
		}
		start, depth := i, 0
		for ; i < len(lines); i++ {
			switch upper := strings.ToUpper(lines[i]); {
			case strings.HasPrefix(upper, "BEGIN:"):
				depth++
			case strings.HasPrefix(upper, "END:"):
				depth--
			}
			if depth == 0 {
				break
			}
		}
		blocks = append(blocks, lines[start:min(i+1, len(lines))])
	}
	r.rng.Shuffle(len(props), func(i, j int) { props[i], props[j] = props[j], props[i] })
	r.rng.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	for _, p := range props {
		r.property(p[0])
	}
	for _, b := range blocks {
		r.fold(r.name(b[0]))
		if len(b) > 1 {
			r.block(b[1 : len(b)-1])
			r.fold(r.name(b[len(b)-1]))
		}
	}
}

func (r *rewriter) property(line string) {
	at := headEnd(line)
	if strings.Count(line[:at], `"`)%2 == 1 {
		r.fold(line) // a quote without an end: nobody knows what the parameters are
		return
	}
	parts := splitQuoted(line[:at], ';')
	switch name := strings.ToUpper(parts[0]); {
	case !r.card && name == "DTSTAMP", !r.card && name == "LAST-MODIFIED":
		r.fold(name + ":20270101T000000Z")
		return
	case name == "PRODID":
		return
	case name == "RRULE":
		rule := strings.Split(line[at+1:], ";")
		slices.Reverse(rule)
		r.fold(line[:at+1] + strings.Join(rule, ";"))
		return
	}
	params := parts[1:]
	for i, p := range params {
		name, value, named := strings.Cut(p, "=")
		if !named {
			continue
		}
		if bare := strings.Trim(value, `"`); len(bare) == len(value)-2 && !strings.ContainsAny(bare, ` ;:,"`) {
			value = bare
		}
		params[i] = r.name(name) + "=" + value
	}
	r.rng.Shuffle(len(params), func(i, j int) { params[i], params[j] = params[j], params[i] })
	r.fold(strings.Join(append([]string{r.name(parts[0])}, params...), ";") + line[at:])
}

// softBreak tells a line of vCard 2.1 that goes on in the next.
func softBreak(line []byte) bool {
	head, _, _ := bytes.Cut(line, []byte(":"))
	return bytes.HasSuffix(line, []byte("=")) && bytes.Contains(bytes.ToUpper(head), []byte("QUOTED-PRINTABLE"))
}

// headEnd is where the value of a line begins: at the first colon outside quotes.
func headEnd(line string) int {
	quoted := false
	for i, c := range []byte(line) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			return i
		}
	}
	return strings.IndexByte(line, ':')
}

func splitQuoted(s string, at byte) []string {
	var out []string
	quoted, start := false, 0
	for i, c := range []byte(s) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == at && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// name writes a name in some case.
func (r *rewriter) name(s string) string {
	name, rest, _ := strings.Cut(s, ":")
	switch r.rng.IntN(3) {
	case 0:
		name = strings.ToLower(name)
	case 1:
		name = strings.ToUpper(name)
	}
	if rest != "" {
		return name + ":" + rest
	}
	return name
}

// fold writes a line, folded where it pleases, also inside a character.
func (r *rewriter) fold(line string) {
	width := 20 + r.rng.IntN(80)
	for len(line) > width {
		r.out.WriteString(line[:width] + "\r\n" + [...]string{" ", "\t"}[r.rng.IntN(2)])
		line = line[width:]
	}
	r.out.WriteString(line + "\r\n")
}
