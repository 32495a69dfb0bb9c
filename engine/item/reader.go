package item

import (
	"bytes"
	"fmt"
)

// A step is what one line does to the tree of components.
type step uint8

const (
	stop     step = iota // the text has ended
	begin                // a component begins
	end                  // the innermost component ends; it is still open to the caller
	property             // a property of the innermost component
	garbage              // a line that makes no sense where it stands
)

// A reader goes over a text line by line. After garbage it goes on as well as it
// can, so that even a broken text tells its UID. It uses no recursion: depth
// costs memory in proportion to the text and nothing else.
type reader struct {
	lines
	Property        // of a property, begin or end; valid until the next step
	open     []span // names of open components in names, the innermost last
	names    []byte
	ended    bool // the innermost component is to be closed at the next step
	whole    bool // a component was closed
	reason   string
}

func read(text []byte) reader { return reader{lines: lines{rest: text}} }

func (r *reader) step() step {
	if r.ended {
		top := r.open[len(r.open)-1]
		r.open, r.names = r.open[:len(r.open)-1], r.names[:top.start]
		r.ended = false
	}
	if !r.advance() {
		return r.stop()
	}
	p, ok := parse(r.text, r.Params)
	r.Property = p
	switch {
	case r.text[0] == ' ' || r.text[0] == '\t':
		r.Property = Property{Params: p.Params}
		return r.garbage("continues an empty line")
	case !ok:
		return r.garbage("has no name before a colon")
	}
	switch {
	case foldEqual(p.Name, "BEGIN"):
		start := len(r.names)
		r.names = appendUpper(r.names, bytes.TrimSpace(p.Value))
		r.open = append(r.open, span{start, len(r.names)})
		return begin
	case foldEqual(p.Name, "END"):
		return r.end()
	case len(r.open) == 0:
		return r.garbage("stands outside any component")
	}
	return property
}

func (r *reader) stop() step {
	switch {
	case r.reason != "":
	case len(r.open) > 0:
		r.reason = "the text ends inside " + r.show(r.name())
	case !r.whole:
		r.reason = "the text is empty"
	}
	return stop
}

func (r *reader) end() step {
	name := bytes.TrimSpace(r.Value)
	switch {
	case len(r.open) == 0:
		return r.garbage("ends " + r.show(name) + ", which has not begun")
	case !foldEqual(name, string(r.name())):
		return r.garbage("ends " + r.show(name) + " inside " + r.show(r.name()))
	}
	r.ended, r.whole = true, true
	return end
}

func (r *reader) garbage(why string) step {
	if r.reason == "" {
		r.reason = fmt.Sprintf("line %d %s", r.num, why)
	}
	return garbage
}

// show makes a name fit for a message.
func (r *reader) show(name []byte) string { return fmt.Sprintf("%.40q", string(name)) }

// name is the innermost open component's, in capitals.
func (r *reader) name() []byte { return r.nameAt(len(r.open) - 1) }

func (r *reader) nameAt(depth int) []byte { return r.names[r.open[depth].start:r.open[depth].end] }

// inCalendar tells whether the outermost component is a calendar.
func (r *reader) inCalendar() bool { return len(r.open) > 0 && string(r.nameAt(0)) == "VCALENDAR" }

// inCard tells whether the outermost component is a card.
func (r *reader) inCard() bool { return len(r.open) > 0 && string(r.nameAt(0)) == "VCARD" }

// inZone tells whether the innermost component is a time zone of a calendar.
func (r *reader) inZone() bool {
	return len(r.open) == 2 && r.inCalendar() && string(r.name()) == "VTIMEZONE"
}

// inItem tells whether the innermost component is one that an item is made of:
// within a calendar anything but a time zone, else the outermost.
func (r *reader) inItem() bool {
	if r.inCalendar() {
		return len(r.open) == 2 && !r.inZone()
	}
	return len(r.open) == 1
}
