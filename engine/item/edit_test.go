package item_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

func TestWithUIDChangesNothingElse(t *testing.T) {
	const seed = 8
	for n, text := range generated(seed, 300) {
		old := string(item.Read(text).UID)
		want := bytes.ReplaceAll(text, []byte("\r\nUID:"+old+"\r\n"), []byte("\r\nUID:new\r\n"))
		if got := item.WithUID(text, "new"); !bytes.Equal(got, want) {
			t.Fatalf("seed %d item %d:\n%s\nwant:\n%s", seed, n, got, want)
		}
		if got := item.WithUID(text, engine.UID(old)); !bytes.Equal(got, text) {
			t.Fatalf("seed %d item %d: its own UID changed it:\n%s", seed, n, got)
		}
	}
}

func TestScenario87AUIDIsReplacedEverywhere(t *testing.T) {
	tests := []struct {
		name       string
		text, want string
		uid        engine.UID
	}{
		{"one is missing", "BEGIN:VCARD|FN:a|END:VCARD", "BEGIN:VCARD|UID:x|FN:a|END:VCARD", "x"},
		{"one is missing before an empty line", "BEGIN:VCARD||FN:a|END:VCARD", "BEGIN:VCARD|UID:x||FN:a|END:VCARD", "x"},
		{"one of two is missing", "BEGIN:VCALENDAR|BEGIN:VEVENT|A:1|END:VEVENT|BEGIN:VEVENT|UID:u|END:VEVENT|END:VCALENDAR",
			"BEGIN:VCALENDAR|BEGIN:VEVENT|UID:x|A:1|END:VEVENT|BEGIN:VEVENT|UID:x|END:VEVENT|END:VCALENDAR", "x"},
		{"zones and alarms have their own", "BEGIN:VCALENDAR|BEGIN:VTIMEZONE|UID:z|END:VTIMEZONE|BEGIN:VEVENT|UID:u|BEGIN:VALARM|UID:a|END:VALARM|END:VEVENT|END:VCALENDAR",
			"BEGIN:VCALENDAR|BEGIN:VTIMEZONE|UID:z|END:VTIMEZONE|BEGIN:VEVENT|UID:x|BEGIN:VALARM|UID:a|END:VALARM|END:VEVENT|END:VCALENDAR", "x"},
		{"parameters and empty lines stay", "BEGIN:VCARD|UID;VALUE=text:a| b||FN:c|END:VCARD", "BEGIN:VCARD|UID;VALUE=text:x||FN:c|END:VCARD", "x"},
		{"an encoding goes", "BEGIN:VCARD|UID;ENCODING=QUOTED-PRINTABLE:=41|END:VCARD", "BEGIN:VCARD|UID:x=|END:VCARD", "x="},
		{"a comma is escaped", "BEGIN:VCARD|UID:u|END:VCARD", `BEGIN:VCARD|UID:a\,b\;c\\d|END:VCARD`, `a,b;c\d`},
		{"one that says the same stays", "BEGIN:VCARD|UID: a,b |END:VCARD", "BEGIN:VCARD|UID: a,b |END:VCARD", "a,b"},
		{"no line is smuggled in", "BEGIN:VCARD|UID:u|END:VCARD", "BEGIN:VCARD|UID:aX:1|END:VCARD", "a\r\nX:1"},
		{"a long one is folded", "BEGIN:VCARD|UID:u|END:VCARD", "BEGIN:VCARD|UID:" + strings.Repeat("ä", 35) + "| " + strings.Repeat("ä", 37) + "| ää|END:VCARD", engine.UID(strings.Repeat("ä", 74))},
		{"a lost beginning", "UID:u|END:VCARD", "UID:x|END:VCARD", "x"},
		{"nothing to name", "x", "x", "x"},
		{"no name", "BEGIN:VCARD|UID:u|END:VCARD", "BEGIN:VCARD|UID:u|END:VCARD", " "},
	}
	for _, tt := range tests {
		for name, eol := range map[string]string{"CRLF": "\r\n", "LF": "\n"} {
			text, want := strings.ReplaceAll(tt.text, "|", eol)+eol, strings.ReplaceAll(tt.want, "|", eol)+eol
			if got := item.WithUID([]byte(text), tt.uid); string(got) != want {
				t.Errorf("%s, %s: got\n%q, want\n%q", tt.name, name, got, want)
			}
		}
	}
	if got := item.WithUID([]byte("BEGIN:VCARD"), "x"); string(got) != "BEGIN:VCARD\r\nUID:x\r\n" {
		t.Errorf("a text that ends too soon: %q", got)
	}
}

