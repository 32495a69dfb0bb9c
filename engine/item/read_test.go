package item_test

import (
	"reflect"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name string
		text []byte
		want item.Info
	}{
		{"an event", event("SUMMARY:Lunch\\, late|SEQUENCE:3|LAST-MODIFIED:19700102T000000Z|ORGANIZER;CN=A:mailto:a@b|ATTENDEE:mailto:c@d"),
			item.Info{UID: "u", Kind: engine.Calendar, Components: []string{"VEVENT"}, Summary: "Lunch, late", Sequence: 3, Modified: 86400, Organizer: "mailto:a@b", Attendees: true, Parsed: true}},
		{"a card", card("FN:Ann|REV:1970-01-01T01:00:00+01:00|N:B;A"),
			item.Info{UID: "u", Kind: engine.AddressBook, Components: []string{"VCARD"}, Summary: "Ann", Sequence: -1, Parsed: true}},
		{"a card without a name", card("ORG:Acme\\; Inc;R&D"),
			item.Info{UID: "u", Kind: engine.AddressBook, Components: []string{"VCARD"}, Summary: "Acme; Inc R&D", Sequence: -1, Parsed: true}},
		{"an alarm's UID is not the item's", calendar("UID:calendar|BEGIN:VTIMEZONE|TZID:Z|UID:zone|END:VTIMEZONE|BEGIN:VTODO|BEGIN:VALARM|UID:alarm|SUMMARY:no|END:VALARM|uid;X=1: folded|  uid |END:VTODO"),
			item.Info{UID: "folded uid", Kind: engine.Calendar, Components: []string{"VTODO"}, Sequence: -1, Parsed: true}},
		{"an occurrence before its series", calendar("BEGIN:VEVENT|UID:u|RECURRENCE-ID:1|SUMMARY:moved|SEQUENCE:4|END:VEVENT|BEGIN:VEVENT|UID:u|SUMMARY:series|SEQUENCE:2|END:VEVENT"),
			item.Info{UID: "u", Kind: engine.Calendar, Components: []string{"VEVENT"}, Summary: "series", Sequence: 4, Parsed: true}},
		{"two items", calendar("BEGIN:VEVENT|UID:a|END:VEVENT|BEGIN:VTODO|UID:b|END:VTODO"),
			item.Info{UID: "a", Many: true, Kind: engine.Calendar, Components: []string{"VEVENT", "VTODO"}, Sequence: -1, Parsed: true}},
		{"two cards", append(card("FN:A"), card("FN:B")...),
			item.Info{UID: "u", Many: true, Kind: engine.AddressBook, Components: []string{"VCARD"}, Summary: "A", Sequence: -1, Parsed: true}},
		{"no UID", card("FN:\\n x\x01\xff\t\\\\n"),
			item.Info{UID: "u", Kind: engine.AddressBook, Components: []string{"VCARD"}, Summary: `x \n`, Sequence: -1, Parsed: true}},
		{"an escaped UID", event("X:1|UID:second"), item.Info{UID: "u", Kind: engine.Calendar, Components: []string{"VEVENT"}, Sequence: -1, Parsed: true}},
		{"a bare event", crlf(`BEGIN:VEVENT|UID:a\,b\\c|END:VEVENT`), item.Info{UID: `a,b\c`, Kind: engine.Calendar, Components: []string{"VEVENT"}, Sequence: -1, Parsed: true}},
		{"nonsense", crlf("<html>|<b>UID:x</b>"), item.Info{Sequence: -1, Reason: "line 1 has no name before a colon"}},
		{"a lost beginning", crlf("UID:x|SUMMARY:y|END:VEVENT|END:VCALENDAR"), item.Info{UID: "x", Summary: "y", Sequence: -1, Reason: "line 1 stands outside any component"}},
		{"a lost end", crlf("BEGIN:VCALENDAR|BEGIN:VEVENT|UID:x"), item.Info{UID: "x", Kind: engine.Calendar, Components: []string{"VEVENT"}, Sequence: -1, Reason: `the text ends inside "VEVENT"`}},
		{"a wrong end", crlf("BEGIN:VCARD||UID:x| y|END:VCALENDAR"), item.Info{UID: "xy", Kind: engine.AddressBook, Components: []string{"VCARD"}, Sequence: -1, Reason: `line 5 ends "VCALENDAR" inside "VCARD"`}},
		{"an end too many", crlf("END:X"), item.Info{Sequence: -1, Reason: `line 1 ends "X", which has not begun`}},
		{"nothing", nil, item.Info{Sequence: -1, Reason: "the text is empty"}},
	}
	for _, tt := range tests {
		if got := item.Read(tt.text); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", tt.name, got, tt.want)
		}
	}
}

