package item_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// crlf writes lines, which have "|" between them, as a text.
func crlf(lines string) []byte {
	return item.CRLF([]byte(strings.ReplaceAll(lines, "|", "\n") + "\n"))
}

func calendar(body string) []byte {
	return crlf("BEGIN:VCALENDAR|VERSION:2.0|" + body + "|END:VCALENDAR")
}

func event(body string) []byte { return calendar("BEGIN:VEVENT|UID:u|" + body + "|END:VEVENT") }

func card(body string) []byte { return crlf("BEGIN:VCARD|VERSION:3.0|UID:u|" + body + "|END:VCARD") }

func TestScenario88SumSeesNoDifference(t *testing.T) {
	tests := []struct {
		what string
		a, b []byte
	}{
		{"line ends", event("SUMMARY:a"), bytes.ReplaceAll(event("SUMMARY:a"), []byte("\r"), nil)},
		{"empty lines", event("SUMMARY:a"), event("||SUMMARY:a|")},
		{"a missing last line end", event("SUMMARY:a"), bytes.TrimSpace(event("SUMMARY:a"))},
		{"a byte order mark", event("SUMMARY:a"), append([]byte("\xef\xbb\xbf"), event("SUMMARY:a")...)},
		{"folds", event("SUMMARY:abc"), event("SUM| MARY:a|\tb| c")},
		{"a fold inside a character", event("SUMMARY:ä"), event("SUMMARY:\xc3| \xa4")},
		{"case of names", event("SUMMARY;LANGUAGE=de:a"), []byte(strings.NewReplacer("VEVENT", "vevent", "SUMMARY", "Summary", "LANGUAGE", "language", "BEGIN", "begin").Replace(string(event("SUMMARY;LANGUAGE=de:a"))))},
		{"case of groups", card("item1.TEL:1"), card("ITEM1.tel:1")},
		{"order of properties", event("SUMMARY:a|LOCATION:b"), event("LOCATION:b|SUMMARY:a")},
		{"order of parameters", event("ATTENDEE;A=1;B=2:x"), event("ATTENDEE;B=2;A=1:x")},
		{"values of a parameter in one or two", card("TEL;TYPE=HOME,VOICE:1"), card("TEL;TYPE=VOICE;TYPE=HOME:1")},
		{"quotes", event(`ATTENDEE;CN="Doe";X=1:x`), event("ATTENDEE;CN=Doe;X=1:x")},
		{"order of parts of a rule", event("RRULE:FREQ=DAILY;COUNT=3"), event("RRULE:COUNT=3;FREQ=DAILY")},
		{"an empty part of a rule", event("RRULE:FREQ=DAILY;COUNT=3"), event("RRULE:;COUNT=3;;FREQ=DAILY;")},
		{"order of alarms", event("BEGIN:VALARM|TRIGGER:1|END:VALARM|BEGIN:VALARM|TRIGGER:2|END:VALARM"), event("BEGIN:VALARM|TRIGGER:2|END:VALARM|BEGIN:VALARM|TRIGGER:1|END:VALARM")},
		{"time stamps", event("DTSTAMP:1|LAST-MODIFIED:1|CREATED:1"), event("DTSTAMP:2|LAST-MODIFIED:2")},
		{"what servers add", event("A:1"), calendar("PRODID:x|METHOD:PUBLISH|X-WR-CALNAME:c|X-RADICALE-NAME:n|BEGIN:VEVENT|UID:u|A:1|END:VEVENT")},
		{"a card's revision", card("REV:1|PRODID:a"), card("REV:2")},
		{"the spelling of a duration", event("DURATION:PT75M|BEGIN:VALARM|TRIGGER:-P1W|END:VALARM"), event("DURATION:+PT1H15M|BEGIN:VALARM|TRIGGER:-P7DT0S|END:VALARM")},
		{"the sign of no duration", event("DURATION:-PT0M"), event("DURATION:PT0S")},
		{"soft line breaks", card("NOTE;ENCODING=QUOTED-PRINTABLE:a=|b=|c"), card("NOTE;ENCODING=QUOTED-PRINTABLE:abc")},
	}
	for _, tt := range tests {
		if item.Sum(tt.a) != item.Sum(tt.b) || !item.Same(tt.a, tt.b) {
			t.Errorf("%s count:\n%s\n%s", tt.what, tt.a, tt.b)
		}
	}
}