func TestCRLF(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a\n": "a\r\n", "a\nb": "a\r\nb", "a\r\nb\nc\r": "a\r\nb\r\nc\r", "\n\n": "\r\n\r\n", "a\rb\r\n": "a\rb\r\n", "\r\r\n\n": "\r\r\n\r\n",
	} {
		if got := string(item.CRLF([]byte(in))); got != want {
			t.Errorf("CRLF(%q) = %q, want %q", in, got, want)
		}
	}
	for n, text := range generated(9, 100) {
		if got := item.CRLF(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))); !bytes.Equal(got, text) {
			t.Fatalf("item %d did not come back from XML", n)
		}
	}
}

func TestProjectLeavesOutWhatAMemberCannotKeep(t *testing.T) {
	keep := func(component, property string) bool { return component != "VALARM" && property != "LOCATION" }
	text := event("item1.location;X=1:a| b|SUMMARY:c|BEGIN:VALARM|LOCATION:d|BEGIN:X|A:1|END:X|END:VALARM|BEGIN:Y|LOCATION:e|F:g|END:Y")
	if got, want := item.Project(text, keep), event("SUMMARY:c|BEGIN:Y|F:g|END:Y"); !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := item.Project(text, nil); !bytes.Equal(got, text) {
		t.Error("a nil Keep must keep everything")
	}
}

func TestASplitCalendarJoinsAgain(t *testing.T) {
	const seed = 10
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 30 {
		for _, kind := range []string{engine.Calendar, engine.AddressBook} {
			var texts [][]byte
			for _, it := range itemtest.Gen(seed+uint64(round), 1+rng.IntN(40), kind) {
				texts = append(texts, it.Text)
			}
			joined, err := item.Join(texts)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := item.Split(joined)
			if err != nil {
				t.Fatal(err)
			}
			if len(parts) != len(texts) {
				t.Fatalf("seed %d round %d: %d items became %d", seed, round, len(texts), len(parts))
			}
			for _, p := range parts {
				i := item.Read(p)
				// CALSCALE and VERSION are those of the first item.
				if !i.Parsed || i.Many || !item.Same(sameHead(p), sameHead(find(texts, i.UID))) {
					t.Fatalf("seed %d round %d: %s is not what it was:\n%s\nbut:\n%s", seed, round, i.UID, find(texts, i.UID), p)
				}
			}
		}
	}
}

func sameHead(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte("CALSCALE:GREGORIAN\r\n"), nil)
}

func find(texts [][]byte, uid engine.UID) []byte {
	for _, t := range texts {
		if item.Read(t).UID == uid {
			return t
		}
	}
	return nil
}

