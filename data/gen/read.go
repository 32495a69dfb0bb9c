package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A document is one interface.
type document struct {
	name, short string // short says in one line what it is
	about       comment
	catalogue   string // of errors; in one document only
	properties  []member
	methods     []member
	signals     []member
}

// A member is a property, method or signal.
type member struct {
	name, typ, access, announced string
	in, out                      []argument
	about                        comment
}

type argument struct{ name, typ string }

// A comment is what stands above a member.
type comment struct {
	of         string
	args       map[string]string // by name, what each means
	paragraphs []string
	errors     []string
}

// read takes a document apart. Everything must have its comment, and every
// argument its words.
func read(raw []byte) (document, error) {
	var d document
	var last string // the comment that no element has had yet
	var m *member
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, err
		}
		switch t := token.(type) {
		case xml.Comment:
			if last = string(t); strings.Contains(last, "ERROR NAMES") {
				d.catalogue = last
			}
		case xml.StartElement:
			if m, err = d.element(t, m, last); err != nil {
				return d, err
			}
		}
	}
	if d.name == "" {
		return d, errors.New("there is no interface in it")
	}
	for _, m := range d.methods {
		if len(m.about.errors) == 0 && !strings.Contains(strings.ToLower(strings.Join(m.about.paragraphs, " ")), "error reply") {
			return d, fmt.Errorf("%s: its comment does not say which errors it answers, or what becomes of an error reply", m.name)
		}
	}
	for _, m := range slices.Concat(d.properties, d.methods, d.signals) {
		if err := m.complete(); err != nil {
			return d, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return d, nil
}

// element takes what begins, in the member m or outside, and gives the member
// that what follows belongs to.
func (d *document) element(t xml.StartElement, m *member, last string) (*member, error) {
	at := map[string]string{}
	for _, a := range t.Attr {
		at[a.Name.Local] = a.Value
	}
	next := member{name: at["name"], typ: at["type"], access: at["access"], announced: "true", about: readComment(last)}
	switch t.Name.Local {
	case "interface":
		d.name, d.about = at["name"], next.about
		d.short = d.about.args["short_description"]
		if d.about.of != d.name || d.short == "" {
			return nil, errors.New("the interface has no comment of its own with a short description")
		}
	case "property":
		return into(&d.properties, next), nil
	case "method":
		return into(&d.methods, next), nil
	case "signal":
		return into(&d.signals, next), nil
	case "arg":
		if a := (argument{at["name"], at["type"]}); at["direction"] == "in" {
			m.in = append(m.in, a)
		} else {
			m.out = append(m.out, a)
		}
	case "annotation":
		if m != nil && at["name"] == "org.freedesktop.DBus.Property.EmitsChangedSignal" {
			m.announced = at["value"]
		}
	}
	return m, nil
}

func into(list *[]member, m member) *member {
	*list = append(*list, m)
	return &(*list)[len(*list)-1]
}

// complete finds what a comment leaves out, or says of nothing that is there.
func (m member) complete() error {
	if m.about.of != m.name {
		return errors.New("it has no comment of its own")
	}
	if len(m.about.paragraphs) == 0 {
		return errors.New("its comment says nothing")
	}
	left := len(m.about.args)
	for _, a := range slices.Concat(m.in, m.out) {
		if m.about.args[a.name] == "" {
			return fmt.Errorf("its comment does not say what %q is", a.name)
		}
		left--
	}
	if left > 0 {
		return errors.New("its comment explains an argument that it does not have")
	}
	return nil
}

// readComment takes apart "Name:", the lines "@argument: words", paragraphs and
// "Errors: names.".
func readComment(text string) comment {
	c := comment{args: map[string]string{}}
	into := ""
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		if i == 0 {
			c.of = strings.TrimSuffix(strings.TrimSpace(lines[0]), ":")
			for _, line := range lines[1:] {
				line = strings.TrimSpace(line)
				if name, words, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "@") {
					into, line = name[1:], words
				}
				c.args[into] = strings.TrimSpace(c.args[into] + " " + line)
			}
			continue
		}
		joined := strings.Join(strings.Fields(block), " ")
		if names, ok := strings.CutPrefix(joined, "Errors: "); ok {
			c.errors = strings.Split(strings.TrimSuffix(names, "."), ", ")
			continue
		}
		c.paragraphs = append(c.paragraphs, joined)
	}
	return c
}
