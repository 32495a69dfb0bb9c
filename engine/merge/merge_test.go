package merge

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
)

// event makes an event of the lines of its body.
func event(lines ...string) []byte { return wrap("VCALENDAR", wrapped("VEVENT", lines)) }

func card(lines ...string) []byte {
	return wrap("VCARD", strings.Join(append([]string{"VERSION:3.0", "UID:u"}, lines...), "\n")+"\n")
}

func wrapped(component string, lines []string) string {
	return "BEGIN:" + component + "\nUID:u\n" + strings.Join(lines, "\n") + "\nEND:" + component + "\n"
}

func wrap(component, body string) []byte {
	return item.CRLF([]byte("BEGIN:" + component + "\n" + body + "END:" + component + "\n"))
}

// base is an event that the tests below edit.
var base = []string{
	"DTSTAMP:20240101T000000Z", "SEQUENCE:1", "SUMMARY:Lunch", "DTSTART:20240101T110000Z", "DTEND:20240101T120000Z",
	"LOCATION:Room;1", "CATEGORIES:Work,Food", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org",
	"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:b@example.org", "COMMENT:one", "COMMENT:two",
	"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT5M", "END:VALARM",
	"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT1H", "END:VALARM",
}

// edit replaces lines; "" deletes one and "+" in front of one adds it.
func edit(lines []string, pairs ...string) []string {
	out := slices.Clone(lines)
	for i := 0; i < len(pairs); i += 2 {
		was, is := pairs[i], pairs[i+1]
		at := slices.Index(out, was)
		if at < 0 {
			panic("no line " + was)
		}
		switch {
		case is == "":
			out = slices.Delete(out, at, at+1)
		case strings.HasPrefix(is, "+"):
			out = slices.Insert(out, at+1, is[1:])
		default:
			out[at] = is
		}
	}
	return out
}

func TestTwoEdits(t *testing.T) {
	tests := []struct {
		name    string
		a, b    []string // pairs for edit
		want    []string // pairs for edit; nil where there are clashes
		clashes string
	}{
		{name: "different properties combine",
			a:    []string{"SUMMARY:Lunch", "SUMMARY:Dinner"},
			b:    []string{"LOCATION:Room;1", "LOCATION:Room 2"},
			want: []string{"SUMMARY:Lunch", "SUMMARY:Dinner", "LOCATION:Room;1", "LOCATION:Room 2"}},
		{name: "the same edit twice is one",
			a:    []string{"SUMMARY:Lunch", "SUMMARY:Dinner", "COMMENT:one", "+COMMENT:new"},
			b:    []string{"SUMMARY:Lunch", "SUMMARY:Dinner", "COMMENT:one", "+COMMENT:new", "LOCATION:Room;1", ""},
			want: []string{"SUMMARY:Lunch", "SUMMARY:Dinner", "COMMENT:one", "+COMMENT:new", "LOCATION:Room;1", ""}},
		{name: "one property in two ways is a clash",
			a: []string{"SUMMARY:Lunch", "SUMMARY:Dinner"}, b: []string{"SUMMARY:Lunch", "SUMMARY:Supper"}, clashes: "SUMMARY"},
		{name: "a deletion against an edit is a clash",
			a: []string{"LOCATION:Room;1", ""}, b: []string{"LOCATION:Room;1", "LOCATION:Room 2"}, clashes: "LOCATION"},
		{name: "two different additions of a property that stands alone clash",
			a: []string{"SUMMARY:Lunch", "+DESCRIPTION:x"}, b: []string{"SUMMARY:Lunch", "+DESCRIPTION:y"}, clashes: "DESCRIPTION"},
		{name: "additions of a repeated property are both kept",
			a: []string{"COMMENT:two", "+COMMENT:x"}, b: []string{"COMMENT:two", "+COMMENT:y"},
			want: []string{"COMMENT:two", "+COMMENT:y", "COMMENT:two", "+COMMENT:x"}},
		{name: "a repeated property edited here and another there combine",
			a: []string{"COMMENT:one", "COMMENT:1"}, b: []string{"COMMENT:two", "COMMENT:2"},
			want: []string{"COMMENT:one", "COMMENT:1", "COMMENT:two", "COMMENT:2"}},
		{name: "one of a repeated property in two ways is a clash",
			a: []string{"COMMENT:one", "COMMENT:1"}, b: []string{"COMMENT:one", "COMMENT:I"}, clashes: "COMMENT"},
		{name: "the highest sequence wins",
			a: []string{"SEQUENCE:1", "SEQUENCE:9"}, b: []string{"SEQUENCE:1", "SEQUENCE:10"},
			want: []string{"SEQUENCE:1", "SEQUENCE:10"}},
		{name: "time stamps never clash",
			a:    []string{"DTSTAMP:20240101T000000Z", "DTSTAMP:20240102T000000Z", "SUMMARY:Lunch", "SUMMARY:Dinner"},
			b:    []string{"DTSTAMP:20240101T000000Z", "DTSTAMP:20240103T000000Z", "LOCATION:Room;1", ""},
			want: []string{"DTSTAMP:20240101T000000Z", "DTSTAMP:20240103T000000Z", "SUMMARY:Lunch", "SUMMARY:Dinner", "LOCATION:Room;1", ""}},
		{name: "categories are a set",
			a: []string{"CATEGORIES:Work,Food", "CATEGORIES:Work,Food,Fun"}, b: []string{"CATEGORIES:Work,Food", "CATEGORIES:Food,Rest"},
			want: []string{"CATEGORIES:Work,Food", "CATEGORIES:Food,Fun,Rest"}},
		{name: "one member's answer leaves another's alone",
			a:    []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org"},
			b:    []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:b@example.org", "ATTENDEE;PARTSTAT=DECLINED:mailto:b@example.org"},
			want: []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:b@example.org", "ATTENDEE;PARTSTAT=DECLINED:mailto:b@example.org"}},
		{name: "one person's two answers clash",
			a:       []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org"},
			b:       []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@example.org", "ATTENDEE;PARTSTAT=DECLINED:mailto:a@example.org"},
			clashes: "ATTENDEE"},
		{name: "one invited twice differently clashes",
			a: []string{"COMMENT:one", "+ATTENDEE;ROLE=CHAIR:mailto:c@example.org"}, b: []string{"COMMENT:one", "+ATTENDEE:mailto:C@example.org"},
			clashes: "ATTENDEE"},
		{name: "alarms are told apart by what they say",
			a: []string{"TRIGGER:-PT5M", "TRIGGER:-PT6M"}, b: []string{"TRIGGER:-PT1H", "TRIGGER:-PT2H"},
			want: []string{"TRIGGER:-PT5M", "TRIGGER:-PT6M", "TRIGGER:-PT1H", "TRIGGER:-PT2H"}},
		{name: "two edits within one alarm combine",
			a: []string{"TRIGGER:-PT5M", "TRIGGER:-PT6M"}, b: []string{"TRIGGER:-PT5M", "+DESCRIPTION:Go"},
			want: []string{"TRIGGER:-PT5M", "TRIGGER:-PT6M", "TRIGGER:-PT6M", "+DESCRIPTION:Go"}},
		{name: "moved here and made longer there clash",
			a: []string{"DTSTART:20240101T110000Z", "DTSTART:20240101T150000Z"}, b: []string{"DTEND:20240101T120000Z", "DTEND:20240101T130000Z"},
			clashes: "DTEND DTSTART"},
		{name: "a file name in two ways in a parameter clashes",
			a: []string{"COMMENT:one", "COMMENT;LANGUAGE=de:one"}, b: []string{"COMMENT:one", "COMMENT;LANGUAGE=en:one"}, clashes: "COMMENT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := event(base...)
			edits := []Edit{{Mark: b, Text: event(edit(base, tt.a...)...)}, {Mark: b, Text: event(edit(base, tt.b...)...)}}
			got := Merge(b, edits)
			if clashes := strings.Join(got.Clashes, " "); clashes != tt.clashes {
				t.Fatalf("clashes are %q, want %q:\n%s", clashes, tt.clashes, got.Proposal)
			}
			if tt.want == nil {
				if got.Text != nil || !item.Read(got.Proposal).Parsed {
					t.Errorf("a clash must give a proposal and no text; got %q and:\n%s", got.Text, got.Proposal)
				}
				return
			}
			if want := event(edit(base, tt.want...)...); item.Sum(got.Text) != item.Sum(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.Text, want)
			}
			slices.Reverse(edits)
			if again := Merge(b, edits); item.Sum(again.Text) != item.Sum(got.Text) {
				t.Errorf("the other way round it is:\n%s", again.Text)
			}
		})
	}
}

