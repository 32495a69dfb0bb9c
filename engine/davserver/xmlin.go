package davserver

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
)

// A node is one element of a request body.
type node struct {
	name xml.Name
	attr []xml.Attr
	text string // what stands directly inside, joined
	kids []*node
}

func (n *node) is(space, local string) bool {
	return n != nil && n.name.Space == space && n.name.Local == local
}

// kid is the first child of that name, or nil; asking nil gives nil.
func (n *node) kid(space, local string) *node {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.is(space, local) {
			return k
		}
	}
	return nil
}

func (n *node) attribute(local string) string {
	for _, a := range n.attr {
		if a.Name.Local == local && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

func (n *node) trimmed() string { return strings.TrimSpace(n.text) }

// readXML reads a request body; an empty one gives nil.
func readXML(r *http.Request) (*node, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxXML+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the request's body ended early: %v", err)
	case len(body) > maxXML:
		return nil, refuse(http.StatusRequestEntityTooLarge, "the request's body is over %d bytes", maxXML)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, nil
	}
	root, err := parseXML(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the request's body is not XML that can be used: %v", err)
	}
	return root, nil
}

// parseXML makes a tree of a document, within the limits on depth and number.
func parseXML(body []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	var root *node
	var open []*node
	var texts [][]byte // of open elements, so far
	for count := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements {
				return nil, errors.New("it has too many elements")
			}
			if len(open) >= maxDepth {
				return nil, errors.New("its elements are nested too deeply")
			}
			n := &node{name: t.Name, attr: t.Attr}
			if len(open) > 0 {
				parent := open[len(open)-1]
				parent.kids = append(parent.kids, n)
			} else if root == nil {
				root = n
			}
			open = append(open, n)
			texts = append(texts, nil)
		case xml.EndElement:
			last := len(open) - 1
			open[last].text = string(texts[last])
			open, texts = open[:last], texts[:last]
		case xml.CharData:
			if last := len(open) - 1; last >= 0 {
				texts[last] = append(texts[last], t...)
			}
		}
	}
	if root == nil {
		return nil, errors.New("it has no element")
	}
	return root, nil
}
