package item

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// volatile tells whether programs renew or add a property without anything
// having changed.
func volatile(name []byte, card bool) bool {
	switch len(name) {
	case 3:
		return card && foldEqual(name, "REV")
	case 6:
		return foldEqual(name, "PRODID") || foldEqual(name, "METHOD")
	case 7:
		return !card && (foldEqual(name, "DTSTAMP") || foldEqual(name, "CREATED"))
	case 12:
		return foldEqual(name, "X-WR-CALNAME")
	case 13:
		return !card && foldEqual(name, "LAST-MODIFIED")
	case 15:
		return foldEqual(name, "X-RADICALE-NAME")
	}
	return false
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
	switch {
	case p.is("RRULE"), p.is("EXRULE"):
		parts := bytes.FieldsFunc(p.Value, func(c rune) bool { return c == ';' })
		slices.SortFunc(parts, bytes.Compare)
		return append(dst, bytes.Join(parts, []byte(";"))...)
	case p.is("TRIGGER"), p.is("DURATION"):
		return appendDuration(dst, p.Value)
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
