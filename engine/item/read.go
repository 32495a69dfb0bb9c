package item

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"davbus.org/davbus/engine"
)

// Read reads what can be read off a text, well formed or not.
func Read(text []byte) Info {
	r := infoReader{reader: read(text), Info: Info{Sequence: -1}}
	for {
		switch r.step() {
		case begin:
			r.begin()
		case property, garbage:
			r.take()
		case end:
			if r.inItem() {
				r.closeItem()
			}
		case stop:
			r.closeItem()
			r.Parsed, r.Reason = r.reason == "", r.reason
			slices.Sort(r.Components)
			return r.Info
		}
	}
}

type infoReader struct {
	reader
	Info

	// Of the component being read.
	uid      engine.UID
	title    [len(titles)]string // as written
	override bool

	cards     int
	overTitle bool // Summary is an override's: a master's is better
}

// titles are what a person knows an item by, the best first.
var titles = [...]string{"SUMMARY", "FN", "N", "ORG", "NICKNAME", "EMAIL", "DESCRIPTION", "NOTE"}

func (r *infoReader) begin() {
	if len(r.open) == 1 && r.Kind == "" {
		switch name := string(r.name()); {
		case name == "VCARD":
			r.Kind = engine.AddressBook
		case name == "VCALENDAR", name == "VEVENT", name == "VTODO", name == "VJOURNAL", name == "VFREEBUSY":
			r.Kind = engine.Calendar
		}
	}
	if !r.inItem() {
		return
	}
	r.closeItem()
	if r.inCard() {
		if r.cards++; r.cards > 1 {
			r.Many = true
		}
	}
	if name := string(r.name()); !slices.Contains(r.Components, name) {
		r.Components = append(r.Components, name)
	}
}

// take looks at one property. Outside components it looks too: an item whose
// first line is lost has a UID all the same.
func (r *infoReader) take() {
	if len(r.open) > 0 && !r.inItem() {
		return
	}
	switch name := r.base(); {
	case foldEqual(name, "UID"):
		r.takeUID()
	case foldEqual(name, "RECURRENCE-ID"):
		r.override = true
	case foldEqual(name, "SEQUENCE"):
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(r.Value)), 10, 64); err == nil {
			r.Sequence = max(r.Sequence, n)
		}
	case foldEqual(name, "LAST-MODIFIED"), foldEqual(name, "REV"):
		if t, ok := Seconds(bytes.TrimSpace(r.Value)); ok {
			r.Modified = max(r.Modified, t)
		}
	case foldEqual(name, "ORGANIZER") && r.Organizer == "":
		r.Organizer = string(r.Value)
	case foldEqual(name, "ATTENDEE"):
		r.Attendees = true
	}
	for i, t := range titles {
		if r.title[i] == "" && r.is(t) {
			r.title[i] = string(r.Value[:min(len(r.Value), 4*longest)])
		}
	}
}

func (r *infoReader) takeUID() {
	uid := engine.UID(unescape(bytes.TrimSpace(r.Value)))
	if uid == "" || r.uid != "" {
		return
	}
	r.uid = uid
	switch {
	case r.UID == "":
		r.UID = uid
	case r.UID != uid:
		r.Many = true
	}
}

// closeItem ends one component of the item.
func (r *infoReader) closeItem() {
	if r.Summary == "" || r.overTitle && !r.override {
		for i, t := range r.title {
			if t = display(t, titles[i]); t != "" {
				r.Summary, r.overTitle = t, r.override
				break
			}
		}
	}
	r.uid, r.title, r.override = "", [len(titles)]string{}, false
}

// unescape takes back what TEXT escapes in an identity, since servers disagree
// on whether a comma in a UID is escaped.
func unescape(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == ',' || s[i+1] == ';') {
			i++
		}
		out = append(out, s[i])
	}
	return out
}

// longest is how much of a value is shown.
const longest = 200

// display makes one short line of a value for people.
func display(value, name string) string {
	if value == "" {
		return ""
	}
	plain := strings.ToValidUTF8(value, "")
	if strings.ContainsAny(plain, `\;`) { // else there is nothing to replace, and making a replacer takes longer than all else here
		escapes := []string{`\\`, `\`, `\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";"}
		if name == "N" || name == "ORG" {
			escapes = append(escapes, ";", " ")
		}
		plain = strings.NewReplacer(escapes...).Replace(plain)
	}
	plain = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, plain)
	plain = strings.Join(strings.Fields(plain), " ")
	if runes := []rune(plain); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return plain
}
