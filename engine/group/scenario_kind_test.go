package group_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
)

func TestScenario65AFilterIsNotADeletion(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		todo := []byte(strings.ReplaceAll(string(event("t", "task")), "VEVENT", "VTODO"))
		w.put(0, "1", "one")
		w.places[0].Put("t", todo)
		w.sync()
		w.all("1=one t=task")
		w.members[1].Components = []string{"VEVENT"}
		w.places[0].Put("u", []byte(strings.ReplaceAll(string(event("u", "task")), "VEVENT", "VTODO")))
		w.sync()
		w.want(0, "1=one t=task u=task")
		w.want(1, "1=one t=task")
		w.remove(0, "t")
		w.sync()
		w.want(1, "1=one t=task") // none of its business
		w.quiet()
		w.members[1].Components = nil
		w.sync()
		w.all("1=one u=task")
	})
}

func TestScenario63AnItemOfTheWrongKindGoesNowhere(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.places[0].Put("card", []byte("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:x\r\nEND:VCARD\r\n"))
		w.places[0].Put("html", []byte("<html>Please log in</html>"))
		w.places[0].Put("empty", nil)
		w.put(0, "2", "two")
		w.sync()
		w.want(1, "2=two")
		if p := w.problems(); len(p) != 3 {
			t.Errorf("problems %+v", p)
		}
		if !w.real { // in a folder such a file may be half written: it is looked at again
			w.quiet()
		}
		w.places[0].Put("2", []byte("\x00\x00\x00"))
		w.sync()
		w.want(1, "2=two") // an error page is no edit and no deletion
		w.places[0].Put("2", event("2", "well again"))
		w.sync()
		w.want(1, "2=well again")
		if got := item.Read(w.text(1, "2")).Summary; got != "well again" {
			t.Errorf("got %q", got)
		}
	})
}

func TestACalendarInsideACalendarIsAProblemThatSaysSo(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.members[1].Components = []string{"VEVENT", "VTODO", "VJOURNAL"} // as servers tell
		for name, inner := range map[string]string{"cal": "VCALENDAR", "card": "VCARD"} {
			w.places[0].Put(engine.Ref(name), fmt.Appendf(nil, "BEGIN:VCALENDAR\r\nBEGIN:%s\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:in-%s\r\nEND:VEVENT\r\nEND:%[1]s\r\nEND:VCALENDAR\r\n", inner, name))
		}
		w.put(0, "1", "one")
		w.sync()
		w.want(1, "1=one")
		p := w.problems()
		if len(p) != 2 || p[0].Failure.Kind != engine.InvalidItem || !strings.Contains(p[0].Failure.Message, "inside of the calendar") || !strings.Contains(p[1].Failure.Message, "inside of the calendar") {
			t.Errorf("problems %+v", p)
		}
		w.quiet()
	})
}

// cutList ends a listing in the middle.
type cutList struct{ *memory.Storage }

func (s cutList) Changes(context.Context, engine.Token) (engine.Delta, error) {
	return engine.Delta{}, engine.Fail(engine.NotSupported, "list changes", "", "not here")
}

func (s cutList) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		for h, err := range s.Storage.List(ctx) {
			if !yield(h, err) {
				return
			}
			yield(engine.Head{}, errors.New("cut off"))
			return
		}
	}
}

func TestAListingThatIsCutOffProvesNothing(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 3 {
		w.put(0, fmt.Sprint(i), "x")
	}
	w.sync()
	full := w.has(0)
	w.members[1].Storage = cutList{w.stores[1]}
	w.sync()
	w.all(full)
	w.members[1].Storage = w.stores[1]
	w.quiet()
}
