package item

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"davbus.org/davbus/engine"
)

// Sum digests what a text says. It does not see how it is folded, the case of
// names, the quotes around parameters, nor the order of properties, parameters,
// parts of a rule, and components; nor PRODID, METHOD and the time stamps that
// programs renew without having changed anything. Everything else counts, in the
// component where it stands. A text that is not well formed has the sum of its
// lines. See the package about time zones.
//
// Its cost grows with the length of the text; nothing that it is given stops it.
func Sum(text []byte) engine.Sum {
	d := digestOf(text)
	return d.sum()
}

// Same tells whether two texts are the same item: a time zone counts only if
// both carry it. It is not transitive; see Settle.
func Same(a, b []byte) bool {
	x, y := digestOf(a), digestOf(b)
	return x.same(&y)
}

// A digest is a text's sum in two parts, since time zones have a rule of their own.
type digest struct {
	body  engine.Sum
	zones []zone // by id, each once
}

// A zone is the sum of the VTIMEZONE with one TZID.
type zone struct {
	id  string
	sum engine.Sum
}

func (d *digest) sum() engine.Sum {
	buf := append(make([]byte, 0, 256), SumVersion)
	buf = append(buf, d.body[:]...)
	for _, z := range d.zones {
		buf = appendBytes(buf, []byte(z.id))
		buf = append(buf, z.sum[:]...)
	}
	return sha256.Sum256(buf)
}

func (d *digest) same(e *digest) bool {
	if d.body != e.body {
		return false
	}
	for _, z := range d.zones {
		if i, found := e.find(z.id); found && e.zones[i].sum != z.sum {
			return false
		}
	}
	return true
}

func (d *digest) find(id string) (int, bool) {
	return slices.BinarySearchFunc(d.zones, id, func(z zone, id string) int { return compareStrings(z.id, id) })
}

func compareStrings(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }

func digestOf(text []byte) digest {
	d := digester{lines: scan(text)}
	for d.lines.advance() {
		if !d.take(d.lines.text) {
			return digest{body: sumOfLines(text)}
		}
	}
	if len(d.open) > 0 || len(d.sums) == 0 {
		return digest{body: sumOfLines(text)}
	}
	return d.finish()
}

// sumOfLines is for a text that is not well formed. Only its line ends, which
// change on the way through XML, and empty lines do not count.
func sumOfLines(text []byte) engine.Sum {
	buf := make([]byte, 1, len(text)+2)
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			buf = append(append(buf, line...), '\n')
		}
	}
	return sha256.Sum256(buf)
}

// A digester digests components from the inside out. What belongs to open
// components lies in stacks, the innermost on top, so depth costs only memory.
type digester struct {
	lines  *lines
	open   []component
	props  []span       // properties of open components
	arena  []byte       // where props lie, and the names of open components
	sums   []engine.Sum // of closed components within open ones
	zones  []zone
	card   bool
	params []Param
	buf    []byte
}

type component struct {
	arena, props, sums int // where its part of the stacks begins
	name               span
	zone               bool
	tzid               string
}

type span struct{ start, end int }

// take digests one line and tells whether it made sense.
func (d *digester) take(line []byte) bool {
	p, ok := parse(line, d.params)
	if !ok {
		return false
	}
	d.params = p.Params
	switch {
	case foldEqual(p.Name, "BEGIN"):
		d.begin(bytes.TrimSpace(p.Value))
		return true
	case len(d.open) == 0:
		return false
	case foldEqual(p.Name, "END"):
		return d.end(bytes.TrimSpace(p.Value))
	}
	d.property(&p)
	return true
}

func (d *digester) begin(name []byte) {
	c := component{arena: len(d.arena), props: len(d.props), sums: len(d.sums)}
	d.arena = appendUpper(d.arena, name)
	c.name = span{c.arena, len(d.arena)}
	if len(d.open) == 0 {
		d.card = string(d.at(c.name)) == "VCARD"
	}
	c.zone = len(d.open) == 1 && string(d.at(c.name)) == "VTIMEZONE"
	d.open = append(d.open, c)
}

