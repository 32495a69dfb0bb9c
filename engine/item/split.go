package item

import (
	"bytes"
	"errors"
	"fmt"
)

// Split takes a text of many items apart: for each UID a text with its
// components and the time zones that they name, and each card for itself. A
// component without a UID is an item of its own. Of what describes the calendar
// only VERSION, PRODID and CALSCALE are kept; all that is kept keeps its bytes.
//
// It fails where components do not nest. A line that makes no sense inside a
// component concerns that item alone.
func Split(text []byte) ([][]byte, error) {
	root, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot split the text: %w", err)
	}
	s := splitter{byUID: map[string]int{}, zones: map[string][]byte{}}
	for n := range root.Children {
		if n.Name == "VCALENDAR" {
			s.calendar(n)
		} else {
			s.pieces = append(s.pieces, piece{parts: [][]byte{n.Raw}})
		}
	}
	return s.texts(len(text))
}

// mostGrowth is how many times longer the items together may be than the text,
// since each of them has its own copy of its zones.
const mostGrowth = 64

var errGrowth = errors.New("cannot split the text: its items share time zones that are too large to go with each of them")

// A piece becomes one item.
type piece struct {
	calendar *wrapper // what it is wrapped in; nil for a card
	parts    [][]byte // its components
	zones    []string // the TZIDs that it names, in order, maybe twice
}

// A wrapper is how every item of one calendar begins and ends.
type wrapper struct{ head, end []byte }

type splitter struct {
	pieces []piece
	byUID  map[string]int    // where in pieces
	zones  map[string][]byte // the first VTIMEZONE of each TZID
}

func (s *splitter) calendar(calendar *Node) {
	wrap := &wrapper{appendHeader(nil, calendar), calendar.End}
	for n := range calendar.Children {
		if n.Name == "VTIMEZONE" {
			if id := n.Value("TZID"); s.zones[id] == nil {
				s.zones[id] = n.Raw
			}
			continue
		}
		uid := string(unescape([]byte(n.Value("UID"))))
		at, known := s.byUID[uid]
		if !known || uid == "" {
			at = len(s.pieces)
			s.byUID[uid] = at
			s.pieces = append(s.pieces, piece{calendar: wrap})
		}
		p := &s.pieces[at]
		p.parts = append(p.parts, n.Raw)
		p.zones = append(p.zones, n.NamedZones()...)
	}
}

// Value is the first value of a property; "" if there is none.
func (n *Node) Value(name string) string {
	for p := range n.Lines {
		if p.is(name) {
			return string(bytes.TrimSpace(p.Value))
		}
	}
	return ""
}

// NamedZones are the TZIDs that a component and those in it name.
func (n *Node) NamedZones() (ids []string) {
	for todo := []*Node{n}; len(todo) > 0; {
		top := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for p := range top.Lines {
			for _, q := range p.Params {
				if foldEqual(q.Name, "TZID") {
					ids = append(ids, string(q.Value))
				}
			}
		}
		for c := range top.Children {
			todo = append(todo, c)
		}
	}
	return ids
}

func (s *splitter) texts(size int) ([][]byte, error) {
	texts := make([][]byte, 0, len(s.pieces))
	room := mostGrowth * (size + 1024)
	for _, p := range s.pieces {
		t := s.text(p)
		if room -= len(t); room < 0 {
			return nil, errGrowth
		}
		texts = append(texts, t)
	}
	return texts, nil
}

func (s *splitter) text(p piece) []byte {
	if p.calendar == nil {
		return endLine(bytes.TrimPrefix(bytes.Clone(p.parts[0]), []byte("\xef\xbb\xbf")))
	}
	out := bytes.Clone(p.calendar.head)
	written := map[string]bool{}
	for _, id := range p.zones {
		if zone := s.zones[id]; zone != nil && !written[id] {
			written[id] = true
			out = append(endLine(out), zone...)
		}
	}
	for _, part := range p.parts {
		out = append(endLine(out), part...)
	}
	return endLine(append(endLine(out), p.calendar.end...))
}

func appendHeader(out []byte, calendar *Node) []byte {
	out = append(out, bytes.TrimPrefix(calendar.Begin, []byte("\xef\xbb\xbf"))...)
	for p := range calendar.Lines {
		if p.is("VERSION") || p.is("PRODID") || p.is("CALSCALE") {
			out = append(endLine(out), p.Raw...)
		}
	}
	return out
}

// Join puts items back into one text: calendars into one, with each time zone
// once, or cards one after the other. A zone that items define in different ways
// stays in it in all of them.
func Join(items [][]byte) ([]byte, error) {
	var first *Node
	var cards, zones, parts []byte
	known := map[string]bool{}
	for i, text := range items {
		root, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("cannot join item %d: %w", i+1, err)
		}
		for n := range root.Children {
			if n.Name != "VCALENDAR" {
				cards = append(endLine(cards), bytes.TrimPrefix(n.Raw, []byte("\xef\xbb\xbf"))...)
				continue
			}
			if first == nil {
				first = n
			}
			for c := range n.Children {
				if c.Name != "VTIMEZONE" {
					parts = append(endLine(parts), c.Raw...)
				} else if sum := Sum(c.Raw); !known[string(sum[:])] {
					known[string(sum[:])] = true
					zones = append(endLine(zones), c.Raw...)
				}
			}
		}
	}
	if first == nil {
		return endLine(cards), nil
	}
	out := append(endLine(appendHeader(nil, first)), endLine(zones)...)
	out = append(append(out, endLine(parts)...), first.End...)
	return append(endLine(out), endLine(cards)...), nil
}
