package item

import (
	"bytes"
	"cmp"
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

// Bare is a sum of a text without its UID, and without its time zones, which a
// server may add or drop: by it items are found that may be the same.
func Bare(text []byte) engine.Sum {
	return digestOf(WithUID(text, "-")).body
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
	return slices.BinarySearchFunc(d.zones, id, func(z zone, id string) int { return cmp.Compare(z.id, id) })
}

func digestOf(text []byte) digest {
	// What is needed for an item of usual size is there from the start.
	d := digester{reader: read(text), comps: make([]component, 0, 4), props: make([]span, 0, 64),
		sums: make([]engine.Sum, 0, 8), arena: make([]byte, 0, 2*len(text)+256)}
	d.open, d.names, d.Params = make([]span, 0, 4), make([]byte, 0, 64), make([]Param, 0, 16)
	for {
		switch d.step() {
		case begin:
			d.comps = append(d.comps, component{arena: len(d.arena), props: len(d.props), sums: len(d.sums)})
		case property:
			d.add()
		case end:
			d.close()
		case garbage:
			return digest{body: sumOfLines(text)}
		case stop:
			if d.reason != "" {
				return digest{body: sumOfLines(text)}
			}
			return d.finish()
		}
	}
}

// sumOfLines is for a text that is not well formed. Only its line ends, which
// change on the way through XML, and empty lines do not count.
func sumOfLines(text []byte) engine.Sum {
	buf := append(make([]byte, 0, len(text)+2), 'l')
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			buf = append(append(buf, line...), '\n')
		}
	}
	return sha256.Sum256(buf)
}

// A digester digests components from the inside out. What belongs to open
// components lies in stacks, the innermost on top.
type digester struct {
	reader
	comps []component
	props []span // properties of open components, in arena
	arena []byte
	sums  []engine.Sum // of closed components within open ones
	zones []zone
}

// A component is an open one: where its part of each stack begins.
type component struct {
	arena, props, sums int
	tzid               string
}

func (d *digester) add() {
	name := d.base()
	if volatile(name, d.inCard()) {
		return
	}
	if d.inZone() && foldEqual(name, "TZID") {
		d.comps[len(d.comps)-1].tzid = string(bytes.TrimSpace(d.Value))
	}
	start := len(d.arena)
	d.arena = append(d.arena, 0, 0, 0, 0, 0, 0, 0, 0)
	d.arena = appendCanonical(d.arena, &d.Property)
	binary.BigEndian.PutUint64(d.arena[start:], uint64(len(d.arena)-start))
	d.props = append(d.props, span{start, len(d.arena)})
}

// at is a property with its length in front, so that it is known where it ends.
func (d *digester) at(s span) []byte { return d.arena[s.start:s.end] }

func (d *digester) close() {
	c := d.comps[len(d.comps)-1]
	sum := d.sumOf(c)
	d.comps = d.comps[:len(d.comps)-1]
	d.arena, d.props, d.sums = d.arena[:c.arena], d.props[:c.props], d.sums[:c.sums]
	if d.inZone() {
		d.zones = append(d.zones, zone{c.tzid, sum})
	} else {
		d.sums = append(d.sums, sum)
	}
}

func (d *digester) sumOf(c component) engine.Sum {
	props, sums := d.props[c.props:], d.sums[c.sums:]
	slices.SortFunc(props, func(a, b span) int { return bytes.Compare(d.at(a), d.at(b)) })
	sortSums(sums)
	head := len(d.arena)
	d.arena = appendBytes(append(d.arena, 'c'), d.name())
	d.arena = binary.AppendUvarint(d.arena, uint64(len(props)))
	for _, p := range props {
		d.arena = append(d.arena, d.at(p)...)
	}
	for i := range sums {
		d.arena = append(d.arena, sums[i][:]...)
	}
	return sha256.Sum256(d.arena[head:])
}

// finish puts together the outermost components, of which there may be several,
// and the zones.
func (d *digester) finish() digest {
	sortSums(d.sums)
	all := []byte{'t'}
	for i := range d.sums {
		all = append(all, d.sums[i][:]...)
	}
	slices.SortFunc(d.zones, func(a, b zone) int {
		return cmp.Or(cmp.Compare(a.id, b.id), bytes.Compare(a.sum[:], b.sum[:]))
	})
	var zones []zone
	for _, z := range d.zones {
		if last := len(zones) - 1; last >= 0 && zones[last].id == z.id {
			zones[last].sum = sha256.Sum256(append(append([]byte{'z'}, zones[last].sum[:]...), z.sum[:]...))
		} else {
			zones = append(zones, z)
		}
	}
	return digest{sha256.Sum256(all), zones}
}

func sortSums(sums []engine.Sum) {
	slices.SortFunc(sums, func(a, b engine.Sum) int { return bytes.Compare(a[:], b[:]) })
}

func appendBytes(buf, s []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}
