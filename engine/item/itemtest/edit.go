package itemtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Edit changes an item as a person does: a new title, a moved time, a word more
// in a note, an alarm added or taken away, an answer to an invitation. The result
// always differs in what it says, and never in its UID. All lines that the edit
// does not concern keep their bytes.
func Edit(rng *rand.Rand, text []byte) []byte {
	e := editor{rng: rng, lines: logical(text)}
	edits := []func() bool{e.title, e.title, e.note, e.place, e.alarm, e.dropAlarm, e.answer, e.phone, e.category, e.exception, e.later}
	for range 8 {
		if edits[rng.IntN(len(edits))]() {
			e.renew()
			return []byte(strings.Join(e.lines, ""))
		}
	}
	e.insert(fmt.Sprintf("X-DAVBUS-TEST:%d", rng.Uint32()))
	return []byte(strings.Join(e.lines, ""))
}

// logical cuts a text before every line that does not continue another.
func logical(text []byte) (lines []string) {
	start, at := 0, 0
	for line := range bytes.Lines(text) {
		goesOn := line[0] == ' ' || line[0] == '\t' || softBreak(bytes.TrimRight(text[start:at], "\r\n"))
		if at > start && !goesOn {
			lines = append(lines, string(text[start:at]))
			start = at
		}
		at += len(line)
	}
	return append(lines, string(text[start:]))
}

type editor struct {
	rng   *rand.Rand
	lines []string
}

// find gives the first line of a property in the item itself, in no alarm and no
// time zone; -1 if there is none.
func (e *editor) find(names ...string) int {
	inside := ""
	for i, l := range e.lines {
		switch {
		case inside != "":
			if strings.HasPrefix(l, "END:"+inside) {
				inside = ""
			}
			continue
		case strings.HasPrefix(l, "BEGIN:VALARM"):
			inside = "VALARM"
		case strings.HasPrefix(l, "BEGIN:VTIMEZONE"):
			inside = "VTIMEZONE"
		}
		for _, n := range names {
			if strings.HasPrefix(l, n+":") || strings.HasPrefix(l, n+";") {
				return i
			}
		}
	}
	return -1
}

func (e *editor) isCard() bool { return strings.HasPrefix(e.lines[0], "BEGIN:VCARD") }

// insert puts a line behind the UID's.
func (e *editor) insert(lines ...string) bool {
	at := e.find("UID")
	if at < 0 {
		return false
	}
	for _, l := range lines {
		at++
		e.lines = append(e.lines[:at], append([]string{fold(l)}, e.lines[at:]...)...)
	}
	return true
}

// set changes a value, or adds the property.
func (e *editor) set(value string, names ...string) bool {
	at := e.find(names...)
	if at < 0 {
		return e.insert(names[0] + ":" + value)
	}
	whole := strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\r\n", "").Replace(e.lines[at])
	head, _, _ := strings.Cut(whole, ":")
	if strings.Contains(head, `"`) {
		return false
	}
	e.lines[at] = fold(head + ":" + value)
	return true
}

func (e *editor) word() string {
	return fmt.Sprintf("%s %d", vocabulary[e.rng.IntN(len(vocabulary))], e.rng.Uint32())
}

func (e *editor) title() bool {
	if e.isCard() {
		return e.set("Edited "+e.word(), "FN")
	}
	return e.set("Edited "+e.word(), "SUMMARY")
}

func (e *editor) note() bool {
	if e.isCard() {
		return e.set(e.word()+`\nand more`, "NOTE")
	}
	return e.set(e.word()+`\nand more`, "DESCRIPTION")
}

func (e *editor) place() bool { return !e.isCard() && e.set(e.word(), "LOCATION") }

func (e *editor) alarm() bool {
	at := e.find("END")
	if e.isCard() || at < 0 || strings.HasPrefix(e.lines[at], "END:VCALENDAR") {
		return false
	}
	alarm := fmt.Sprintf("BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:%s\r\nTRIGGER:-PT%dM\r\nEND:VALARM\r\n", e.word(), 1+e.rng.IntN(600))
	e.lines = append(e.lines[:at], append([]string{alarm}, e.lines[at:]...)...)
	return true
}

func (e *editor) dropAlarm() bool {
	for i, l := range e.lines {
		if i > 0 && strings.HasPrefix(l, "BEGIN:VALARM") {
			for j := i; j < len(e.lines); j++ {
				if strings.HasPrefix(e.lines[j], "END:VALARM") {
					e.lines = append(e.lines[:i], e.lines[j+1:]...)
					return true
				}
			}
		}
	}
	return false
}

func (e *editor) answer() bool {
	at := e.find("ATTENDEE")
	if at < 0 {
		return false
	}
	was := e.lines[at]
	e.lines[at] = strings.Replace(was, "PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED", 1)
	return e.lines[at] != was
}

func (e *editor) phone() bool {
	return e.isCard() && e.insert(fmt.Sprintf("TEL;TYPE=CELL:+1 555 %d", e.rng.Uint32()))
}

func (e *editor) category() bool { return e.set("Edited,"+fmt.Sprint(e.rng.Uint32()), "CATEGORIES") }

// exception takes one occurrence out of a series.
func (e *editor) exception() bool {
	if e.find("RRULE") < 0 {
		return false
	}
	return e.insert(fmt.Sprintf("EXDATE:2029%02d%02dT%02d%02d00Z", 1+e.rng.IntN(12), 1+e.rng.IntN(28), e.rng.IntN(24), e.rng.IntN(60)))
}

// later moves an event that has an end, without its end: one that ends at a
// time of its own is left alone.
func (e *editor) later() bool {
	at := e.find("DTSTART")
	if at < 0 || e.find("DURATION") < 0 {
		return false
	}
	head, value, ok := strings.Cut(strings.TrimRight(e.lines[at], "\r\n"), ":")
	if !ok || len(value) < 15 {
		return false
	}
	moved := fmt.Sprintf("%s%02d%02d00%s", value[:9], e.rng.IntN(24), e.rng.IntN(60), value[15:])
	e.lines[at] = fold(head + ":" + moved)
	return moved != value
}

// renew counts and dates the edit, as programs do.
func (e *editor) renew() {
	if e.isCard() {
		if at := e.find("REV"); at >= 0 {
			e.lines[at] = fmt.Sprintf("REV:2026-01-%02dT00:00:%02dZ\r\n", 1+e.rng.IntN(28), e.rng.IntN(60))
		}
		return
	}
	if at := e.find("LAST-MODIFIED"); at >= 0 {
		e.lines[at] = fmt.Sprintf("LAST-MODIFIED:202601%02dT0000%02dZ\r\n", 1+e.rng.IntN(28), e.rng.IntN(60))
	}
	var n int
	if at := e.find("SEQUENCE"); at >= 0 && e.rng.IntN(2) == 0 {
		if _, err := fmt.Sscanf(e.lines[at], "SEQUENCE:%d", &n); err == nil {
			e.lines[at] = fmt.Sprintf("SEQUENCE:%d\r\n", n+1)
		}
	}
}
