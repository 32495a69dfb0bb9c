package davserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

func (s *Server) get(w http.ResponseWriter, r *http.Request, at place) error {
	if at.kind != atItem {
		if at.kind == atCollection {
			if _, err := s.catalog.find(r.Context(), at); err != nil {
				return err
			}
		}
		w.Header().Set("Allow", "OPTIONS, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL")
		return refuse(http.StatusMethodNotAllowed, "this is a folder: open it with a calendar or contacts program that speaks CalDAV or CardDAV")
	}
	e, err := s.catalog.find(r.Context(), at)
	if err != nil {
		return err
	}
	it, err := e.one(r.Context(), at.ref)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", etagHeader(it.Etag))
	h.Set("X-Content-Type-Options", "nosniff")
	if none := r.Header.Get("If-None-Match"); none == "*" || matches(none, it.Etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if want := r.Header.Get("If-Match"); want != "" && want != "*" && !matches(want, it.Etag) {
		return refuse(http.StatusPreconditionFailed, "another version is stored")
	}
	h.Set("Content-Type", contentType(at.of))
	h.Set("Content-Length", strconv.Itoa(len(it.Text)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(it.Text)
	}
	return nil
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, at place) error {
	if at.kind != atItem {
		return refuse(http.StatusMethodNotAllowed, "items are stored inside collections")
	}
	e, err := s.catalog.find(r.Context(), at)
	if err != nil {
		return err
	}
	if !e.Writable {
		return refuse(http.StatusForbidden, "this collection is read-only").because(davNS, "need-privileges")
	}
	text, err := s.readItem(r, at.of)
	if err != nil {
		return err
	}
	info, err := acceptable(text, at.of, &e.Collection)
	if err != nil {
		return err
	}
	out, created, err := s.store(r, e, at, text, info.UID)
	if err != nil {
		return refusalOf(err, at.of)
	}
	h := w.Header()
	if out.Head.Ref != at.ref {
		at.ref = out.Head.Ref
		h.Set("Location", s.href(at))
	}
	// An ETag says that what was sent is what is stored.
	if out.Kept && out.Head.Etag != "" {
		h.Set("ETag", etagHeader(out.Head.Etag))
	}
	if created {
		w.WriteHeader(http.StatusCreated)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

func (s *Server) readItem(r *http.Request, kind string) ([]byte, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "an item has at most %d bytes here", s.opt.MaxItem).because(namespaceOf(kind), "max-resource-size")
	if r.ContentLength > s.opt.MaxItem {
		return nil, tooLarge
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, s.opt.MaxItem+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the item's text ended early: %v", err)
	case int64(len(text)) > s.opt.MaxItem:
		return nil, tooLarge
	case r.Header.Get("Content-Encoding") != "":
		return nil, refuse(http.StatusUnsupportedMediaType, "send the item without a Content-Encoding")
	case r.Header.Get("Content-Range") != "":
		return nil, refuse(http.StatusBadRequest, "send the whole item; a part of one is not stored")
	}
	return text, nil
}

// acceptable decides whether a text may be stored in a collection.
func acceptable(text []byte, kind string, to *engine.Collection) (item.Info, error) {
	info := item.Read(text)
	switch {
	case !info.Parsed || info.Kind == "":
		reason := info.Reason
		if reason == "" {
			reason = "it is neither a calendar item nor a contact"
		}
		return info, refuse(http.StatusForbidden, "this text is no item: %s", reason).because(dataCondition(kind))
	case info.Kind != kind && kind == engine.AddressBook:
		return info, refuse(http.StatusForbidden, "an address book takes contacts only").because(cardNS, "supported-address-data")
	case kind == engine.AddressBook && item.Format(text) != "" && to.Formats != nil && !slices.Contains(to.Formats, item.Format(text)):
		return info, refuse(http.StatusForbidden, "this address book does not take this version of vCard").because(cardNS, "supported-address-data")
	case info.Kind != kind:
		return info, refuse(http.StatusForbidden, "a calendar takes no contacts").because(calNS, "supported-calendar-data")
	case kind == engine.Calendar && !item.Takes(taken(to.Components), info):
		return info, refuse(http.StatusForbidden, "this calendar does not take such items").because(calNS, "supported-calendar-component")
	case info.Many, kind == engine.Calendar && len(info.Components) > 1:
		space, _ := dataCondition(kind)
		if kind == engine.AddressBook {
			return info, refuse(http.StatusForbidden, "store each contact by itself").because(space, "valid-address-data")
		}
		return info, refuse(http.StatusForbidden, "store each event, task or journal by itself").because(space, "valid-calendar-object-resource")
	}
	return info, nil
}

// store writes an item over the version that the client's conditions are true of.
func (s *Server) store(r *http.Request, e entry, at place, text []byte, uid engine.UID) (out engine.Outcome, created bool, err error) {
	ctx := r.Context()
	if err := e.lock.take(ctx); err != nil {
		return out, false, err
	}
	defer e.lock.give()
	if err := e.refresh(ctx); err != nil {
		return out, false, err
	}
	old, there := e.journal.there(at.ref)
	if err := conditions(r, old, there); err != nil {
		return out, false, err
	}
	if uid != "" && (!there || !old.known || old.uid != uid) {
		ref, taken, err := e.holder(ctx, uid, at.ref)
		if err != nil {
			return out, false, err
		}
		if taken {
			at.ref = ref
			return out, false, refuse(http.StatusConflict, "another item has the same UID").because(namespaceOf(at.of), "no-uid-conflict", s.href(at))
		}
	}
	write := engine.Write{Verb: engine.Create, UID: uid, Old: engine.Head{Ref: at.ref}, Text: text}
	if there {
		write.Verb = engine.Replace
		if write.Old, write.Was, err = e.version(ctx, *old); err != nil {
			return out, false, err
		}
	}
	out, err = e.apply(ctx, write)
	return out, !there, err
}

// version reads the version that a write is to replace. The lock is held.
func (c *collection) version(ctx context.Context, r row) (engine.Head, engine.Sum, error) {
	moved := engine.Fail(engine.Changed, "store", string(r.Ref), "it changed meanwhile; look again")
	for it, err := range c.storage.Fetch(ctx, []engine.Ref{r.Ref}) {
		if err != nil {
			return engine.Head{}, engine.Sum{}, err
		}
		if versionOf(it) != r.Etag {
			return engine.Head{}, engine.Sum{}, moved
		}
		return it.Head, item.Sum(it.Text), nil
	}
	return engine.Head{}, engine.Sum{}, moved
}

// conditions checks If-Match and If-None-Match against what is there.
func conditions(r *http.Request, old *row, there bool) error {
	var etag engine.Etag
	if there {
		etag = old.Etag
	}
	if want := r.Header.Values("If-Match"); len(want) > 0 {
		if !there || !anyMatches(want, etag) {
			return refuse(http.StatusPreconditionFailed, "another version is stored, or none")
		}
	}
	if none := r.Header.Values("If-None-Match"); len(none) > 0 && there && anyMatches(none, etag) {
		return refuse(http.StatusPreconditionFailed, "there is an item of this name already")
	}
	return nil
}

func anyMatches(headers []string, etag engine.Etag) bool {
	for _, h := range headers {
		if string(bytes.TrimSpace([]byte(h))) == "*" || matches(h, etag) {
			return true
		}
	}
	return false
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, at place) error {
	if at.kind != atItem {
		return refuse(http.StatusForbidden, "collections are not deleted here; delete the items inside, or the collection where it is kept").because(davNS, "need-privileges")
	}
	ctx := r.Context()
	e, err := s.catalog.find(ctx, at)
	if err != nil {
		return err
	}
	if !e.Writable {
		return refuse(http.StatusForbidden, "this collection is read-only").because(davNS, "need-privileges")
	}
	if err := e.lock.take(ctx); err != nil {
		return err
	}
	defer e.lock.give()
	if err := e.refresh(ctx); err != nil {
		return err
	}
	old, there := e.journal.there(at.ref)
	if !there {
		return refuse(http.StatusNotFound, "there is no item of this name")
	}
	if err := conditions(r, old, true); err != nil {
		return err
	}
	write := engine.Write{Verb: engine.Delete, UID: old.uid}
	if write.Old, write.Was, err = e.version(ctx, *old); err != nil {
		return err
	}
	if _, err := e.apply(ctx, write); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
