package item_test

import (
	"bytes"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// seeds adds the corpus, some generated items and the nasty texts.
func seeds(f *testing.F, add func(text []byte)) {
	for _, t := range itemtest.Corpus() {
		if len(t.Text) < 1<<14 {
			add(t.Text)
		}
	}
	for _, t := range generated(1, 10) {
		add(t)
	}
	for _, t := range nasty(256) {
		add(t)
	}
}

func FuzzSum(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text []byte) {
		sum := item.Sum(text)
		i := item.Read(text)
		if i.Parsed == (i.Reason != "") {
			t.Errorf("parsed %v, because %q", i.Parsed, i.Reason)
		}
		if !item.Same(text, text) || item.Settle(text, []item.Copy{{Text: text}})[0] != sum {
			t.Error("the text is not the same as itself")
		}
		if item.Sum(item.CRLF(text)) != sum {
			t.Error("bringing back line ends changed the sum")
		}
		if n := len(text); n > 0 && text[n-1] != '\r' && item.Sum(append(text[:n:n], "\r\n"...)) != sum {
			t.Error("a last line end changed the sum")
		}
		if !bytes.Equal(item.Project(text, func(_, _ string) bool { return true }), text) {
			t.Error("keeping everything left something out")
		}
		if root, err := item.Parse(text); err == nil {
			if raw := rawOf(root); !bytes.Equal(raw, text) {
				t.Errorf("the parts put together are %q", raw)
			}
		} else if i.Parsed {
			t.Errorf("a well-formed text was not taken apart: %v", err)
		}
	})
}

// rawOf puts a tree together from its leaves.
func rawOf(root *item.Node) (text []byte) {
	type visit struct {
		node *item.Node
		next int
	}
	for todo := []visit{{root, 0}}; len(todo) > 0; {
		top := &todo[len(todo)-1]
		if top.next == 0 {
			text = append(text, top.node.Begin...)
		}
		if top.next == len(top.node.Parts) {
			text = append(text, top.node.End...)
			todo = todo[:len(todo)-1]
			continue
		}
		p := top.node.Parts[top.next]
		top.next++
		if p.Child != nil {
			todo = append(todo, visit{p.Child, 0})
		} else {
			text = append(text, p.Raw...)
		}
	}
	return text
}

func FuzzWithUID(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text, "new@example.org") })
	for _, uid := range []string{"", " a ", "a,b;c\\d\\n", "a\r\nX:b", "ä\xff=", string(bytes.Repeat([]byte("long"), 100))} {
		f.Add([]byte("BEGIN:VCARD\r\nUID:a\r\nEND:VCARD\r\n"), uid)
	}
	f.Fuzz(func(t *testing.T, text []byte, uid string) {
		named := item.WithUID(text, engine.UID(uid))
		if !bytes.Equal(item.WithUID(named, engine.UID(uid)), named) {
			t.Error("naming twice is not naming once")
		}
		was, is := item.Read(text), item.Read(named)
		if is.Parsed != was.Parsed || is.Kind != was.Kind || is.Summary != was.Summary {
			t.Errorf("the item was %+v and is %+v", was, is)
		}
		plain := string(bytes.TrimSpace(bytes.ReplaceAll(bytes.ReplaceAll([]byte(uid), []byte("\r"), nil), []byte("\n"), nil)))
		if plain != "" && (was.UID != "" || len(was.Components) > 0) && string(is.UID) != plain {
			t.Errorf("the UID is %q, want %q:\n%q", is.UID, plain, named)
		}
		// With one UID in one component at most, that UID changes nothing.
		upper := bytes.ToUpper(text)
		if was.UID == "" || bytes.ContainsRune([]byte(was.UID), '\r') || bytes.Count(upper, []byte("UID")) != 1 ||
			bytes.Count(upper, []byte("BEGIN")) > 1 || bytes.Index(upper, []byte("BEGIN")) > bytes.Index(upper, []byte("UID")) {
			return
		}
		if got := item.WithUID(text, was.UID); !bytes.Equal(got, text) {
			t.Errorf("its own UID changed the text to %q", got)
		}
	})
}

func FuzzSplit(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text []byte) {
		parts, err := item.Split(text)
		if err != nil {
			return
		}
		for _, p := range parts {
			again, err := item.Split(p)
			if err != nil || len(again) != 1 || !bytes.Equal(again[0], p) {
				t.Errorf("a part that is split once more gives %q, %v:\n%q", again, err, p)
			}
		}
		if len(parts) == 0 {
			return
		}
		if joined, err := item.Join(parts); err != nil {
			t.Errorf("what was split does not join: %v", err)
		} else if n, err := item.Split(joined); err != nil || len(n) != len(parts) {
			t.Errorf("%d parts joined and split are %d, %v", len(parts), len(n), err)
		}
	})
}

func FuzzVersions(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text) })
	for _, s := range sayings {
		f.Add(vcard("3.0", s.v3))
		f.Add(vcard("4.0", s.v4))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkVersions(t, "it", text) })
}
