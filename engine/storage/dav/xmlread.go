package dav

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// limits of one answer. Beyond them it is given up as a whole.
type limits struct {
	bytes int64 // decoded
	depth int
	nodes int // elements in one response
	attrs int // of one element
}

var defaultLimits = limits{bytes: 64 << 20, depth: 256, nodes: 10000, attrs: 256}

// A malformed is an answer that is not what it must be; nothing of it counts.
type malformed struct{ why string }

func (e *malformed) Error() string { return "the server's answer makes no sense: " + e.why }

// A tooLarge is an answer that was given up at the limit.
type tooLarge struct{ limit int64 }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("the server's answer is larger than %d bytes", e.limit)
}

func (e *tooLarge) BodyTooLarge() bool { return true }

// readMultistatus hands each response of a multistatus to a function, as it is
// read. Only a nil error says that the document was whole, to its end tag.
// The token is the sync-token of the document.
func readMultistatus(r io.Reader, lim limits, each func(*response) error) (token string, err error) {
	d, clean := newDecoder(r, lim)
	root, err := d.rootElement()
	if err != nil {
		return "", err
	}
	if root.Name.Local != "multistatus" {
		return "", &malformed{fmt.Sprintf("it is a document of type %.40q and not a multistatus", root.Name.Local)}
	}
	for {
		t, err := d.next()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			budget := lim.nodes
			n, err := d.element(t, 2, &budget)
			if err != nil {
				return "", err
			}
			switch n.name {
			case "response":
				r := asResponse(n)
				r.foreign = clean.foreign
				if err := each(r); err != nil {
					return "", err
				}
			case "sync-token":
				token = n.word()
			}
		case xml.EndElement:
			return token, d.finish()
		}
	}
}

// readError finds the precondition in the body of an error, if it has one.
func readError(r io.Reader) string {
	lim := defaultLimits
	lim.bytes = 256 << 10
	d, _ := newDecoder(r, lim)
	root, err := d.rootElement()
	if err != nil || root.Name.Local != "error" {
		return ""
	}
	budget := lim.nodes
	n, err := d.element(root, 1, &budget)
	if err != nil {
		return ""
	}
	return precondition(n)
}

type decoder struct {
	xml *xml.Decoder
	lim limits
}

func newDecoder(r io.Reader, lim limits) (*decoder, *cleaner) {
	c := newCleaner(&capped{r: r, left: lim.bytes, limit: lim.bytes})
	d := xml.NewDecoder(c)
	d.CharsetReader = c.charset
	return &decoder{d, lim}, c
}

// next gives a token; the end of the document is an error, because it comes
// before the end tag.
func (d *decoder) next() (xml.Token, error) {
	t, err := d.xml.RawToken()
	if err == nil {
		return t, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, &malformed{"it ends in the middle"}
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		if strings.Contains(syntax.Msg, "unexpected EOF") {
			return nil, &malformed{"it ends in the middle"}
		}
		return nil, &malformed{syntax.Error()}
	}
	return nil, err
}

func (d *decoder) rootElement() (xml.StartElement, error) {
	for {
		t, err := d.next()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t, nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return xml.StartElement{}, &malformed{"it is no XML"}
			}
		case xml.Directive:
			if !strings.HasPrefix(strings.ToLower(string(t)), "doctype") {
				return xml.StartElement{}, &malformed{"it is no XML"}
			}
		}
	}
}

// element reads an element to its end tag.
func (d *decoder) element(start xml.StartElement, depth int, budget *int) (*node, error) {
	if depth > d.lim.depth {
		return nil, &malformed{fmt.Sprintf("it is nested deeper than %d", d.lim.depth)}
	}
	if *budget--; *budget < 0 {
		return nil, &malformed{fmt.Sprintf("one response has more than %d elements", d.lim.nodes)}
	}
	if len(start.Attr) > d.lim.attrs {
		return nil, &malformed{fmt.Sprintf("an element has more than %d attributes", d.lim.attrs)}
	}
	n := &node{name: start.Name.Local, space: start.Name.Space}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			if n.attr == nil {
				n.attr = map[string]string{}
			}
			n.attr[a.Name.Local] = a.Value
		}
	}
	var text []byte
	for {
		t, err := d.next()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text = append(text, t...)
		case xml.StartElement:
			k, err := d.element(t, depth+1, budget)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, k)
		case xml.EndElement:
			if t.Name != start.Name {
				return nil, &malformed{fmt.Sprintf("element %.40q is closed by %.40q", start.Name.Local, t.Name.Local)}
			}
			n.text = string(text)
			return n, nil
		}
	}
}

// finish makes sure that nothing but white space follows the end tag.
func (d *decoder) finish() error {
	for {
		t, err := d.xml.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if _, ok := errors.AsType[*xml.SyntaxError](err); ok {
				return &malformed{"something follows its end"}
			}
			return err
		}
		switch t := t.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return &malformed{"something follows its end"}
			}
		default:
			return &malformed{"something follows its end"}
		}
	}
}

// capped is a reader that gives up at a limit with an error of its own.
type capped struct {
	r           io.Reader
	left, limit int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left == 0 {
		var one [1]byte
		if n, err := io.ReadFull(c.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, &tooLarge{c.limit}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}
