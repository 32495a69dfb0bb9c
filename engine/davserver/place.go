package davserver

import (
	"net/url"
	"strings"

	"davbus.org/davbus/engine"
)

// Kinds of place that a URL may name.
type placeKind uint8

const (
	atRoot placeKind = iota
	atPrincipal
	atHome
	atCollection
	atItem
)

// A place is what a URL names, whether or not it exists:
//
//	/                            root
//	/USER/                       principal
//	/USER/calendars/             home, and so is /USER/contacts/
//	/USER/calendars/NAME/        collection
//	/USER/calendars/NAME/REF     item
type place struct {
	kind placeKind
	of   string // from atHome on: engine.Calendar or engine.AddressBook
	name string // from atCollection on
	ref  engine.Ref
}

const (
	calendarsHome = "calendars"
	contactsHome  = "contacts"
)

func homeOf(kind string) string {
	if kind == engine.AddressBook {
		return contactsHome
	}
	return calendarsHome
}

// place reads a URL's path, which the server may have been given in any
// spelling.
func (s *Server) place(u *url.URL) (place, bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), s.opt.Prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return place{}, false
	}
	rest = strings.TrimPrefix(rest, "/")
	isFolder := rest == "" || strings.HasSuffix(rest, "/")
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		return place{}, true
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		name, err := url.PathUnescape(p)
		if err != nil || name == "" || name == "." || name == ".." || strings.ContainsRune(name, 0) {
			return place{}, false
		}
		parts[i] = name
	}
	return s.placeOf(parts, isFolder)
}

func (s *Server) placeOf(parts []string, isFolder bool) (at place, ok bool) {
	if len(parts) > 4 || parts[0] != s.opt.User {
		return place{}, false
	}
	at.kind = atPrincipal
	if len(parts) > 1 {
		at.kind = atHome
		switch parts[1] {
		case calendarsHome:
			at.of = engine.Calendar
		case contactsHome:
			at.of = engine.AddressBook
		default:
			return place{}, false
		}
	}
	if len(parts) > 2 {
		at.kind, at.name = atCollection, parts[2]
	}
	if len(parts) > 3 {
		at.kind, at.ref = atItem, engine.Ref(parts[3])
		if isFolder {
			return place{}, false
		}
	}
	return at, true
}

// href spells a place's path as it is told to clients.
func (s *Server) href(at place) string {
	h := s.opt.Prefix + "/"
	if at.kind >= atPrincipal {
		h += url.PathEscape(s.opt.User) + "/"
	}
	if at.kind >= atHome {
		h += homeOf(at.of) + "/"
	}
	if at.kind >= atCollection {
		h += escapeSegment(at.name) + "/"
	}
	if at.kind == atItem {
		h += escapeSegment(string(at.ref))
	}
	return h
}

func escapeSegment(name string) string {
	switch name {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(name)
}
