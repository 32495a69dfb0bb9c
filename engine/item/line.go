package item

import "bytes"

// lines walks over the content lines of a text. The raw parts that it yields,
// put together, are the text again: empty lines go with the line before them,
// and at the start of a text with the line behind them.
type lines struct {
	raw  []byte // everything that belongs to the line
	body span   // the line in raw: folds and line end, no empty lines
	text []byte // unfolded, without the line end; valid until the next advance
	num  int    // its number, from 1

	rest []byte
	next int    // number of the first physical line of rest
	join []byte // where folded lines are put together, used again for each
}

// A span is a part of a buffer.
type span struct{ start, end int }

// advance moves to the next line that is not empty.
func (s *lines) advance() bool {
	start := s.rest
	for len(s.rest) > 0 {
		lead := len(start) - len(s.rest)
		s.next++
		s.num = s.next
		first := s.physical()
		if s.num == 1 {
			first = bytes.TrimPrefix(first, []byte("\xef\xbb\xbf"))
		}
		s.text = s.unfold(first)
		if len(s.text) > 0 {
			s.body = span{lead, len(start) - len(s.rest)}
			s.skipEmpty()
			s.raw = start[:len(start)-len(s.rest)]
			return true
		}
	}
	s.raw = start // of a text without any line
	return false
}

// physical cuts the first physical line off the rest, without its line end.
func (s *lines) physical() []byte {
	line := s.rest
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line, s.rest = line[:end], line[end+1:]
	} else {
		s.rest = nil
	}
	return bytes.TrimRight(line, "\r")
}

// unfold puts the physical lines that continue first behind it.
func (s *lines) unfold(first []byte) []byte {
	if !s.folded() && !softBreak(first) {
		return first
	}
	if s.join == nil {
		s.join = make([]byte, 0, min(len(first)+len(s.rest), 64<<10))
	}
	s.join = append(s.join[:0], first...)
	soft := false
	for len(s.rest) > 0 {
		switch {
		case s.folded():
			s.join = append(s.join, s.physical()[1:]...)
		case soft && bytes.HasSuffix(s.join, []byte("=")), softBreak(s.join):
			soft = true
			s.join = append(s.join[:len(s.join)-1], s.physical()...)
		default:
			return s.join
		}
		s.next++
	}
	return s.join
}

func (s *lines) folded() bool {
	return len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t')
}

// softBreak tells a line that goes on in the next, behind its last "=": one of
// vCard 2.1 in quoted-printable.
func softBreak(line []byte) bool {
	if !bytes.HasSuffix(line, []byte("=")) {
		return false
	}
	head, _, _ := bytes.Cut(line, []byte(":"))
	return bytes.Contains(bytes.ToUpper(head), []byte("QUOTED-PRINTABLE"))
}

// skipEmpty takes the empty lines behind a line along with it.
func (s *lines) skipEmpty() {
	for {
		switch {
		case bytes.HasPrefix(s.rest, []byte("\n")):
			s.rest = s.rest[1:]
		case bytes.HasPrefix(s.rest, []byte("\r\n")):
			s.rest = s.rest[2:]
		default:
			return
		}
		s.next++
	}
}