func TestSumSeesADifference(t *testing.T) {
	alarms := func(a, b string) []byte {
		return event("BEGIN:VALARM|DESCRIPTION:x|TRIGGER:" + a + "|END:VALARM|BEGIN:VALARM|DESCRIPTION:y|TRIGGER:" + b + "|END:VALARM")
	}
	series := func(a, b string) []byte {
		return calendar("BEGIN:VEVENT|UID:u|SUMMARY:" + a + "|END:VEVENT|BEGIN:VEVENT|UID:u|RECURRENCE-ID:1|SUMMARY:" + b + "|END:VEVENT")
	}
	zone := func(offset string) []byte {
		return calendar("BEGIN:VTIMEZONE|TZID:Z|BEGIN:STANDARD|TZOFFSETTO:" + offset + "|END:STANDARD|END:VTIMEZONE|BEGIN:VEVENT|UID:u|END:VEVENT")
	}
	tests := []struct {
		what string
		a, b []byte
	}{
		{"titles swapped between series and occurrence", series("x", "y"), series("y", "x")},
		{"triggers swapped between alarms", alarms("1", "2"), alarms("2", "1")},
		{"a zone's offset", zone("+0100"), zone("+0200")},
		{"tails swapped between folded lines", event("A:a| 1|B:b| 2"), event("A:a| 2|B:b| 1")},
		{"a property in another component", event("A:1|BEGIN:VALARM|B:1|END:VALARM"), event("A:1|B:1|BEGIN:VALARM|END:VALARM")},
		{"one alarm less of two alike", alarms("1", "1"), event("BEGIN:VALARM|DESCRIPTION:x|TRIGGER:1|END:VALARM")},
		{"one property less of two alike", event("COMMENT:a|COMMENT:a"), event("COMMENT:a")},
		{"a value's case", event("SUMMARY:a"), event("SUMMARY:A")},
		{"a value's space", event("SUMMARY:a"), event("SUMMARY:a ")},
		{"an escape", event(`SUMMARY:a\,b`), event("SUMMARY:a,b")},
		{"a parameter", event("A;X=1:a"), event("A;X=2:a")},
		{"a parameter's name", event("A;X=1:a"), event("A;Y=1:a")},
		{"a parameter and the value", event("A;X=1:a"), event("A:X=1:a")},
		{"a quoted comma", event(`A;X="1,2":a`), event("A;X=1,2:a")},
		{"a type and an empty parameter", card("TEL;CELL:1"), card("TEL;CELL=:1")},
		{"a card's creation", card("CREATED:1"), card("CREATED:2")},
		{"an event's REV", event("REV:1"), event("REV:2")},
		{"a quote without an end", event(`A;X="1;Y=2:a`), event(`A;X="1;Y=3:a`)},
		{"a part of a rule", event("RRULE:FREQ=DAILY;COUNT=3"), event("RRULE:FREQ=DAILY;COUNT=4")},
		{"a day and 24 hours", event("DURATION:P1D"), event("DURATION:PT24H")},
		{"a duration's sign", event("DURATION:PT1H"), event("DURATION:-PT1H")},
		{"what is no duration", event("DURATION:PT1H1H"), event("DURATION:PT2H")},
		{"months and minutes", event("DURATION:P60M"), event("DURATION:PT60M")},
		{"a duration too long", event("DURATION:PT18446744073709551617S"), event("DURATION:PT1S")},
		{"a duration elsewhere", event("X-A:PT60M"), event("X-A:PT1H")},
		{"a unit before its time", event("DURATION:P1H"), event("DURATION:PT1H")},
		{"the component's name", event("A:1"), bytes.ReplaceAll(event("A:1"), []byte("VEVENT"), []byte("VTODO"))},
		{"broken, another value", crlf("BEGIN:VCARD|A:1"), crlf("BEGIN:VCARD|A:2")},
		{"broken, another order", crlf("BEGIN:VCARD|A:1|B:1"), crlf("BEGIN:VCARD|B:1|A:1")},
	}
	for _, tt := range tests {
		if item.Sum(tt.a) == item.Sum(tt.b) || item.Same(tt.a, tt.b) {
			t.Errorf("%s is not seen:\n%s\n%s", tt.what, tt.a, tt.b)
		}
	}
}