func TestUntouchedLinesKeepTheirBytes(t *testing.T) {
	odd := "X-Odd;b=\"1\";A=2:a very \r\n  long\r\n\t one\r\n"
	b := bytes.Replace(event(base...), []byte("COMMENT:one\r\n"), []byte(odd), 1)
	mine := bytes.Replace(b, []byte("SUMMARY:Lunch"), []byte("summary:Dinner"), 1)
	other := bytes.Replace(b, []byte("LOCATION:Room;1\r\n"), nil, 1)
	other = bytes.Replace(other, []byte(odd), []byte("X-ODD;A=2;B=1:a very  long one\r\n"), 1)
	want := bytes.Replace(bytes.Replace(b, []byte("SUMMARY:Lunch"), []byte("summary:Dinner"), 1), []byte("LOCATION:Room;1\r\n"), nil, 1)
	got := Merge(b, []Edit{{Mark: b, Text: mine}, {Mark: b, Text: other}})
	if !bytes.Equal(got.Text, want) {
		t.Errorf("got:\n%q\nwant:\n%q", got.Text, want)
	}
}

func TestPropertiesStandBeforeComponents(t *testing.T) {
	b := event("SUMMARY:Lunch")
	alarm, place := []string{"BEGIN:VALARM", "TRIGGER:-PT5M", "END:VALARM"}, "LOCATION:here"
	edits := []Edit{{Mark: b, Text: event(append([]string{"SUMMARY:Lunch"}, alarm...)...)}, {Mark: b, Text: event("SUMMARY:Lunch", place)}}
	want := event(append([]string{"SUMMARY:Lunch", place}, alarm...)...)
	for range 2 {
		if got := Merge(b, edits); !bytes.Equal(got.Text, want) {
			t.Errorf("got:\n%s\nwant:\n%s", got.Text, want)
		}
		slices.Reverse(edits)
	}
}