func TestASummaryIsShort(t *testing.T) {
	for n, want := range map[int]int{199: 199, 200: 200, 201: 200, 100000: 200} {
		if got := []rune(item.Read(event("SUMMARY:" + strings.Repeat("ä", n))).Summary); len(got) != want {
			t.Errorf("a title of %d runes is shown with %d, want %d", n, len(got), want)
		}
	}
}

func TestNewer(t *testing.T) {
	at := func(sequence, modified int64) item.Info { return item.Info{Sequence: sequence, Modified: modified} }
	tests := []struct {
		a, b  item.Info
		order int
		known bool
	}{
		{at(2, 0), at(1, 9), 1, true}, {at(1, 9), at(2, 0), -1, true}, {at(1, 2), at(1, 1), 1, true}, {at(-1, 1), at(5, 2), -1, true},
		{at(1, 0), at(1, 5), 0, false}, {at(-1, 0), at(3, 0), 0, false}, {at(1, 5), at(1, 5), 0, false},
	}
	for _, tt := range tests {
		if order, known := item.Newer(tt.a, tt.b); order != tt.order || known != tt.known {
			t.Errorf("Newer(%+v, %+v) = %d, %v; want %d, %v", tt.a, tt.b, order, known, tt.order, tt.known)
		}
	}
}

func TestTakes(t *testing.T) {
	tests := []struct {
		takes, has []string
		want       bool
	}{
		{nil, []string{"VEVENT"}, true}, {[]string{"VEVENT"}, []string{"VEVENT"}, true}, {[]string{"VTODO"}, []string{"VEVENT"}, false},
		{[]string{"VEVENT"}, []string{"VEVENT", "VTODO"}, false}, {[]string{"VEVENT"}, nil, true}, {[]string{}, []string{"VCARD"}, false},
	}
	for _, tt := range tests {
		if got := item.Takes(tt.takes, item.Info{Components: tt.has}); got != tt.want {
			t.Errorf("a collection of %q takes %q: %v", tt.takes, tt.has, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for stamp, want := range map[string]int64{
		"19700101T000000Z": 0, "20000229T120001Z": 951825601, "2000-02-29T12:00:01Z": 951825601, "20000229T120001": 951825601,
		"2000-02-29T12:00:01.999+01:00": 951822001, "20000229T120001-0130": 951831001, "2000-02-29T12:00:01+01": 951822001,
		"20000229": 951782400, "2000-02-29": 951782400, "20240301T000000Z": 1709251200, "19691231T235959Z": -1, "21000301T000000Z": 4107542400,
		"20240229t235960z": 1709251200,
	} {
		if got, ok := item.Seconds([]byte(stamp)); !ok || got != want {
			t.Errorf("Seconds(%q) = %d, %v; want %d", stamp, got, ok, want)
		}
	}
	for _, stamp := range []string{"", "x", "2024", "20241301T000000Z", "20240100", "20240101T25Z", "20240101T000000+1", "20240101T000000Z1", "-20240101"} {
		if got, ok := item.Seconds([]byte(stamp)); ok {
			t.Errorf("Seconds(%q) = %d", stamp, got)
		}
	}
}
