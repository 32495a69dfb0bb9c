package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

func event(uid, summary string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

func TestEveryCutOfABatchIsNoticedOrLosesWholeItems(t *testing.T) {
	items := []string{event("a", "One"), event("b", "Two"), "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:C\r\nEND:VCARD\r\n"}
	var lines []string
	for i, text := range items {
		raw, _ := json.Marshal(LineOf(engine.Item{Head: engine.Head{Ref: engine.Ref(fmt.Sprint(i))}, Text: []byte(text)}))
		lines = append(lines, string(raw)+"\n")
	}
	for _, parts := range [][]string{items, lines} {
		whole := strings.Join(parts, "")
		for cut := range len(whole) + 1 {
			got, err := ReadBatch([]byte(whole[:cut]))
			if err != nil {
				continue
			}
			// What is read whole is a beginning of what was sent, and its end is
			// between two items.
			for i, in := range got {
				if !in.Info.Parsed || string(in.Text) != items[i] {
					t.Errorf("cut after %d bytes: item %d is %q", cut, i, in.Text)
				}
			}
			rest := strings.TrimLeft(strings.TrimPrefix(whole[cut:], "\r"), "\n")
			if left := strings.Join(parts[len(got):], ""); rest != left {
				t.Errorf("cut after %d bytes: %d items, and %q is left", cut, len(got), rest[:min(20, len(rest))])
			}
		}
	}
}

func TestLinesOfABatch(t *testing.T) {
	latin := strings.Replace(event("l", "Caf\xe9"), "\r\n", "\n", 1)
	raw, err := json.Marshal(LineOf(engine.Item{Head: engine.Head{Ref: "l.ics"}, Text: []byte(latin)}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadBatch([]byte("\n" + string(raw) + "\n{\"item\":\"gone.ics\",\"deleted\":true}\n{\"revision\":\"7\",\"full\":false}\n"))
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].Text, []byte(strings.Replace(latin, "VCALENDAR\n", "VCALENDAR\r\n", 1))) || !got[1].Deleted || got[1].Name != "gone.ics" {
		t.Errorf("%+v, %v", got, err)
	}
	for line, why := range map[string]string{
		`{"item":"x"}`: "a line has", `{"deleted":true}`: "a line has", `{"item":"x","text":"y","deleted":true}`: "a line has",
		`{"base64":"?"}`: "line 1", `{"text":1}`: "line 1", `{"text":"x"`: "cut off",
	} {
		if got, err := ReadBatch([]byte(line)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
}

func TestAnItemWithoutAUIDIsTheSameTwice(t *testing.T) {
	text := strings.Replace(event("x", "No name"), "UID:x\r\n", "", 1)
	a, err := ReadBatch([]byte(text))
	b, err2 := ReadBatch([]byte(strings.Replace(text, "DTSTAMP:2026", "DTSTAMP:2027", 1)))
	if err != nil || err2 != nil || a[0].Info.UID == "" || a[0].Info.UID != b[0].Info.UID {
		t.Errorf("%+v %+v %v %v", a, b, err, err2)
	}
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(event("a", "One") + event("a", "Two")))
	f.Add([]byte(`{"item":"a","text":"BEGIN:VCARD\r\nFN:x\r\nEND:VCARD\r\n"}` + "\n"))
	f.Add([]byte("{}\n\xef\xbb\xbf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadBatch(data)
		if err != nil {
			return
		}
		b := &bringer{order: Import{Items: got}, sink: noSink{}}
		writes := b.plan()
		if int(b.done.Failed)+len(writes) > len(got) {
			t.Errorf("%d items became %d writes and %d failures", len(got), len(writes), b.done.Failed)
		}
		for _, w := range writes {
			if w.UID == "" || len(w.Text) == 0 {
				t.Errorf("%+v", w)
			}
		}
	})
}

type noSink struct{}

func (noSink) Phase(string)         {}
func (noSink) Total(int)            {}
func (noSink) Done(int, int64)      {}
func (noSink) Item(engine.ItemStep) {}

func TestReplaceHoldsWhatIsTooMuchOnBothSidesOfItsLimits(t *testing.T) {
	for _, x := range []struct {
		have, come int
		confirm    int // -1 for none
		gone, held int
	}{
		{20, 10, -1, 10, 0}, {20, 9, -1, 0, 11}, {55, 44, -1, 11, 0}, {54, 43, -1, 0, 11}, {3, 0, -1, 3, 0}, {4, 0, -1, 0, 4},
		{20, 9, 11, 11, 0}, {20, 9, 10, 0, 11}, {20, 9, 12, 0, 11},
	} {
		b := &bringer{order: Import{Replace: true, Guard: UsualGuard()}, sink: noSink{}, byUID: map[engine.UID]there{}}
		if n := uint32(x.confirm); x.confirm >= 0 {
			b.order.Confirmed = &n
		}
		for i := range x.have {
			uid := engine.UID(fmt.Sprint(i))
			b.byUID[uid] = there{Head: engine.Head{Ref: engine.Ref(uid)}, uid: uid}
			if i < x.come {
				b.order.Items = append(b.order.Items, incoming("x", "", []byte(event(string(uid), "new"))))
			}
		}
		var gone int
		for _, w := range b.plan() {
			if w.Verb == engine.Delete {
				gone++
			}
		}
		if gone != x.gone || int(b.done.Held) != x.held {
			t.Errorf("%+v: %d gone, %d held", x, gone, b.done.Held)
		}
	}
}

func TestOneItemThatCannotBeReadLetsAllStay(t *testing.T) {
	b := &bringer{order: Import{Replace: true}, sink: noSink{}, byUID: map[engine.UID]there{"a": {uid: "a"}, "b": {uid: "b"}}}
	b.order.Items = []Incoming{incoming("item 1", "", []byte(event("a", "One"))), incoming("item 2", "", []byte("BEGIN:VTODO\r\nEND:VTODO\r\n"))}
	writes := b.plan()
	if len(writes) != 1 || writes[0].Verb != engine.Replace || b.done.Held != 1 || b.done.Failed != 1 || !slices.ContainsFunc(b.done.Lines, func(s string) bool { return strings.Contains(s, "nothing was deleted") }) {
		t.Errorf("%+v %+v", writes, b.done)
	}
}
