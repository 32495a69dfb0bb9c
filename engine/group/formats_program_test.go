package group_test

import (
	"bytes"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
)

func TestAProgramThatWritesAnOlderVersionErasesNothing(t *testing.T) {
	w := cardWorld(t, "", engine.VCard4, "")
	w.stores[0].Put("1", full("1"))
	w.sync()
	v3 := item.As(full("1"), engine.VCard3, nil)
	w.stores[0].Put("1", v3) // rewritten, and nothing changed
	w.reset()
	w.sync()
	w.holds(1, "1", full("1"))
	if w.writes() > 0 {
		t.Errorf("%d writes", w.writes())
	}
	w.quiet()
	w.swap(0, "1", "NOTE:far", "NOTE:near")
	w.sync()
	w.peace()
	near := []byte(strings.Replace(string(full("1")), "NOTE:far", "NOTE:near", 1))
	w.holds(1, "1", near)
	w.quiet()

	// Rewritten and edited at once.
	w.stores[0].Put("2", full("2"))
	w.sync()
	w.stores[0].Put("2", bytes.Replace(item.As(full("2"), engine.VCard3, nil), []byte("NOTE:far"), []byte("NOTE:near"), 1))
	w.sync()
	w.peace()
	w.holds(1, "2", bytes.ReplaceAll(near, []byte("UID:1"), []byte("UID:2")))
	w.holds(2, "2", w.text(1, "2"))
	w.quiet()

	// Rewritten, and deleted elsewhere: that is no edit, which would beat it.
	w.stores[0].Put("3", full("3"))
	w.sync()
	w.stores[0].Put("3", item.As(full("3"), engine.VCard3, nil))
	w.remove(1, "3")
	w.sync()
	if w.text(0, "3") != nil {
		t.Error("what was only rewritten came back")
	}
	w.quiet()

	// Rewritten where an edit of the others did not arrive: there is nothing to ask.
	w.rules.Policy = "ask"
	w.stores[0].Put("4", full("4"))
	w.sync()
	w.stores[0].Refuse = func(engine.Write) error { return engine.Fail(engine.Forbidden, "write", "1", "not now") }
	w.swap(1, "4", "NOTE:far", "NOTE:here")
	w.sync()
	w.stores[0].Refuse = nil
	w.stores[0].Put("4", item.As(full("4"), engine.VCard3, nil))
	w.sync(group.Options{Slow: true})
	w.peace()
	w.holds(0, "4", w.text(1, "4"))
}
