package group

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A Line is one item as a line of JSON, for bulk data.
type Line struct {
	Item    string `json:"item,omitempty"`
	Text    string `json:"text,omitempty"`
	Base64  string `json:"base64,omitempty"` // of a text that is not UTF-8
	Deleted bool   `json:"deleted,omitempty"`
}

// LineOf makes a line of an item.
func LineOf(it engine.Item) Line {
	l := Line{Item: string(it.Ref)}
	if utf8.Valid(it.Text) {
		l.Text = string(it.Text)
	} else {
		l.Base64 = base64.StdEncoding.EncodeToString(it.Text)
	}
	return l
}

// An Incoming item is one that comes from outside.
type Incoming struct {
	Where   string // for people: "item 3", "line 3"
	Name    string // that it had where it comes from; may be ""
	Text    []byte
	Info    item.Info
	Deleted bool // it is gone where it comes from; it has a Name and no Text

	bare engine.Sum // of the text without the UID that it was given here
}

// ReadBatch takes bulk data apart: concatenated calendars and cards, or lines of
// JSON. Data that is not whole is an error: what is missing from it would be
// missing for ever. What is wrong with one item is that item's own affair.
func ReadBatch(data []byte) ([]Incoming, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if start := bytes.TrimSpace(data); len(start) > 0 && start[0] == '{' {
		return readLines(data)
	}
	if bytes.HasSuffix(data, []byte("\r")) {
		data = append(bytes.Clone(data), '\n') // the last byte alone is missing, and it says nothing
	}
	texts, err := item.Split(data)
	if err != nil {
		return nil, fmt.Errorf("it is cut off, or neither iCalendar, nor vCard, nor lines of JSON: %w", err)
	}
	out := make([]Incoming, 0, len(texts))
	for i, text := range texts {
		out = append(out, incoming(fmt.Sprintf("item %d", i+1), "", text))
	}
	return out, nil
}

func readLines(data []byte) ([]Incoming, error) {
	var out []Incoming
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		if data = rest; len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var l Line
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("line %d is cut off or no JSON: %w", n, err)
		}
		in, err := l.incoming(n)
		if err != nil {
			return nil, err
		}
		if in != nil {
			out = append(out, *in)
		}
	}
	return out, nil
}

var errNoItem = errors.New("a line has \"text\" or \"base64\", or \"item\" and \"deleted\"")

// incoming reads one line; nil for one that tells something else than an item,
// as the last line of an export does.
func (l Line) incoming(n int) (*Incoming, error) {
	where := fmt.Sprintf("line %d", n)
	text := []byte(l.Text)
	if l.Base64 != "" {
		var err error
		if text, err = base64.StdEncoding.DecodeString(l.Base64); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	}
	switch {
	case l.Deleted && l.Item != "" && len(text) == 0:
		return &Incoming{Where: where, Name: l.Item, Deleted: true}, nil
	case l.Deleted, len(text) == 0 && l.Item != "":
		return nil, fmt.Errorf("%s: %w", where, errNoItem)
	case len(text) == 0:
		return nil, nil
	}
	in := incoming(where, l.Item, text)
	return &in, nil
}

// incoming looks at a text. One without a UID gets one that is made of what it
// says, so that the same one imported twice is one item.
func incoming(where, name string, text []byte) Incoming {
	text = item.CRLF(text)
	in := Incoming{Where: where, Name: name, Text: text, Info: item.Read(text)}
	if in.Info.UID == "" && in.Info.Parsed && !in.Info.Many && in.Info.Kind != "" {
		sum := item.Sum(text)
		in.Text = item.WithUID(text, engine.UID(hex.EncodeToString(sum[:16])))
		in.Info, in.bare = item.Read(in.Text), sum
	}
	return in
}

// Of tells for people which item it is.
func (in Incoming) Of() string {
	switch {
	case in.Name != "":
		return in.Where + " (" + in.Name + ")"
	case in.Info.UID != "":
		return in.Where + " (" + string(in.Info.UID) + ")"
	}
	return in.Where
}
