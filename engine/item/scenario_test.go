package item_test

import (
	"bytes"
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
)

func TestScenario88TheSumMindsNoFoldingNoOrderAndNoLineEnds(t *testing.T) {
	zone := "BEGIN:VTIMEZONE|TZID:Z|BEGIN:STANDARD|TZOFFSETTO:+0100|END:STANDARD|END:VTIMEZONE|"
	body := "BEGIN:VEVENT|UID:u|DTSTART;TZID=Z:20240101T120000|SUMMARY:a long text that is folded|END:VEVENT|"
	first := calendar("PRODID:x|" + zone + strings.TrimSuffix(body, "|"))
	for name, text := range map[string][]byte{
		"without PRODID":      calendar(zone + strings.TrimSuffix(body, "|")),
		"the zone comes last": calendar("PRODID:x|" + body + strings.TrimSuffix(zone, "|")),
		"folded elsewhere":    bytes.Replace(first, []byte("long text"), []byte("lo\r\n ng \r\n\ttext"), 1),
		"bare line feeds":     bytes.ReplaceAll(first, []byte("\r\n"), []byte("\n")),
	} {
		if item.Sum(text) != item.Sum(first) {
			t.Errorf("%s: another sum for\n%s", name, text)
		}
		if got := item.Read(text).UID; got != "u" {
			t.Errorf("%s: the UID is %q", name, got)
		}
	}
	if item.Sum(bytes.Replace(first, []byte("long"), []byte("lung"), 1)) == item.Sum(first) {
		t.Error("one changed byte has the same sum")
	}
}

func TestScenario87AUIDOverLinesAndWithParametersIsRead(t *testing.T) {
	text := crlf("BEGIN:VCARD|UID;X-A=b:over| two| lines|FN:a|END:VCARD")
	if got := item.Read(text).UID; got != "overtwolines" {
		t.Errorf("read %q", got)
	}
	for _, broken := range []string{"END:VEVENT", "BEGIN:VEVENT|END:VTODO", "BEGIN:VCALENDAR|BEGIN:VEVENT|UID:x"} {
		if i := item.Read(crlf(broken)); i.Parsed || i.Reason == "" {
			t.Errorf("%q is taken for whole: %+v", broken, i)
		}
	}
	if i := item.Read(calendar("BEGIN:VEVENT|UID:a|END:VEVENT|BEGIN:VTODO|UID:b|END:VTODO")); !i.Many {
		t.Error("two items are taken for one")
	}
}
