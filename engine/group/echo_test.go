package group_test

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// unseenWorld has given an item to a second member, and nobody has seen yet what
// that made of it. Without etags nothing but the text tells what happened since.
func unseenWorld(t *testing.T, etags bool, rewrite func([]byte) []byte) *world {
	w := newWorld(t, 2)
	m := w.stores[1]
	m.NoEtags, m.Rewrite = !etags, rewrite
	m.Before = busy
	w.stores[0].Put("1", rich("1", "one"))
	w.sync()
	m.Before = nil
	w.want(1, "1=one")
	return w
}

// busy fails to give a text.
func busy(c memory.Call) error {
	if c.Name == "fetch" && c.Ref != "" {
		return engine.Fail(engine.ServerBusy, "fetch", string(c.Ref), "busy")
	}
	return nil
}

func (w *world) says(member int, text []byte) {
	w.t.Helper()
	if got := string(w.text(member, "1")); got != string(text) {
		w.t.Errorf("member %d has:\n%s\nwant:\n%s", member, got, text)
	}
}

func TestWhatAMemberDoesNotKeepIsNotErasedBeforeAnybodySawThat(t *testing.T) {
	own := func(text []byte) []byte {
		return []byte(strings.Replace(string(poor(text)), "END:VEVENT", "X-STORED-AT:noon\r\nEND:VEVENT", 1))
	}
	for _, etags := range []bool{false, true} {
		w := unseenWorld(t, etags, own)
		w.sync()
		w.says(0, rich("1", "one"))
		w.quiet()

		w = unseenWorld(t, etags, poor)
		w.put(1, "1", "edited")
		w.stores[1].Before = busy // once more in vain
		w.sync()
		w.stores[1].Before = nil
		w.sync()
		w.says(0, rich("1", "edited"))
		w.quiet()
	}
}

func TestAWordAddedBeforeAnybodyLookedIsAnEdit(t *testing.T) {
	adds := func(line string) []byte {
		return []byte(strings.Replace(string(rich("1", "one")), "END:VEVENT", line+"\r\nEND:VEVENT", 1))
	}
	for _, etags := range []bool{false, true} {
		w := unseenWorld(t, etags, func(text []byte) []byte { return text })
		w.stores[1].Put("1", adds("DESCRIPTION:bring bread"))
		w.sync()
		w.says(0, adds("DESCRIPTION:bring bread"))
		w.quiet()
	}
	// What people do not write is the server's own.
	w := unseenWorld(t, false, func(text []byte) []byte { return text })
	w.stores[1].Put("1", adds("X-STORED-AT:noon"))
	w.sync()
	w.says(0, rich("1", "one"))
	w.quiet()
}
