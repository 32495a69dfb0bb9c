package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

// thing is an item "REF UID TEXT"; UID "-" is none, TEXT "?" unread.
func thing(s string) Item {
	f := strings.Fields(s)
	it := Item{Head: engine.Head{Ref: engine.Ref(f[0]), Etag: "1"}}
	if f[1] != "-" {
		it.UID = engine.UID(f[1])
	}
	if f[2] == "?" {

		it.Unread = true
	} else {
		it.Raw = text(f[2][0])
	}
	return it
}

func things(list string) Survey {
	s := Survey{Complete: true}
	for _, one := range strings.Split(list, ",") {
		if strings.TrimSpace(one) != "" {
			s.Items = append(s.Items, thing(one))
		}
	}
	return s
}

// known is a row "KEY UID" with the marks "REF TEXT" of its members, or "REF TEXT
// UID" where that is another.
func known(name string, marks ...string) Row {
	f := strings.Fields(name)
	row := Row{Key: Key(f[0]), Version: 1}
	if f[1] != "-" {
		row.UID = engine.UID(f[1])
	}
	for _, m := range marks {
		f := strings.Fields(m)
		if len(f) == 0 {
			row.Marks = append(row.Marks, nil)
			continue
		}
		row.Sum = text(f[1][0])
		uid := row.UID
		if len(f) > 2 {
			uid = engine.UID(f[2])
		}
		row.Marks = append(row.Marks, &Mark{UID: uid, Head: engine.Head{Ref: engine.Ref(f[0]), Etag: "1"}, Sum: text(f[1][0]), Version: 1})
	}
	return row
}

// shape writes rows as "key: ref/text, …", "." for absent and "?" for unread.
func shape(rows []Row) string {
	var out []string
	for _, r := range rows {
		var seen []string
		for _, s := range r.Seen {
			switch s.Is {
			case Present:
				seen = append(seen, fmt.Sprintf("%s/%c", s.Ref, s.Raw[0]))
			case Absent:
				seen = append(seen, ".")
			default:
				seen = append(seen, "?")
			}
		}
		key := string(r.Key)
		if len(key) > 6 {
			key = key[:4] + key[66:]
		}
		out = append(out, key+": "+strings.Join(seen, " "))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name    string
		rows    []Row
		surveys []string // "" is an empty member, "?" one that was not read
		want    string
		clashes string
	}{
		{"new items of one UID are one", nil, []string{"x 1 a", "y 1 b"}, "u:1: x/a y/b", ""},
		{"new items of two UIDs are two", nil, []string{"x 1 a", "x 2 a"}, "u:1: x/a .; u:2: . x/a", ""},
		{"a marked ref", []Row{known("u:1 1", "x a", "y a")}, []string{"x 1 a", "y 1 b"}, "u:1: x/a y/b", ""},
		{"gone from one", []Row{known("u:1 1", "x a", "y a")}, []string{"", "y 1 a"}, "u:1: . y/a", ""},
		{"not read is not gone", []Row{known("u:1 1", "x a", "y a")}, []string{"?", "y 1 a"}, "u:1: ? y/a", ""},
		{"renamed", []Row{known("u:1 1", "x a", "y a")}, []string{"z 1 a", "y 1 a"}, "u:1: z/a y/a", ""},
		{"its UID changed in place: another item", []Row{known("u:1 1", "x a", "y a")}, []string{"x 2 b", "y 1 a"}, "u:1: . y/a; u:2: x/b .", ""},
		{"its UID was lost: the same item", []Row{known("u:1 1", "x a", "y a")}, []string{"x - b", "y 1 a"}, "u:1: x/b y/a", ""},
		{"it gained a UID: the same item", []Row{known("s:1 -", "x a", "y a")}, []string{"x 7 b", "y - a"}, "s:1: x/b y/a", ""},
		{"its storage gave it a UID of its own", []Row{known("u:1 1", "x r 9", "y a")}, []string{"x 9 b", "y 1 a"}, "u:1: x/b y/a", ""},
		{"there, and its text is not known", []Row{known("u:1 1", "x a", "y a")}, []string{"x - ?", "y 1 a"}, "u:1: ? y/a", ""},
		{"new, and its text is not known", nil, []string{"x - ?", "y 1 a"}, "u:1: . y/a", ""},
		{"new, and its text was known once", nil, []string{"x 1 ?", "y 1 a"}, "u:1: ? y/a", ""},
		{"two with one UID, new", nil, []string{"x 1 a, z 1 a", "y 1 a, w 2 b"}, "u:1: ? y/a; u:2: . w/b", "0 u:1 x,z"},
		{"two with one UID, one of them known", []Row{known("u:1 1", "x a", "y a")}, []string{"x 1 a, z 1 b", "y 1 a"}, "u:1: ? y/a", "0 u:1 x,z"},
		{"a copy over another item: that one is not gone", []Row{known("u:1 1", "x a", "y a"), known("u:2 2", "w b", "v b")},
			[]string{"x 1 a, w 1 a", "y 1 a, v 2 b"}, "u:1: ? y/a; u:2: ? v/b", "0 u:1 w,x"},
		{"three", nil, []string{"x 1 a, z 1 b, w 1 c", ""}, "u:1: ? .", "0 u:1 w,x,z"},
		{"one listed twice is one", nil, []string{"x 1 a, x 1 a", ""}, "u:1: x/a .", ""},
		{"no UID, one text: one item", nil, []string{"x - a", "y - a"}, "s:61: x/a y/a", ""},
		{"no UID, two texts: two items", nil, []string{"x - a, w - b", ""}, "s:61: x/a .; s:62: w/b .", ""},
		{"no UID, edited: the ref tells", []Row{known("s:1 -", "x a", "y a")}, []string{"x - b", "y - a"}, "s:1: x/b y/a", ""},
		{"no UID, renamed", []Row{known("s:1 -", "x a", "y a")}, []string{"z - a", "y - a"}, "s:1: z/a y/a", ""},
		{"no UID, renamed, in the words of its server", []Row{known("s:1 -", "x r", "y a")}, []string{"z - r", "y - a"}, "s:1: z/r y/a", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var surveys []Survey
			for _, s := range tt.surveys {
				if s == "?" {
					surveys = append(surveys, Survey{})
					continue
				}
				surveys = append(surveys, things(s))
			}
			rows, clashes := Match(tt.rows, surveys)
			if got := shape(rows); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			var got []string
			for _, c := range clashes {
				refs := make([]string, len(c.Refs))
				for i, ref := range c.Refs {
					refs[i] = string(ref)
				}
				got = append(got, fmt.Sprintf("%d %s %s", c.Member, c.Key, strings.Join(refs, ",")))
			}
			if strings.Join(got, "; ") != tt.clashes {
				t.Errorf("clashes %v, want %s", got, tt.clashes)
			}
		})
	}
}

func TestAnOldKeyIsNotGivenTwice(t *testing.T) {
	// The item of key s:61… has been edited since; another of its first text comes.
	row := known("s:"+strings.Repeat("0", 64)+" -", "x b", "y b")
	first, _ := Match(nil, []Survey{things("x - a"), things("")})
	row.Key = first[0].Key
	rows, _ := Match([]Row{row}, []Survey{things("x - b, z - a"), things("y - b")})
	if len(rows) != 2 || rows[0].Key == rows[1].Key {
		t.Errorf("rows %s", shape(rows))
	}
}