func TestScenario86ACalendarIsSplitIntoItems(t *testing.T) {
	zone := func(id string) string { return "BEGIN:VTIMEZONE|TZID:" + id + "|END:VTIMEZONE|" }
	tests := []struct {
		name, text string
		want       []string
	}{
		{"series and occurrence stay together, with the zones that they name",
			"BEGIN:VCALENDAR|VERSION:2.0|METHOD:PUBLISH|X-WR-CALNAME:c|" + zone("A") + zone("B") + zone("C") +
				"BEGIN:VEVENT|UID:1|DTSTART;TZID=B:x|END:VEVENT|BEGIN:VTODO|UID:2|END:VTODO|BEGIN:VEVENT|UID:1|RECURRENCE-ID;TZID=\"A\":x|END:VEVENT|END:VCALENDAR|",
			[]string{"BEGIN:VCALENDAR|VERSION:2.0|" + zone("B") + zone("A") + "BEGIN:VEVENT|UID:1|DTSTART;TZID=B:x|END:VEVENT|BEGIN:VEVENT|UID:1|RECURRENCE-ID;TZID=\"A\":x|END:VEVENT|END:VCALENDAR|",
				"BEGIN:VCALENDAR|VERSION:2.0|BEGIN:VTODO|UID:2|END:VTODO|END:VCALENDAR|"}},
		{"several calendars", "BEGIN:VCALENDAR|BEGIN:VEVENT|UID:1|END:VEVENT|END:VCALENDAR|BEGIN:VCALENDAR|BEGIN:VEVENT|UID:2|END:VEVENT|BEGIN:VEVENT|UID:1|RECURRENCE-ID:1|END:VEVENT|END:VCALENDAR|",
			[]string{"BEGIN:VCALENDAR|BEGIN:VEVENT|UID:1|END:VEVENT|BEGIN:VEVENT|UID:1|RECURRENCE-ID:1|END:VEVENT|END:VCALENDAR|", "BEGIN:VCALENDAR|BEGIN:VEVENT|UID:2|END:VEVENT|END:VCALENDAR|"}},
		{"no UID: an item each", "BEGIN:VCALENDAR|BEGIN:VEVENT|A:1|END:VEVENT|BEGIN:VEVENT|A:2|END:VEVENT|END:VCALENDAR|",
			[]string{"BEGIN:VCALENDAR|BEGIN:VEVENT|A:1|END:VEVENT|END:VCALENDAR|", "BEGIN:VCALENDAR|BEGIN:VEVENT|A:2|END:VEVENT|END:VCALENDAR|"}},
		{"cards of one UID stay two", "BEGIN:VCARD|UID:1|END:VCARD|BEGIN:VCARD|UID:1|END:VCARD|", []string{"BEGIN:VCARD|UID:1|END:VCARD|", "BEGIN:VCARD|UID:1|END:VCARD|"}},
		{"a line of nonsense concerns its item", "BEGIN:VCALENDAR|BEGIN:VEVENT|UID:1|nonsense|END:VEVENT|BEGIN:VEVENT|UID:2|END:VEVENT|END:VCALENDAR|",
			[]string{"BEGIN:VCALENDAR|BEGIN:VEVENT|UID:1|nonsense|END:VEVENT|END:VCALENDAR|", "BEGIN:VCALENDAR|BEGIN:VEVENT|UID:2|END:VEVENT|END:VCALENDAR|"}},
		{"an empty calendar", "BEGIN:VCALENDAR|END:VCALENDAR|", []string{}},
	}
	for _, tt := range tests {
		parts, err := item.Split(crlf(strings.TrimSuffix(tt.text, "|")))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []string{}
		for _, p := range parts {
			got = append(got, strings.ReplaceAll(string(p), "\r\n", "|"))
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
	for text, want := range map[string]string{
		"END:VEVENT":                "ends",
		"BEGIN:VCARD|END:VCALENDAR": "inside",
		"BEGIN:VCALENDAR|BEGIN:VEVENT|UID:1|END:VEVENT": "the text ends inside",
		"<html>": "no name", "A:1|BEGIN:VCARD|END:VCARD": "outside", "": "empty",
	} {
		if parts, err := item.Split(crlf(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cannot split the text: ") {
			t.Errorf("%q: got %d parts and %v, want an error with %q", text, len(parts), err, want)
		}
	}
}

func TestSplitDoesNotBlowUp(t *testing.T) {
	many := func(zone int) error {
		text := "BEGIN:VCALENDAR|BEGIN:VTIMEZONE|TZID:Z|X:" + strings.Repeat("z", zone) + "|END:VTIMEZONE|" +
			strings.Repeat("BEGIN:VEVENT|DTSTART;TZID=Z:1|END:VEVENT|", 2000) + "END:VCALENDAR"
		_, err := item.Split(crlf(text))
		return err
	}
	if err := many(2000); err != nil {
		t.Errorf("a zone of 2 KB for 2000 events: %v", err)
	}
	if err := many(100000); err == nil {
		t.Error("a zone of 100 KB for 2000 events was copied 2000 times")
	}
}

func TestJoinRefusesWhatItCannotTakeApart(t *testing.T) {
	if _, err := item.Join([][]byte{card("FN:a"), crlf("BEGIN:VCARD")}); err == nil || !strings.Contains(err.Error(), "cannot join item 2") {
		t.Errorf("got %v", err)
	}
}
