package tree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/godbus/dbus/v5"
)

// A spec is what the XML says of one interface.
type spec struct {
	name       string
	text       string // the XML element, without comments
	methods    map[string]*methodSpec
	properties map[string]*propertySpec
	signals    map[string]string // signature
}

type methodSpec struct {
	name, in, out string
}

type propertySpec struct {
	name, typ string
	writable  bool
	emits     string // of EmitsChangedSignal
	signature dbus.Signature
}

// takes tells whether a value is of the property's type. The common types are
// told apart without reflection, since a whole tree may have been asked for.
func (p *propertySpec) takes(v any) bool {
	switch v.(type) {
	case string:
		return p.typ == "s"
	case bool:
		return p.typ == "b"
	case uint32:
		return p.typ == "u"
	case uint64:
		return p.typ == "t"
	case dbus.ObjectPath:
		return p.typ == "o"
	}
	return dbus.SignatureOf(v).String() == p.typ
}

// readSpecs reads all XML files of a file system.
func readSpecs(files fs.FS) (map[string]*spec, error) {
	all := map[string]*spec{}
	err := fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".xml" {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		some, err := parseSpecs(text)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", name, err)
		}
		for _, s := range some {
			if all[s.name] != nil {
				return fmt.Errorf("cannot read %s: %s is described twice", name, s.name)
			}
			all[s.name] = s
		}
		return nil
	})
	return all, err
}

// An element is one XML element as far as it matters here.
type element struct {
	XMLName xml.Name
	Name    string    `xml:"name,attr"`
	Type    string    `xml:"type,attr"`
	Access  string    `xml:"access,attr"`
	Dir     string    `xml:"direction,attr"`
	Value   string    `xml:"value,attr"`
	Inner   []element `xml:",any"`
}

// parseSpecs finds the interfaces in one document.
func parseSpecs(text []byte) ([]*spec, error) {
	var all []*spec
	dec := xml.NewDecoder(bytes.NewReader(text))
	for {
		start := dec.InputOffset()
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		open, ok := token.(xml.StartElement)
		if !ok || open.Name.Local != "interface" {
			continue
		}
		if err := dec.Skip(); err != nil {
			return nil, err
		}
		raw := text[start:dec.InputOffset()]
		plain, err := withoutComments(raw)
		if err != nil {
			return nil, err
		}
		var e element
		if err := xml.Unmarshal(raw, &e); err != nil {
			return nil, err
		}
		s, err := newSpec(e)
		if err != nil {
			return nil, err
		}
		s.text = plain
		all = append(all, s)
	}
}

// withoutComments copies XML without its comments and without the blank lines
// that they leave.
func withoutComments(text []byte) (string, error) {
	var b strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(text))
	for {
		start := dec.InputOffset()
		token, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if _, comment := token.(xml.Comment); !comment {
			b.Write(text[start:dec.InputOffset()])
		}
	}
	var lines []string
	for line := range strings.SplitSeq(b.String(), "\n") {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimRight(line, " \t\r"))
		}
	}
	return "  " + strings.Join(lines, "\n") + "\n", nil
}

func newSpec(e element) (*spec, error) {
	s := &spec{name: e.Name, methods: map[string]*methodSpec{}, properties: map[string]*propertySpec{}, signals: map[string]string{}}
	for _, m := range e.Inner {
		in, out := m.signature()
		switch m.XMLName.Local {
		case "method":
			s.methods[m.Name] = &methodSpec{m.Name, in, out}
		case "signal":
			s.signals[m.Name] = in + out
		case "property":
			p := &propertySpec{name: m.Name, typ: m.Type, emits: "true"}
			var err error
			if p.signature, err = dbus.ParseSignature(m.Type); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", e.Name, m.Name, err)
			}
			switch m.Access {
			case "read":
			case "readwrite":
				p.writable = true
			default:
				return nil, fmt.Errorf("%s.%s: access %q is not supported", e.Name, m.Name, m.Access)
			}
			s.properties[m.Name] = p
			for _, a := range m.Inner {
				if a.Name == "org.freedesktop.DBus.Property.EmitsChangedSignal" {
					p.emits = a.Value
				}
			}
		}
	}
	return s, nil
}

// signature puts the types of the arguments together.
func (e element) signature() (in, out string) {
	for _, a := range e.Inner {
		switch {
		case a.XMLName.Local != "arg":
		case a.Dir == "out":
			out += a.Type
		default:
			in += a.Type
		}
	}
	return in, out
}
