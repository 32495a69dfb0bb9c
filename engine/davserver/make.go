package davserver

import (
	"context"
	"encoding/xml"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// A change is one property that a client sets or removes.
type change struct {
	name  xml.Name
	key   engine.MetaKey
	value string
	set   bool
	fault string // why it cannot be; "" if it can
}

// changesOf reads what a PROPPATCH, MKCALENDAR or MKCOL sets and removes, in the
// order in which it stands there.
func changesOf(body *node, kind string) (list []change, with *node) {
	with = &node{}
	if body == nil {
		return nil, with
	}
	for _, k := range body.kids {
		set := k.is(davNS, "set")
		if !set && !k.is(davNS, "remove") {
			continue
		}
		for _, prop := range k.kids {
			if !prop.is(davNS, "prop") {
				continue
			}
			for _, p := range prop.kids {
				list = append(list, changeOf(p, kind, set))
				with.kids = append(with.kids, p)
			}
		}
	}
	return list, with
}

func changeOf(p *node, kind string, set bool) change {
	c := change{name: p.name, value: p.text, set: set}
	switch p.name {
	case dav("displayname"):
		c.key = engine.MetaName
	case cal("calendar-description"), xml.Name{Space: cardNS, Local: "addressbook-description"}:
		if p.name.Space == namespaceOf(kind) {
			c.key = engine.MetaDescription
		}
	case xml.Name{Space: appleNS, Local: "calendar-color"}, xml.Name{Space: infNS, Local: "addressbook-color"}:
		c.key = engine.MetaColor
		if set {
			c.value, c.fault = color(p.trimmed())
		}
	case xml.Name{Space: appleNS, Local: "calendar-order"}:
		c.key, c.value = engine.MetaOrder, p.trimmed()
		if _, err := strconv.ParseInt(c.value, 10, 32); set && err != nil {
			c.fault = "an order is a whole number"
		}
	}
	if c.key == "" {
		c.fault = "this property is not kept here"
	}
	return c
}

// color makes #RRGGBB of what clients send, who may add an opacity.
func color(s string) (value, fault string) {
	if !regexp.MustCompile(`^#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?$`).MatchString(s) {
		return "", "a colour is written #RRGGBB"
	}
	return strings.ToUpper(s[:7]), ""
}

func (s *Server) proppatch(w http.ResponseWriter, r *http.Request, at place) error {
	body, err := readXML(r)
	if err != nil {
		return err
	}
	if !body.is(davNS, "propertyupdate") {
		return refuse(http.StatusBadRequest, "the request's body is no propertyupdate")
	}
	if at.kind != atCollection {
		return refuse(http.StatusForbidden, "only collections have properties that can be set").because(davNS, "cannot-modify-protected-property")
	}
	e, err := s.catalog.find(r.Context(), at)
	if err != nil {
		return err
	}
	if !e.Writable {
		return refuse(http.StatusForbidden, "this collection is read-only").because(davNS, "need-privileges")
	}
	list, _ := changesOf(body, at.of)
	if !slices.ContainsFunc(list, func(c change) bool { return c.fault != "" }) {
		if err := e.setAll(r.Context(), e, list); err != nil {
			return err
		}
	}
	m := startMultistatus(w)
	m.properties(s.href(at), outcomes(list)...)
	m.finish("")
	return nil
}

// outcomes tells what came of changes of which all or none were made.
func outcomes(list []change) []propstat {
	done, refused, other := propstat{status: http.StatusOK}, propstat{status: http.StatusForbidden}, propstat{status: http.StatusFailedDependency}
	good := &done
	if slices.ContainsFunc(list, func(c change) bool { return c.fault != "" }) {
		good = &other
	}
	for _, c := range list {
		if c.fault != "" {
			refused.props = append(refused.props, element(c.name, ""))
		} else {
			good.props = append(good.props, element(c.name, ""))
		}
	}
	return []propstat{done, refused, other}
}

// setAll makes all changes or, as far as the storage lets it, none. What the
// storage cannot keep gets a fault.
func (c *collection) setAll(ctx context.Context, e entry, list []change) error {
	if err := c.lock.take(ctx); err != nil {
		return err
	}
	defer c.lock.give()
	store, ok := c.storage.(engine.MetaStorage)
	if !ok {
		for i := range list {
			list[i].fault = "this collection keeps no properties"
		}
		return nil
	}
	before, err := store.Meta(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		p := &list[i]
		err := store.SetMeta(ctx, p.key, p.value, p.set)
		if err == nil {
			continue
		}
		for _, done := range list[:i] {
			value, was := before[done.key]
			if err := store.SetMeta(ctx, done.key, value, was); err != nil {
				return err
			}
		}
		if !engine.IsKind(err, engine.NotSupported) {
			return err
		}
		p.fault = err.Error()
		return nil
	}
	return nil
}

// makeCollection answers MKCALENDAR and extended MKCOL.
func (s *Server) makeCollection(w http.ResponseWriter, r *http.Request, at place) error {
	body, err := readXML(r)
	if err != nil {
		return err
	}
	if at.kind != atCollection {
		return refuse(http.StatusForbidden, "calendars are made directly below %s, address books below %s",
			s.href(place{kind: atHome, of: engine.Calendar}), s.href(place{kind: atHome, of: engine.AddressBook})).because(calNS, "calendar-collection-location-ok")
	}
	list, with := changesOf(body, at.of)
	if err := fitsHome(r.Method, with, at.of); err != nil {
		return err
	}
	entries, err := s.catalog.list(r.Context())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e entry) bool { return e.shelf == shelf{at.of, at.name} }) {
		w.Header().Set("Allow", allowed)
		return refuse(http.StatusMethodNotAllowed, "there is a collection of this name already").because(davNS, "resource-must-be-null")
	}
	want := engine.Collection{ID: at.name, Name: at.name, Kind: at.of, Writable: true, Meta: engine.Meta{}}
	for _, c := range list {
		if c.key != "" && c.set && c.fault == "" {
			want.Meta[c.key] = c.value
		}
	}
	want.Components = wantedComponents(with, at.of)
	made, err := s.catalog.create(r.Context(), want)
	if err != nil {
		return refusalOf(err, at.of)
	}
	if made.name != at.name {
		at.name = made.name
		w.Header().Set("Location", s.href(at))
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// fitsHome checks that what is to be made is what this home is for.
func fitsHome(method string, with *node, kind string) error {
	types := with.kid(davNS, "resourcetype")
	isCalendar := method == "MKCALENDAR" || types.kid(calNS, "calendar") != nil
	isBook := types.kid(cardNS, "addressbook") != nil
	if isCalendar == isBook || isBook != (kind == engine.AddressBook) {
		return refuse(http.StatusForbidden, "calendars are made below %s, address books below %s, nothing else anywhere", calendarsHome, contactsHome).because(davNS, "valid-resourcetype")
	}
	return nil
}

func wantedComponents(with *node, kind string) []string {
	if kind == engine.AddressBook {
		return []string{"VCARD"}
	}
	set := with.kid(calNS, "supported-calendar-component-set")
	if set == nil {
		return nil
	}
	var list []string
	for _, k := range set.kids {
		if name := strings.ToUpper(k.attribute("name")); k.is(calNS, "comp") && name != "" {
			list = append(list, name)
		}
	}
	return list
}
