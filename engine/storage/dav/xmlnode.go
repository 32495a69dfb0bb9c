package dav

import (
	"strings"
)

// A node is one element of an answer, small enough to be held whole: one
// response of a multistatus, or the body of an error.
//
// Elements are known by their local name alone: servers put the right names
// into the wrong name space, or into none.
type node struct {
	name  string
	space string
	attr  map[string]string // by local name
	text  string            // all character data directly in it
	kids  []*node
}

// child gives the first child of a name, or nil. It may be asked of nil.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (n *node) has(name string) bool { return n.child(name) != nil }

// word is the text without the white space around it.
func (n *node) word() string {
	if n == nil {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// hrefs are those directly in an element.
func (n *node) hrefs() []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, k := range n.kids {
		if k.name == "href" && k.word() != "" {
			out = append(out, k.word())
		}
	}
	return out
}

// A response tells of one resource of a multistatus.
type response struct {
	href   string
	status int              // of the resource as a whole; 0 if only of its properties
	props  map[string]*node // those that were given
	failed map[string]int   // those that were not, and with which status
	why    string           // the precondition that failed, or ""
	note   string           // responsedescription

	// foreign says that the document was not in UTF-8: item texts in it cannot be
	// trusted to be the bytes they were.
	foreign bool
}

func (r *response) prop(name string) *node { return r.props[name] }

// text of a property, and whether it was given at all.
func (r *response) value(name string) (string, bool) {
	n := r.props[name]
	return n.word(), n != nil
}

// asResponse reads a response element. Properties that the server could not
// give stand beside those that it could, in propstats of their own.
func asResponse(n *node) *response {
	r := &response{props: map[string]*node{}, failed: map[string]int{}}
	for _, k := range n.kids {
		switch k.name {
		case "href":
			if r.href == "" {
				r.href = k.word()
			}
		case "status":
			r.status = statusOf(k.text)
		case "responsedescription":
			r.note = k.word()
		case "error":
			r.why = precondition(k)
		case "propstat":
			status := 200
			if s := k.child("status"); s != nil {
				status = statusOf(s.text)
			}
			if e := k.child("error"); e != nil && r.why == "" {
				r.why = precondition(e)
			}
			if p := k.child("prop"); p != nil {
				for _, v := range p.kids {
					if status/100 == 2 {
						r.props[v.name] = v
					} else {
						r.failed[v.name] = status
					}
				}
			}
		}
	}
	return r
}

// worst is the failure that a response tells of, its properties included; 0 if
// all went well.
func (r *response) worst() int {
	if r.status != 0 && r.status/100 != 2 {
		return r.status
	}
	worst := 0
	for _, s := range r.failed {
		// 424 says only that another one failed.
		if worst == 0 || worst == 424 {
			worst = s
		}
	}
	return worst
}

// statusOf finds the number in a status line, with or without version and
// reason; 0 if there is none.
func statusOf(line string) int {
	for f := range strings.FieldsSeq(line) {
		if len(f) == 3 && f[0] >= '1' && f[0] <= '5' && isDigit(f[1]) && isDigit(f[2]) {
			return int(f[0]-'0')*100 + int(f[1]-'0')*10 + int(f[2]-'0')
		}
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// precondition names what an error element says was not fulfilled.
func precondition(n *node) string {
	if n == nil {
		return ""
	}
	for _, k := range n.kids {
		// sabre and others tell people things beside it.
		switch k.name {
		case "exception", "message", "responsedescription", "sabredav-version", "file", "line", "code", "stacktrace":
			continue
		}
		return k.name
	}
	return ""
}
