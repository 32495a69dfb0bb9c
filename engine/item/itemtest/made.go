package itemtest

import (
	"bytes"
	"fmt"
	"strings"
)

// made are hard items that are better made than kept in files.
func made() []NamedText {
	plain := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:made-1\r\nDTSTAMP:20240101T120000Z\r\n" +
		"DTSTART:20240201T090000Z\r\n%sSUMMARY:Made\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	event := func(lines string) []byte { return fmt.Appendf(nil, plain, lines) }
	attendees, comments, overrides := "", "", ""
	for i := range 300 {
		attendees += fold(fmt.Sprintf(`ATTENDEE;CN="Person, %d";PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:user%d@example.org`, i, i))
		comments += fmt.Sprintf("COMMENT:%d\r\n", i)
		overrides += fmt.Sprintf("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:made-1\r\nDTSTAMP:20240101T120000Z\r\nRECURRENCE-ID:20240201T09%02d%02dZ\r\n", i/60, i%60)
	}
	return []NamedText{
		{"made-bare-lf.ics", bytes.ReplaceAll(event(""), []byte("\r\n"), []byte("\n"))},
		{"made-mixed-line-ends.ics", bytes.Replace(event("COMMENT:a\rb\r\n"), []byte("\r\n"), []byte("\n"), 3)},
		{"made-cr-only.ics", bytes.ReplaceAll(event(""), []byte("\r\n"), []byte("\r"))},
		{"made-double-cr.ics", bytes.ReplaceAll(event(""), []byte("\r\n"), []byte("\r\r\n"))},
		{"made-no-last-line-end.ics", bytes.TrimRight(event(""), "\r\n")},
		{"made-300-attendees.ics", event(attendees)},
		{"made-300-comments.ics", event(comments)},
		{"made-300-occurrences.ics", event("RRULE:FREQ=MINUTELY\r\n" + overrides)},
		{"made-deep.ics", event(strings.Repeat("BEGIN:X\r\n", 500) + strings.Repeat("END:X\r\n", 500))},
		{"made-100-KB-description.ics", event(fold("DESCRIPTION:" + strings.Repeat("Ω and more\\, ", 8000)))},
		{"made-1000-exdates.ics", event(fold("EXDATE:" + strings.Repeat("20240202T090000Z,", 999) + "20240203T090000Z"))},
		{"made-10-KB-photo.vcf", Photo(10 << 10)},
		{"made-1-MB-photo.vcf", Photo(1 << 20)},
	}
}
