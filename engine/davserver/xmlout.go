package davserver

import (
	"bufio"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	davNS   = "DAV:"
	calNS   = "urn:ietf:params:xml:ns:caldav"
	cardNS  = "urn:ietf:params:xml:ns:carddav"
	csNS    = "http://calendarserver.org/ns/"
	appleNS = "http://apple.com/ns/ical/"
	infNS   = "http://inf-it.com/ns/ab/"

	xmlType    = "application/xml; charset=utf-8"
	xmlHead    = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	namespaces = ` xmlns:d="` + davNS + `" xmlns:c="` + calNS + `" xmlns:card="` + cardNS +
		`" xmlns:cs="` + csNS + `" xmlns:ical="` + appleNS + `" xmlns:inf="` + infNS + `"`
)

func prefixOf(space string) string {
	switch space {
	case davNS:
		return "d"
	case calNS:
		return "c"
	case cardNS:
		return "card"
	case csNS:
		return "cs"
	case appleNS:
		return "ical"
	case infNS:
		return "inf"
	}
	return ""
}

// element writes one element around what is XML already.
func element(name xml.Name, inner string) string {
	tag, declare := name.Local, ""
	switch p := prefixOf(name.Space); {
	case p != "":
		tag = p + ":" + tag
	case name.Space != "":
		tag, declare = "x:"+tag, ` xmlns:x="`+escape(name.Space)+`"`
	}
	if inner == "" {
		return "<" + tag + declare + "/>"
	}
	return "<" + tag + declare + ">" + inner + "</" + tag + ">"
}

func hrefs(list []string) string {
	var b strings.Builder
	for _, h := range list {
		b.WriteString("<d:href>" + escape(h) + "</d:href>")
	}
	return b.String()
}

// escape writes text so that every reader of XML gets it back as it was,
// carriage returns included; what XML cannot hold becomes U+FFFD.
func escape(s string) string {
	var b strings.Builder
	done := 0 // what lies before it is written
	for i := 0; i < len(s); {
		instead, n := entity(s[i]), 1
		if s[i] >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 || !inXML(r) {
				instead = "\uFFFD"
			}
		}
		if instead != "" {
			b.WriteString(s[done:i])
			b.WriteString(instead)
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// entity is what stands for a byte of ASCII; "" if it stands for itself.
func entity(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&quot;"
	case '\r':
		return "&#13;"
	}
	if c < ' ' && c != '\t' && c != '\n' {
		return "\uFFFD"
	}
	return ""
}

func inXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r != 0xFFFE && r != 0xFFFF
}

// fitsXML reports whether text can be carried in XML without loss.
func fitsXML(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 || !inXML(r) {
			return false
		}
		text = text[n:]
	}
	return true
}

// A multistatus writes a 207 answer bit by bit.
type multistatus struct {
	w *bufio.Writer
}

func startMultistatus(w http.ResponseWriter) *multistatus {
	w.Header().Set("Content-Type", xmlType)
	w.WriteHeader(http.StatusMultiStatus)
	m := &multistatus{bufio.NewWriterSize(w, 32<<10)}
	m.w.WriteString(xmlHead + "<d:multistatus" + namespaces + ">\n")
	return m
}

// abort ends the connection: half an answer must not look like a whole one.
func (m *multistatus) abort() { panic(http.ErrAbortHandler) }

func (m *multistatus) finish(last string) {
	m.w.WriteString(last + "</d:multistatus>\n")
	if m.w.Flush() != nil {
		m.abort()
	}
}

// A propstat is properties that share a status.
type propstat struct {
	status int
	props  []string
}

// properties tells of one resource; propstats without properties are left out.
func (m *multistatus) properties(href string, stats ...propstat) {
	m.w.WriteString("<d:response><d:href>" + escape(href) + "</d:href>")
	empty := true
	for _, s := range stats {
		if len(s.props) == 0 {
			continue
		}
		empty = false
		m.w.WriteString("<d:propstat><d:prop>")
		for _, p := range s.props {
			m.w.WriteString(p)
		}
		m.w.WriteString("</d:prop><d:status>" + statusLine(s.status) + "</d:status></d:propstat>")
	}
	if empty {
		m.w.WriteString("<d:propstat><d:prop/><d:status>" + statusLine(200) + "</d:status></d:propstat>")
	}
	m.w.WriteString("</d:response>\n")
}

// status tells what became of one resource as a whole.
func (m *multistatus) status(href string, status int, condition string) {
	m.w.WriteString("<d:response><d:href>" + escape(href) + "</d:href><d:status>" + statusLine(status) + "</d:status>")
	if condition != "" {
		m.w.WriteString("<d:error><d:" + condition + "/></d:error>")
	}
	m.w.WriteString("</d:response>\n")
}

func statusLine(status int) string {
	return "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status)
}