func TestABrokenTextHasTheSumOfItsLines(t *testing.T) {
	for _, broken := range []string{"BEGIN:VCARD|A:1", "END:VCARD", "BEGIN:A|END:B", "BEGIN:A|no colon|END:A", "A:1|BEGIN:A|END:A", "BEGIN:A|END:A|A:1", "x", ""} {
		text := crlf(broken)
		if i := item.Read(text); i.Parsed || i.Reason == "" {
			t.Errorf("%q counts as well formed", broken)
		}
		for name, other := range map[string][]byte{"LF": bytes.ReplaceAll(text, []byte("\r"), nil), "no last line end": bytes.TrimRight(text, "\r\n"), "empty lines": append([]byte("\n\r\n"), text...)} {
			if item.Sum(text) != item.Sum(other) {
				t.Errorf("%q: %s changed the sum", broken, name)
			}
		}
		if folded := crlf(broken + "| x"); item.Sum(folded) == item.Sum(text) {
			t.Errorf("%q: a line more did not change the sum", broken)
		}
	}
}

func TestSumOutlivesAServerThatWritesItemsAnew(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	for n, it := range generated(seed, 500) {
		again := itemtest.Rewrite(rng, it)
		if item.Sum(again) != item.Sum(it) {
			t.Fatalf("seed %d item %d:\n%s\nwritten anew:\n%s", seed, n, it, again)
		}
		if bytes.Equal(again, it) {
			t.Fatalf("seed %d item %d was not written anew", seed, n)
		}
	}
}

// Every byte of every value and of every parameter counts.
func TestSumSeesEveryByte(t *testing.T) {
	const seed = 6
	for n, text := range generated(seed, 12) {
		sum := item.Sum(text)
		for start := 0; start < len(text); {
			end := start + bytes.IndexByte(text[start:], '\n') + 1
			line := text[start:end]
			colon := bytes.IndexAny(line, ":;")
			if line[0] == ' ' || ignored(string(line[:max(colon, 0)])) {
				// A continuation is reached through its line; see below.
				start = end
				continue
			}
			for at := start + colon + 1; at < end; at++ {
				if c := text[at]; c == '\r' || c == '\n' {
					continue
				}
				changed := bytes.Clone(text)
				changed[at] ^= 0x15
				if item.Sum(changed) == sum {
					t.Fatalf("seed %d item %d: byte %d %q of %q is not seen", seed, n, at, text[at], line)
				}
			}
			start = end
		}
	}
}

func ignored(name string) bool {
	switch name {
	case "PRODID", "DTSTAMP", "LAST-MODIFIED", "CREATED", "REV", "BEGIN", "END":
		return true
	}
	return false
}

func generated(seed uint64, each int) (texts [][]byte) {
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		for _, it := range itemtest.Gen(seed, each, kind) {
			texts = append(texts, it.Text)
		}
	}
	return texts
}

