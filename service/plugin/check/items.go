package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// reads tries what only looks at a collection, and tells whether to go on.
func (c *checker) reads(ctx context.Context, col engine.Collection) bool {
	s, err := c.storage(col)
	if !c.rule(col.Name+": a sync begins", errors.Join(err, begin(ctx, s))) {
		return false
	}
	first, err := list(ctx, s)
	if !c.rule(fmt.Sprintf("%s: it tells everything that is there, and counts right (%d items)", col.Name, len(first)), err) {
		return false
	}
	again, err := list(ctx, s)
	if err == nil && !maps.Equal(first, again) {
		err = errors.New("two listings in a row differ: an etag changes only when its item does")
	}
	c.rule(col.Name+": refs and etags stay the same while nothing changes", err)
	c.rule(col.Name+": every item that is listed can be read", readAll(ctx, s, first))
	c.rule(col.Name+": an item that is not there is left out, or told as deleted", unknownRef(ctx, s))
	if slices.Contains(c.source.Capabilities(), "changes") {
		c.rule(col.Name+": a token that it does not know is answered in full", badToken(ctx, s))
	}
	return c.rule(col.Name+": a sync ends", s.End(ctx, true))
}

type storage interface {
	engine.Tracker
	engine.Session
}

func (c *checker) storage(col engine.Collection) (storage, error) {
	s, err := c.source.Open(col)
	if err != nil {
		return nil, err
	}
	return s.(storage), nil
}

func begin(ctx context.Context, s storage) error {
	_, err := s.Begin(ctx, false)
	return err
}

func list(ctx context.Context, s storage) (map[engine.Ref]engine.Etag, error) {
	d, err := s.Changes(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[engine.Ref]engine.Etag{}
	for _, h := range d.Changed {
		if _, twice := all[h.Ref]; twice {
			return nil, fmt.Errorf("the ref %q comes twice", h.Ref)
		}
		all[h.Ref] = h.Etag
	}
	return all, nil
}

func readAll(ctx context.Context, s storage, all map[engine.Ref]engine.Etag) error {
	left := maps.Clone(all)
	for it, err := range s.Fetch(ctx, slices.Collect(maps.Keys(all))) {
		if err != nil {
			return err
		}
		if it.Etag != all[it.Ref] {
			return fmt.Errorf("%s has the etag %q when it is listed and %q when it is read", it.Ref, all[it.Ref], it.Etag)
		}
		if !bytes.HasPrefix(it.Text, []byte("BEGIN:VC")) {
			return fmt.Errorf("%s is neither a VCALENDAR nor a VCARD: %.60q", it.Ref, it.Text)
		}
		if item.Read(it.Text).UID == "" {
			return fmt.Errorf("%s has no UID", it.Ref)
		}
		delete(left, it.Ref)
	}
	for ref := range left {
		return fmt.Errorf("%s is listed, and was not sent", ref)
	}
	return nil
}

func unknownRef(ctx context.Context, s storage) error {
	for it, err := range s.Fetch(ctx, []engine.Ref{engine.Ref("davbus-check-" + rand.Text())}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("it sent %q, which nobody asked for", it.Ref)
	}
	return nil
}

func badToken(ctx context.Context, s storage) error {
	d, err := s.Changes(ctx, "davbus-check-no-such-token")
	if err == nil && !d.Full {
		err = errors.New("the answer does not say that it is full")
	}
	return err
}

// text is a small item of the kind that a collection takes.
func text(col engine.Collection, uid engine.UID, summary string) []byte {
	lines := []string{"BEGIN:VCARD", "VERSION:3.0", "UID:" + string(uid), "FN:" + summary, "N:" + summary + ";;;;", "END:VCARD"}
	if col.Kind == engine.Calendar {
		kind := "VEVENT"
		if len(col.Components) > 0 && !slices.Contains(col.Components, kind) {
			kind = col.Components[0]
		}
		lines = []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//davbus//check//EN", "BEGIN:" + kind, "UID:" + string(uid),
			"DTSTAMP:20260101T000000Z", "DTSTART:20260102T100000Z", "SUMMARY:" + summary, "END:" + kind, "END:VCALENDAR"}
		if kind == "VTODO" {
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "DTSTART") })
		}
	}
	return []byte(strings.Join(append(lines, ""), "\r\n"))
}