func (d *digester) at(s span) []byte { return d.arena[s.start:s.end] }

func (d *digester) property(p *Property) {
	if volatile(p, d.card) {
		return
	}
	if c := &d.open[len(d.open)-1]; c.zone && p.is("TZID") {
		c.tzid = string(bytes.TrimSpace(p.Value))
	}
	start := len(d.arena)
	d.arena = appendCanonical(d.arena, p)
	d.props = append(d.props, span{start, len(d.arena)})
}

// end closes the innermost component, which must have that name.
func (d *digester) end(name []byte) bool {
	c := d.open[len(d.open)-1]
	if !foldEqual(name, string(d.at(c.name))) {
		return false
	}
	d.open = d.open[:len(d.open)-1]
	sum := d.sumOf(c)
	d.arena, d.props, d.sums = d.arena[:c.arena], d.props[:c.props], d.sums[:c.sums]
	if c.zone {
		d.zones = append(d.zones, zone{c.tzid, sum})
	} else {
		d.sums = append(d.sums, sum)
	}
	return true
}

func (d *digester) sumOf(c component) engine.Sum {
	props, sums := d.props[c.props:], d.sums[c.sums:]
	slices.SortFunc(props, func(a, b span) int { return bytes.Compare(d.at(a), d.at(b)) })
	buf := appendBytes(append(d.buf[:0], 'c'), d.at(c.name))
	buf = binary.AppendUvarint(buf, uint64(len(props)))
	for _, p := range props {
		buf = appendBytes(buf, d.at(p))
	}
	d.buf = appendSums(buf, sums)
	return sha256.Sum256(d.buf)
}

// finish puts together the outermost components, of which there may be several,
// and the zones.
func (d *digester) finish() digest {
	body := sha256.Sum256(appendSums([]byte{'t'}, d.sums))
	slices.SortFunc(d.zones, func(a, b zone) int {
		if c := compareStrings(a.id, b.id); c != 0 {
			return c
		}
		return bytes.Compare(a.sum[:], b.sum[:])
	})
	zones := d.zones[:0]
	for _, z := range d.zones {
		last := len(zones) - 1
		if last >= 0 && zones[last].id == z.id {
			zones[last].sum = sha256.Sum256(appendSums([]byte{'z'}, []engine.Sum{zones[last].sum, z.sum}))
			continue
		}
		zones = append(zones, z)
	}
	return digest{body, zones}
}

func appendSums(buf []byte, sums []engine.Sum) []byte {
	slices.SortFunc(sums, func(a, b engine.Sum) int { return bytes.Compare(a[:], b[:]) })
	for _, s := range sums {
		buf = append(buf, s[:]...)
	}
	return buf
}

func appendBytes(buf, s []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// volatile tells whether programs renew or add a property without anything
// having changed.
func volatile(p *Property, card bool) bool {
	switch {
	case p.is("PRODID"), p.is("METHOD"), p.is("X-WR-CALNAME"), p.is("X-RADICALE-NAME"):
		return true
	case card:
		return p.is("REV")
	}
	return p.is("DTSTAMP") || p.is("LAST-MODIFIED") || p.is("CREATED")
}

// appendCanonical writes a property so that two that say the same are the same
// bytes, and no others.
func appendCanonical(dst []byte, p *Property) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.Name)))
	dst = appendUpper(dst, p.Name)
	dst = binary.AppendUvarint(dst, uint64(len(p.Params)))
	sortParams(p.Params)
	for _, q := range p.Params {
		dst = binary.AppendUvarint(dst, uint64(len(q.Name)))
		dst = appendUpper(dst, q.Name)
		if q.Bare {
			dst = append(dst, 'b')
		} else {
			dst = append(dst, '=')
		}
		dst = appendBytes(dst, q.Value)
	}
	if p.is("RRULE") || p.is("EXRULE") {
		parts := bytes.Split(p.Value, []byte(";"))
		slices.SortFunc(parts, bytes.Compare)
		return append(dst, bytes.Join(parts, []byte(";"))...)
	}
	return append(dst, p.Value...)
}
