package plan

import (
	"fmt"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

// A row is written "AGREED | MEMBER | MEMBER …". AGREED is a version and a text,
// "2b", or "-". A MEMBER is "MARK>SEEN": its mark in the same way, "-" for none,
// "!" before it where the item was known to be gone; and the text it has, "." for
// absent, "?" for unread. "ro" before it is a read-only member.
func parse(s string) ([]Member, Row) {
	parts := strings.Split(s, "|")
	row := Row{Key: "u:1", UID: "1"}
	if a := strings.TrimSpace(parts[0]); a != "-" {
		row.Version, row.Sum = uint64(a[0]-'0'), text(a[1])
	}
	var members []Member
	for i, p := range parts[1:] {
		p, ro := strings.CutPrefix(strings.TrimSpace(p), "ro ")
		members = append(members, Member{ID: engine.MemberID('a' + rune(i)), ReadOnly: ro})
		mark, seen, _ := strings.Cut(p, ">")
		mark, gone := strings.CutPrefix(mark, "!")
		var m *Mark
		if mark != "-" {
			m = &Mark{Head: head(mark[1]), Sum: text(mark[1]), Version: uint64(mark[0] - '0'), Gone: gone}
		}
		row.Marks = append(row.Marks, m)
		switch seen {
		case "?":
			row.Seen = append(row.Seen, Seen{})
		case ".":
			row.Seen = append(row.Seen, Seen{Is: Absent})
		default:
			row.Seen = append(row.Seen, Seen{Present, head(seen[0]), text(seen[0]), text(seen[0])})
		}
	}
	return members, row
}

func text(c byte) engine.Sum  { return engine.Sum{c} }
func head(c byte) engine.Head { return engine.Head{Ref: "r", Etag: engine.Etag(c)} }

// render writes a plan for one row as one line: "3c" for what is agreed anew, the
// ops with the member's letter, "forget", or the dispute with its sides.
func render(p Plan, row Row) string {
	var out []string
	for _, s := range p.Steps {
		if s.Version != row.Version {
			from := ""
			if s.From != Ledger {
				from = " of " + string(rune('a'+s.From))
			}
			out = append(out, fmt.Sprintf("agree %d%c%s", s.Version, s.Sum[0], from))
		}
		for _, op := range s.Ops {
			o := fmt.Sprintf("%s %c", op.Verb, 'a'+op.Member)
			if op.Verb == Link {
				o += fmt.Sprint(op.Version)
			}
			out = append(out, o)
		}
		if s.Forget {
			out = append(out, "forget")
		}
		if q := s.Dispute; q != nil {
			d := q.Kind + ":"
			for _, n := range q.Sides {
				d += fmt.Sprintf(" %c", 'a'+n)
			}
			if q.Agreed {
				d += " agreed"
			}
			out = append(out, d)
		}
	}
	return strings.Join(out, ", ")
}

func TestReconcile(t *testing.T) {
	revert, fromA, preferA := Rules{Revert: true}, Rules{From: "a"}, Rules{Policy: Prefer, Prefer: "a"}
	tests := []struct {
		name, row string
		rules     Rules
		want      string
	}{
		// Everybody is same or new.
		{"in step", "1a | 1a>a | 1a>a", Rules{}, ""},
		{"new at one", "- | ->a | ->.", Rules{}, "agree 1a of a, link a1, create b"},
		{"new at both, equal", "- | ->a | ->a", Rules{}, "agree 1a of a, link a1, link b1"},
		{"new at both, different", "- | ->a | ->b", Rules{}, "added: a b"},
		{"a third member joins with nothing", "1a | 1a>a | 1a>a | ->.", Rules{}, "create c"},
		{"a third member joins with the same", "1a | 1a>a | 1a>a | ->a", Rules{}, "link c1"},
		{"a third member joins with another text: never a plain edit", "1a | 1a>a | 1a>a | ->x", Rules{}, "modified: c agreed"},
		{"a server keeps it in its own words", "1a | 1r>r | 1a>a", Rules{}, ""},

		// One or more changed.
		{"one changed", "1a | 1a>b | 1a>a", Rules{}, "agree 2b of a, link a2, replace b"},
		{"both changed to the same", "1a | 1a>b | 1a>b", Rules{}, "agree 2b of a, link a2, link b2"},
		{"changed in two ways", "1a | 1a>x | 1a>y | 1a>a", Rules{}, "modified: a b"},
		{"changed back to the agreed text after a rewrite", "1a | 1r>a | 1a>a", Rules{}, "link a1"},
		{"edited back to an old text", "2b | 2b>b | 2b>a", Rules{}, "agree 3a of b, replace a, link b3"},

		// Behind.
		{"same and behind gets the agreed text", "2b | 2b>b | 1a>a", Rules{}, "replace b"},
		{"behind, and has the agreed text already", "2b | 2b>b | 1a>b", Rules{}, "link b2"},
		{"changed while behind is never a plain edit", "2b | 2b>b | 1a>x", Rules{}, "modified: b agreed"},
		{"changed while behind, the others unread", "2b | 2b>? | 1a>x", Rules{}, "modified: b agreed"},
		{"changed while behind, nobody else has it", "2b | 2b>. | 1a>x", Rules{}, "agree 3x of b, create a, link b3"},
		{"changed while behind and changed since", "2b | 2b>y | 1a>x", Rules{}, "modified: a b"},
		{"changed while behind to what another changed it to", "2b | 2b>x | 1a>x", Rules{}, "agree 3x of a, link a3, link b3"},
		{"gone while behind comes back", "2b | 2b>b | 1a>.", Rules{}, "create b"},
		{"gone while behind, the others unread", "2b | 2b>? | 1a>.", Rules{}, "create b"},

		// Gone.
		{"gone at one", "1a | 1a>. | 1a>a", Rules{}, "delete b"},
		{"gone at one of three", "1a | 1a>. | 1a>a | 1a>a", Rules{}, "delete b, delete c"},
		{"gone at one, another is behind and same", "2b | 2b>. | 1a>a", Rules{}, "delete b"},
		{"gone at all", "1a | 1a>. | 1a>.", Rules{}, "forget"},
		{"gone at all that had it", "1a | 1a>. | 1a>. | ->.", Rules{}, "forget"},
		{"gone at all that were read: one still has its mark", "1a | 1a>. | 1a>. | 1a>?", Rules{}, ""},
		{"an edit beats a deletion", "1a | 1a>. | 1a>b", Rules{}, "agree 2b of b, create a, link b2"},
		{"a late member beats it too, when it comes", "1a | !1a>. | !1a>. | 1a>b", Rules{}, "agree 2b of c, create a, create b, link c2"},
		{"a late member that is same follows", "1a | !1a>. | !1a>. | 1a>a", Rules{}, "delete c"},
		{"gone here and new there, the same: somebody wants it", "1a | 1a>. | ->a", Rules{}, "agree 2a, create a, link b2"},
		{"gone and made again before all have let go: somebody wants it", "1a | !1a>a | !1a>. | 1a>?", Rules{}, "agree 2a, link a2, create b"},
		{"gone here, changed and changed late there", "2b | 2b>. | 2b>b | 1a>x", Rules{}, "modified-removed: c agreed"},

		// Etags.
		{"an etag moved over the same text", "1a | 1a>a | 1a>a", Rules{}, ""},

		// Unread.
		{"unread is left out", "1a | 1a>b | 1a>a | 1a>?", Rules{}, "agree 2b of a, link a2, replace b"},
		{"unread and never had it", "1a | 1a>a | 1a>a | ->?", Rules{}, ""},

		// Read-only members.
		{"ignore: what others did does not reach it", "1a | ro 1a>a | 1a>b", Rules{}, "agree 2b of b, link b2"},
		{"ignore: a deletion stays", "1a | ro 1a>a | 1a>.", Rules{}, ""},
		{"ignore: until it changes", "1a | ro 1a>b | !1a>.", Rules{}, "agree 2b of a, link a2, create b"},
		{"ignore: an addition stays", "- | ro ->. | ->a", Rules{}, "agree 1a of b, link b1"},
		{"ignore: and is quiet", "1a | ro ->. | 1a>a", Rules{}, ""},
		{"ignore: an edit of both is a dispute", "2b | ro 1a>x | 2b>b", Rules{}, "modified: a agreed"},
		{"revert: an edit is undone", "1a | ro 1a>a | 1a>b", revert, "link b0, replace b"},
		{"revert: an addition is undone", "- | ro ->. | ->a", revert, "delete b"},
		{"revert: a deletion is undone", "1a | ro 1a>a | 1a>.", revert, "agree 2a, link a2, create b"},
		{"revert: not while it is unread", "1a | ro 1a>? | 1a>b", revert, ""},
		{"revert: it changes, others follow", "1a | ro 1a>b | 1a>a", revert, "agree 2b of a, link a2, replace b"},
		{"revert: it deletes, others follow", "1a | ro 1a>. | 1a>b", revert, "delete b"},

		// One way.
		{"from: an edit of the source", "1a | 1a>b | 1a>a", fromA, "agree 2b of a, link a2, replace b"},
		{"from: an edit elsewhere is overwritten", "1a | 1a>a | 1a>b", fromA, "link b0, replace b"},
		{"from: a deletion elsewhere is undone", "1a | 1a>a | 1a>.", fromA, "agree 2a, link a2, create b"},
		{"from: a deletion of the source, even of what was edited", "1a | 1a>. | 1a>b", fromA, "delete b"},
		{"from: what the source never had is none of its business", "- | ->. | ->b", fromA, ""},
		{"from: both differ from the first", "- | ->a | ->b", fromA, "agree 1a of a, link a1, link b0, replace b"},
		{"from: nothing while the source is unread", "1a | 1a>? | 1a>b", fromA, ""},
		{"from: gone everywhere", "1a | 1a>. | 1a>.", fromA, "forget"},

		// Preferred member.
		{"member: a dispute is its", "1a | 1a>x | 1a>y", preferA, "agree 2x of a, link a2, link b1, replace b"},
		{"member: new ones too", "- | ->x | ->y", preferA, "agree 1x of a, link a1, link b0, replace b"},
		{"member: it holds the agreed text, another is late", "2b | 2b>b | 1a>x", preferA, "link b1, replace b"},
		{"member: not one of the sides", "1a | 1a>a | 1a>x | 1a>y", preferA, "modified: b c"},

		// What keep-both leaves: a row that nobody has yet.
		{"agreed and nowhere", "1a | ->. | ->.", Rules{}, "create a, create b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members, row := parse(tt.row)
			if got := render(Reconcile(members, []Row{row}, tt.rules), row); got != tt.want {
				t.Errorf("%s\n got %q\nwant %q", tt.row, got, tt.want)
			}
		})
	}
}

func TestAnEtagThatMovedIsRecordedAndNothingElse(t *testing.T) {
	members, row := parse("2b | 2b>b | ro 1a>a | 2r>r")
	for i := range row.Seen {
		row.Seen[i].Etag = "new"
	}
	row.Seen[2].Raw = text('R') // the server's zones came or went
	want := "link a2, link b1, link c2"
	if got := render(Reconcile(members, []Row{row}, Rules{}), row); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRestoreBringsBackWhatIsGone(t *testing.T) {
	members, row := parse("1a | 1a>. | 1a>a")
	row.Restore = true
	if got, want := render(Reconcile(members, []Row{row}, Rules{}), row), "agree 2a, create a, link b2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRemoveSettlesADisputeForTheMemberThatLetGo(t *testing.T) {
	members, row := parse("2b | 2b>. | ro 2b>b | 1a>x")
	s := Remove(members, &row)
	if got, want := render(Plan{[]Step{s}}, row), "delete c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
