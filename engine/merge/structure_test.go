package merge

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
)

// calendar wraps components, which are lines with "|" between them.
func calendar(components ...string) []byte {
	return wrap("VCALENDAR", strings.ReplaceAll(strings.Join(components, ""), "|", "\n"))
}

func zone(offset string) string {
	return "BEGIN:VTIMEZONE|TZID:Z|BEGIN:STANDARD|TZOFFSETTO:" + offset + "|END:STANDARD|END:VTIMEZONE|"
}

const (
	master   = "BEGIN:VEVENT|UID:u|DTSTART:20240101T100000Z|RRULE:FREQ=DAILY|SUMMARY:Series|END:VEVENT|"
	override = "BEGIN:VEVENT|UID:u|RECURRENCE-ID:20240103T100000Z|DTSTART:20240103T120000Z|SUMMARY:Moved|END:VEVENT|"
	another  = "BEGIN:VEVENT|UID:u|RECURRENCE-ID:20240104T100000Z|DTSTART:20240104T120000Z|SUMMARY:Late|END:VEVENT|"
)

func replaced(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }

func TestComponents(t *testing.T) {
	exdate := replaced(master, "SUMMARY", "EXDATE:20240103T100000Z|SUMMARY")
	zoned := replaced(master, "DTSTART:", "DTSTART;TZID=Z:")
	alarm := replaced(master, "END:VEVENT", "BEGIN:VALARM|TRIGGER:-PT5M|END:VALARM|END:VEVENT")
	tests := []struct {
		name             string
		base, a, b, want string
		clashes          string
	}{
		{"an edit of the series and one of an occurrence combine", master + override,
			replaced(master, "Series", "S") + override, master + replaced(override, "Moved", "M"),
			replaced(master, "Series", "S") + replaced(override, "Moved", "M"), ""},
		{"two occurrences changed", master, master + override, another + master, master + override + another, ""},
		{"one occurrence changed by both alike", master, master + override, override + master, master + override, ""},
		{"one occurrence changed by both, differently", master, master + override, master + replaced(override, "Moved", "M"),
			master + override, "SUMMARY"},
		{"one occurrence changed by both, one says more", master, master + override, master + replaced(override, "SUMMARY", "LOCATION:x|SUMMARY"),
			master + replaced(override, "SUMMARY", "LOCATION:x|SUMMARY"), ""},
		{"an occurrence deleted here and edited there", master + override, exdate, master + replaced(override, "Moved", "M"), exdate, "VEVENT"},
		{"an occurrence edited here and deleted there", master + override, master + replaced(override, "Moved", "M"), exdate,
			exdate + replaced(override, "Moved", "M"), "VEVENT"},
		{"an occurrence deleted by both", master + override, exdate, exdate, exdate, ""},
		{"two occurrences cancelled", master, exdate, replaced(master, "SUMMARY", "EXDATE:20240105T100000Z|SUMMARY"),
			replaced(master, "SUMMARY", "EXDATE:20240103T100000Z|EXDATE:20240105T100000Z|SUMMARY"), ""},
		{"an occurrence cancelled here and the series moved there", master, exdate, replaced(master, "0101T10", "0101T11"),
			replaced(exdate, "0101T10", "0101T11"), "DTSTART"},
		{"an occurrence changed here and the series moved there", master, master + override, replaced(master, "0101T10", "0101T11"),
			replaced(master, "0101T10", "0101T11") + override, "DTSTART"},
		{"a series moved by both alike, with its occurrence", master + override, replaced(master+override, "0101T10", "0101T11"),
			replaced(master+override, "0101T10", "0101T11"), replaced(master+override, "0101T10", "0101T11"), ""},
		{"a single event moved while the other got an alarm", replaced(master, "RRULE:FREQ=DAILY|", ""), replaced(alarm, "RRULE:FREQ=DAILY|", ""),
			replaced(master, "RRULE:FREQ=DAILY|", "", "0101T10", "0101T11"), replaced(alarm, "RRULE:FREQ=DAILY|", "", "0101T10", "0101T11"), ""},
		{"an alarm deleted here and edited there", alarm, master, replaced(alarm, "5M", "6M"), master, "VALARM"},
		{"an alarm deleted here and the series renamed there", alarm, master, replaced(alarm, "Series", "S"), replaced(master, "Series", "S"), ""},

		{"a zone's offset changed", zone("+0100") + zoned, zone("+0200") + zoned, zone("+0100") + replaced(zoned, "Series", "S"),
			zone("+0200") + replaced(zoned, "Series", "S"), ""},
		{"a zone's offset changed in two ways", zone("+0100") + zoned, zone("+0200") + zoned, zone("+0300") + zoned,
			zone("+0200") + zoned, "VTIMEZONE"},
		{"a zone that a member leaves out stays while something names it", zone("+0100") + zoned,
			replaced(zoned, "Series", "S"), zone("+0100") + replaced(zoned, "DAILY", "WEEKLY"),
			zone("+0100") + replaced(zoned, "DAILY", "WEEKLY", "Series", "S"), ""},
		{"a zone that nothing names any more goes", zone("+0100") + zoned, master, zone("+0100") + replaced(zoned, "Series", "S"),
			replaced(master, "Series", "S"), ""},
		{"a zone comes with what names it", master, zone("+0100") + zoned, replaced(master, "Series", "S"),
			zone("+0100") + replaced(zoned, "Series", "S"), ""},
		{"a zone comes with different rules", master, zone("+0100") + zoned, zone("+0200") + zoned, zone("+0100") + zoned, "VTIMEZONE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := calendar(tt.base)
			edits := []Edit{{Mark: b, Text: calendar(tt.a)}, {Mark: b, Text: calendar(tt.b)}}
			check(t, b, edits, calendar(tt.want), tt.clashes)
			edits[0], edits[1] = edits[1], edits[0]
			if got := Merge(b, edits); strings.Join(got.Clashes, " ") != tt.clashes ||
				tt.clashes == "" && item.Sum(got.Text) != item.Sum(calendar(tt.want)) {
				t.Errorf("the other way round: clashes %v:\n%s", got.Clashes, got.Proposal)
			}
		})
	}
}

