package item

import (
	"bytes"
	"encoding/binary"
	"slices"
)

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
// bytes, and no others. It sorts the parameters.
func appendCanonical(dst []byte, p *Property) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.Name)))
	dst = appendUpper(dst, p.Name)
	return appendContent(dst, p)
}

// appendContent is appendCanonical without the name.
func appendContent(dst []byte, p *Property) []byte {
	dst = appendHead(dst, p)
	if p.is("RRULE") || p.is("EXRULE") {
		parts := bytes.Split(p.Value, []byte(";"))
		slices.SortFunc(parts, bytes.Compare)
		return append(dst, bytes.Join(parts, []byte(";"))...)
	}
	return append(dst, p.Value...)
}

func appendHead(dst []byte, p *Property) []byte {
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
	return dst
}
