package group_test

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
)

func TestScenario65AFilterIsNotADeletion(t *testing.T) {
	w := newWorld(t, 2)
	todo := []byte(strings.ReplaceAll(string(event("t", "task")), "VEVENT", "VTODO"))
	w.put(0, "1", "one")
	w.stores[0].Put("t", todo)
	w.sync()
	w.all("1=one t=task")
	w.members[1].Components = []string{"VEVENT"}
	w.stores[0].Put("u", []byte(strings.ReplaceAll(string(event("u", "task")), "VEVENT", "VTODO")))
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
}

func TestScenario78AnItemOfTheWrongKindGoesNowhere(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[0].Put("card", []byte("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:x\r\nEND:VCARD\r\n"))
	w.stores[0].Put("html", []byte("<html>Please log in</html>"))
	w.stores[0].Put("empty", nil)
	w.put(0, "2", "two")
	w.sync()
	w.want(1, "2=two")
	if p := w.problems(); len(p) != 3 {
		t.Errorf("problems %+v", p)
	}
	w.quiet()
	w.stores[0].Put("2", []byte("\x00\x00\x00"))
	w.sync()
	w.want(1, "2=two") // an error page is no edit and no deletion
	w.stores[0].Put("2", event("2", "well again"))
	w.sync()
	w.want(1, "2=well again")
	if got := item.Read(w.text(1, "2")).Summary; got != "well again" {
		t.Errorf("got %q", got)
	}
}