// nasty are texts that make a careless reader slow or deep; n is about their size.
func nasty(n int) map[string][]byte {
	repeat := func(s string, size int) string { return strings.Repeat(s, size/len(s)) }
	return map[string][]byte{
		"folds":          []byte("BEGIN:A\nX:" + repeat("\n a", n) + "\nEND:A\n"),
		"empty folds":    []byte("BEGIN:A\nX:" + repeat("\n ", n) + "\nEND:A\n"),
		"depth":          []byte(repeat("BEGIN:A\n", n/2) + repeat("END:A\n", n/8*3)),
		"open":           []byte(repeat("BEGIN:A\n", n)),
		"properties":     []byte("BEGIN:A\n" + repeat("X:1\n", n) + "END:A\n"),
		"components":     []byte("BEGIN:A\n" + repeat("BEGIN:B\nEND:B\n", n) + "END:A\n"),
		"parameters":     []byte("BEGIN:A\nX" + repeat(";P=1", n) + ":1\nEND:A\n"),
		"values":         []byte("BEGIN:A\nX;P=" + repeat("1,", n) + ":1\nEND:A\n"),
		"quotes":         []byte("BEGIN:A\nX;P=" + repeat(`"`, n|1) + ":1\nEND:A\n"),
		"open quotes":    []byte("BEGIN:A\n" + repeat("X;P=\";Q=1:1\n", n) + "END:A\n"),
		"rule":           []byte("BEGIN:A\nRRULE:" + repeat("B=1;", n) + "\nEND:A\n"),
		"zones":          []byte("BEGIN:VCALENDAR\n" + repeat("BEGIN:VTIMEZONE\nTZID:1\nEND:VTIMEZONE\n", n) + "END:VCALENDAR\n"),
		"empty lines":    []byte("BEGIN:A\n" + repeat("\n", n) + "END:A\n"),
		"soft breaks":    []byte("BEGIN:A\nX;QUOTED-PRINTABLE:" + repeat("=\na", n) + "\nEND:A\n"),
		"no line end":    []byte(repeat("x", n)),
		"NUL":            make([]byte, n),
		"events":         []byte("BEGIN:VCALENDAR\n" + repeat("BEGIN:VEVENT\nEND:VEVENT\n", n) + "END:VCALENDAR\n"),
		"events of one":  []byte("BEGIN:VCALENDAR\n" + repeat("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n", n) + "END:VCALENDAR\n"),
		"cards":          []byte(repeat("BEGIN:VCARD\nEND:VCARD\n", n)),
		"similar values": []byte("BEGIN:A\n" + strings.Repeat("X:"+strings.Repeat("a", 200)+"\n", n/200) + "END:A\n"),
	}
}

func TestCostGrowsWithTheTextAndNothingBreaks(t *testing.T) {
	cost := func(text []byte) time.Duration {
		begun := time.Now()
		item.Sum(text)
		item.Read(text)
		item.WithUID(text, "a")
		_, _ = item.Split(text)
		item.Project(text, func(_, property string) bool { return property != "X" })
		return time.Since(begun)
	}
	const times = 128
	small, large := nasty(1<<11), nasty(times<<11)
	for name := range small {
		// Something else may run beside this test, and more memory is slower: the
		// fastest of some runs counts, and it may take sixteen times what is linear.
		// What is quadratic takes 16,384 times as long.
		a, b := time.Hour, time.Hour
		for range 20 {
			a, b = min(a, cost(small[name])), min(b, cost(large[name]))
			if b < 16*times*(a+10*time.Microsecond) {
				break
			}
		}
		if b >= 16*times*(a+10*time.Microsecond) {
			t.Fatalf("%s: %d times the text takes %v after %v", name, times, b, a)
		}
	}
}

func TestDepthCostsNoStack(t *testing.T) {
	deep := nasty(4 << 20)["depth"]
	item.Sum(deep)
	item.Read(deep)
	if pieces, err := item.Split(deep); err != nil || len(pieces) != 1 {
		t.Errorf("one deep component gives %d pieces, %v", len(pieces), err)
	}
}