func TestLateMembersAndComponents(t *testing.T) {
	old, moved := master+override, replaced(override, "Moved", "M")
	late := func(text string) []Edit {
		return []Edit{{Mark: calendar(old), Text: calendar(text), Behind: true}}
	}
	check(t, calendar(master+moved), late(master), calendar(master), "VEVENT")
	check(t, calendar(master), late(master+moved), calendar(master), "VEVENT")
	check(t, calendar(master), late(replaced(master, "Series", "S")+override), calendar(replaced(master, "Series", "S")), "")
	check(t, calendar(master+moved), late(master+override+another), calendar(master+moved+another), "")
	check(t, calendar(replaced(master, "0101T10", "0101T11")+override), late(master+moved),
		calendar(replaced(master, "0101T10", "0101T11")+moved), "DTSTART")
	check(t, calendar(master+override+another), late(master+override+replaced(another, "Late", "L")),
		calendar(master+override+replaced(another, "Late", "L")), "SUMMARY")

	// A zone that the member's server had left out is nobody's edit.
	zoned := replaced(master, "DTSTART:", "DTSTART;TZID=Z:")
	check(t, calendar(zone("+0100")+zoned), []Edit{{Mark: calendar(zoned), Text: calendar(zone("+0200") + replaced(zoned, "Series", "S"))}},
		calendar(zone("+0100")+replaced(zoned, "Series", "S")), "")
}

