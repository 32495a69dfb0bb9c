package davserver

import (
	"context"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

func dav(local string) xml.Name { return xml.Name{Space: davNS, Local: local} }
func cal(local string) xml.Name { return xml.Name{Space: calNS, Local: local} }

// knownProps are the properties that something here may have, in the order in
// which propname tells them. The texts of items are told only when named.
func knownProps() []xml.Name {
	return []xml.Name{
		dav("resourcetype"), dav("displayname"), dav("current-user-principal"), dav("principal-URL"), dav("owner"),
		dav("principal-collection-set"), cal("calendar-home-set"), {Space: cardNS, Local: "addressbook-home-set"},
		dav("current-user-privilege-set"), dav("supported-report-set"),
		dav("getetag"), dav("getcontenttype"), dav("getcontentlength"),
		{Space: csNS, Local: "getctag"}, dav("sync-token"),
		cal("calendar-description"), {Space: cardNS, Local: "addressbook-description"},
		{Space: appleNS, Local: "calendar-color"}, {Space: appleNS, Local: "calendar-order"}, {Space: infNS, Local: "addressbook-color"},
		cal("supported-calendar-component-set"), cal("supported-calendar-data"), {Space: cardNS, Local: "supported-address-data"},
		cal("max-resource-size"), {Space: cardNS, Local: "max-resource-size"},
	}
}

func dataProp(kind string) xml.Name {
	if kind == engine.AddressBook {
		return xml.Name{Space: cardNS, Local: "address-data"}
	}
	return cal("calendar-data")
}

// A view is one resource with what is known of it. Fields that its kind of place
// has not are zero.
type view struct {
	place
	entry
	meta   engine.Meta
	token  mark
	etag   engine.Etag
	text   []byte
	loaded bool // text is there
}

// value gives the inside of a property's element.
func (s *Server) value(v *view, name xml.Name) (string, bool) {
	switch name.Space {
	case davNS:
		return s.davValue(v, name.Local)
	case calNS, cardNS:
		return s.kindValue(v, name)
	}
	if v.place.kind != atCollection {
		return "", false
	}
	switch name {
	case xml.Name{Space: csNS, Local: "getctag"}:
		return escape(v.token.String()), true
	case xml.Name{Space: appleNS, Local: "calendar-color"}, xml.Name{Space: infNS, Local: "addressbook-color"}:
		if name.Space == infNS && v.of != engine.AddressBook {
			return "", false
		}
		return v.metadata(engine.MetaColor)
	case xml.Name{Space: appleNS, Local: "calendar-order"}:
		return v.metadata(engine.MetaOrder)
	}
	return "", false
}

func (v *view) metadata(key engine.MetaKey) (string, bool) {
	value, ok := v.meta[key]
	return escape(value), ok
}

func (s *Server) davValue(v *view, name string) (string, bool) {
	isCollection, isItem := v.place.kind == atCollection, v.place.kind == atItem
	switch name {
	case "resourcetype":
		return resourceType(v.place), true
	case "current-user-principal", "owner":
		return s.hrefTo(place{kind: atPrincipal}), true
	case "principal-URL":
		return s.hrefTo(place{kind: atPrincipal}), v.place.kind == atPrincipal
	case "principal-collection-set":
		return s.hrefTo(place{kind: atRoot}), true
	case "current-user-privilege-set":
		return s.privileges(v), true
	case "supported-report-set":
		return reports(v.place)
	case "displayname":
		switch v.place.kind {
		case atPrincipal:
			return escape(s.opt.User), true
		case atCollection:
			return v.metadata(engine.MetaName)
		}
	case "sync-token":
		return escape(v.token.String()), isCollection
	case "getetag":
		return escape(etagHeader(v.etag)), isItem && v.etag != ""
	case "getcontenttype":
		return contentType(v.of), isItem
	case "getcontentlength":
		return strconv.Itoa(len(v.text)), isItem && v.loaded
	}
	return "", false
}

func (s *Server) kindValue(v *view, name xml.Name) (string, bool) {
	if v.place.kind <= atPrincipal {
		switch name {
		case cal("calendar-home-set"):
			return s.hrefTo(place{kind: atHome, of: engine.Calendar}), true
		case xml.Name{Space: cardNS, Local: "addressbook-home-set"}:
			return s.hrefTo(place{kind: atHome, of: engine.AddressBook}), true
		}
		return "", false
	}
	if name == dataProp(v.of) {
		return escape(string(v.text)), v.place.kind == atItem && v.loaded && fitsXML(v.text)
	}
	if v.place.kind != atCollection || name.Space != namespaceOf(v.of) {
		return "", false
	}
	switch name.Local {
	case "calendar-description", "addressbook-description":
		return v.metadata(engine.MetaDescription)
	case "max-resource-size":
		return strconv.FormatInt(s.opt.MaxItem, 10), true
	case "supported-calendar-component-set":
		return components(v.Components), true
	case "supported-calendar-data":
		return `<c:calendar-data content-type="text/calendar" version="2.0"/>`, true
	case "supported-address-data":
		return addressData(v.Formats), true
	}
	return "", false
}

// addressData names the versions of vCard that an address book takes.
func addressData(formats []string) string {
	var b strings.Builder
	for _, f := range [...]struct{ name, version string }{{engine.VCard3, "3.0"}, {engine.VCard4, "4.0"}} {
		if formats == nil || slices.Contains(formats, f.name) {
			b.WriteString(`<card:address-data-type content-type="text/vcard" version="` + f.version + `"/>`)
		}
	}
	return b.String()
}

func (s *Server) hrefTo(at place) string { return hrefs([]string{s.href(at)}) }

func resourceType(at place) string {
	switch {
	case at.kind == atItem:
		return ""
	case at.kind == atPrincipal:
		return "<d:collection/><d:principal/>"
	case at.kind == atCollection && at.of == engine.AddressBook:
		return "<d:collection/><card:addressbook/>"
	case at.kind == atCollection:
		return "<d:collection/><c:calendar/>"
	}
	return "<d:collection/>"
}

func (s *Server) privileges(v *view) string {
	names := []string{"read", "read-current-user-privilege-set"}
	if s.writable(v) {
		names = append(names, "write", "write-content", "write-properties", "bind", "unbind")
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString("<d:privilege><d:" + n + "/></d:privilege>")
	}
	return b.String()
}

func (s *Server) writable(v *view) bool {
	return !s.opt.ReadOnly && (v.place.kind < atCollection || v.Writable)
}

func reports(at place) (string, bool) {
	if at.kind != atCollection {
		return "", false
	}
	names := []string{"d:sync-collection", "c:calendar-query", "c:calendar-multiget"}
	if at.of == engine.AddressBook {
		names = []string{"d:sync-collection", "card:addressbook-query", "card:addressbook-multiget"}
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString("<d:supported-report><d:report><" + n + "/></d:report></d:supported-report>")
	}
	return b.String(), true
}

// taken are the components that a calendar takes.
func taken(of []string) []string {
	if of == nil {
		return []string{"VEVENT", "VTODO", "VJOURNAL"}
	}
	return of
}

func components(of []string) string {
	var b strings.Builder
	for _, c := range taken(of) {
		b.WriteString(`<c:comp name="` + escape(c) + `"/>`)
	}
	return b.String()
}

func contentType(kind string) string {
	if kind == engine.AddressBook {
		return "text/vcard; charset=utf-8"
	}
	return "text/calendar; charset=utf-8"
}

// metaOf are a collection's properties as its storage has them now. The lock is
// held.
func metaOf(ctx context.Context, e entry) (engine.Meta, error) {
	if m, ok := e.storage.(engine.MetaStorage); ok {
		return m.Meta(ctx)
	}
	return e.Collection.Meta, nil
}