func TestCards(t *testing.T) {
	base := []string{"FN:Ann", "TEL;TYPE=HOME:1", "TEL;TYPE=WORK:2", "item1.URL:x", "item1.X-ABLabel:Home", "CATEGORIES:a,b", "REV:2024-01-01T00:00:00Z"}
	with := func(pairs ...string) []byte { return card(edit(base, pairs...)...) }
	group := func(members ...string) []byte {
		lines := []string{"FN:G", "X-ADDRESSBOOKSERVER-KIND:group"}
		for _, m := range members {
			lines = append(lines, "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:"+m)
		}
		return card(lines...)
	}
	b := with()
	tests := []struct {
		name             string
		base, a, b, want []byte
		clashes          string
	}{
		{"two numbers changed", b, with("TEL;TYPE=HOME:1", "TEL;TYPE=HOME:11"), with("TEL;TYPE=WORK:2", "TEL;TYPE=WORK:22"),
			with("TEL;TYPE=HOME:1", "TEL;TYPE=HOME:11", "TEL;TYPE=WORK:2", "TEL;TYPE=WORK:22"), ""},
		{"a type changed and another number added", b, with("TEL;TYPE=HOME:1", "TEL;TYPE=CELL:1"), with("TEL;TYPE=WORK:2", "+TEL:3"),
			with("TEL;TYPE=HOME:1", "TEL;TYPE=CELL:1", "TEL;TYPE=WORK:2", "+TEL:3"), ""},
		{"one number deleted and changed", b, with("TEL;TYPE=HOME:1", ""), with("TEL;TYPE=HOME:1", "TEL;TYPE=CELL:1"),
			with("TEL;TYPE=HOME:1", ""), "TEL"},
		{"both dated anew", b, with("REV:2024-01-01T00:00:00Z", "REV:2024-03-01T00:00:00Z", "FN:Ann", "FN:Anna"),
			with("REV:2024-01-01T00:00:00Z", "REV:20240201T000000Z", "CATEGORIES:a,b", ""),
			with("FN:Ann", "FN:Anna", "CATEGORIES:a,b", ""), ""},
		{"both name the new group of lines alike", b, with("FN:Ann", "+item2.EMAIL:a@b", "item2.EMAIL:a@b", "+item2.X-ABLabel:A"),
			with("FN:Ann", "+item2.EMAIL:c@d", "item2.EMAIL:c@d", "+item2.X-ABLabel:C"),
			with("FN:Ann", "+item2.EMAIL:a@b", "item2.EMAIL:a@b", "+item2.X-ABLabel:A", "item2.X-ABLabel:A", "+item3.EMAIL:c@d",
				"item3.EMAIL:c@d", "+item3.X-ABLabel:C"), ""},
		{"a label changed here and its address there", b, with("item1.X-ABLabel:Home", "item1.X-ABLabel:Work"),
			with("item1.URL:x", "item1.URL:y"), with("item1.X-ABLabel:Home", "item1.X-ABLabel:Work"), "URL"},
		{"a group of lines deleted here, the name changed there", b, with("item1.X-ABLabel:Home", "", "item1.URL:x", ""), with("FN:Ann", "FN:Anna"),
			with("item1.X-ABLabel:Home", "", "item1.URL:x", "", "FN:Ann", "FN:Anna"), ""},
		{"members of a group are a set", group("a", "b", "c"), group("a", "c", "d"), group("e", "c", "b", "a"), group("a", "c", "d", "e"), ""},
		{"categories are a set", b, with("CATEGORIES:a,b", "CATEGORIES:b,c"), with("CATEGORIES:a,b", "CATEGORIES:a,b,d"),
			with("CATEGORIES:a,b", "CATEGORIES:b,c,d"), ""},
		{"a list deleted here and extended there keeps what is new", b, with("CATEGORIES:a,b", ""), with("CATEGORIES:a,b", "CATEGORIES:a,b,d"),
			with("CATEGORIES:a,b", "CATEGORIES:d"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			edits := []Edit{{Mark: tt.base, Text: tt.a}, {Mark: tt.base, Text: tt.b}}
			got := check(t, tt.base, edits, tt.want, tt.clashes)
			edits[0], edits[1] = edits[1], edits[0]
			again := Merge(tt.base, edits)
			if tt.clashes == "" && item.Sum(again.Text) != item.Sum(got.Text) {
				t.Errorf("the other way round:\n%s", again.Text)
			}
		})
	}
	if got := Merge(b, []Edit{{Mark: b, Text: tests[3].a}, {Mark: b, Text: tests[3].b}}); !strings.Contains(string(got.Text), "REV:2024-03-01T00:00:00Z\r\n") {
		t.Errorf("the newest REV must win:\n%s", got.Text)
	}
}
