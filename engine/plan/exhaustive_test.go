package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

// standings are all the ways in which one member can stand to an item of which
// version 2, text b, was agreed. Version 1 was a; r is a server's way to keep b.
var standings = strings.Fields(`
	->? 2b>? 1a>?
	->. 2b>. 1a>. !2b>. !1a>.
	->b ->x ->y
	2b>b 2r>r 1a>a 0z>z
	2b>x 2b>y 2r>b 2b>a
	1a>x 1a>y 1a>b 1b>x
	!2b>b !2b>x !1a>a !1a>x
`)

// newcomers are those of an item that was never agreed on.
var newcomers = strings.Fields(`->? ->. ->b ->x ->y`)

var allRules = []Rules{
	{}, {Policy: Merge}, {Policy: Newest}, {Policy: Both}, {Policy: Command},
	{Policy: Prefer, Prefer: "a"}, {Policy: Prefer, Prefer: "b"}, {Policy: Prefer, Prefer: "nobody"},
	{From: "a"}, {From: "b"}, {From: "nobody"}, {Revert: true}, {Revert: true, Policy: Prefer, Prefer: "b"},
}

// everyRow visits every row of n members, the first few of which may be read-only.
func everyRow(n, readOnly int, visit func(members []Member, row Row, s string)) {
	for _, c := range []struct {
		agreed string
		ways   []string
	}{{"2b", standings}, {"-", newcomers}} {
		pick := make([]int, n)
		for {
			for ro := range 1 << readOnly {
				s := c.agreed
				for i, w := range pick {
					s += " | "
					if ro>>i&1 == 1 {
						s += "ro "
					}
					s += c.ways[w]
				}
				members, row := parse(s)
				visit(members, row, s)
			}
			i := 0
			for ; i < n; i++ {
				if pick[i]++; pick[i] < len(c.ways) {
					break
				}
				pick[i] = 0
			}
			if i == n {
				break
			}
		}
	}
}

// The rules of the design, each said in another way than the code says it, over
// every row of two and three members.
func TestEveryRowKeepsTheRules(t *testing.T) {
	rows := 0
	for n := 2; n <= most; n++ {
		everyRow(n, n, func(members []Member, row Row, s string) {
			for _, rules := range allRules {
				rows++
				p := Reconcile(members, []Row{row}, rules)
				if broken := rulesBroken(members, &row, rules, p); broken != "" {
					t.Fatalf("%s\nunder %+v: %q\n%s", s, rules, render(p, row), broken)
				}
			}
		})
	}
	t.Logf("%d rows", rows)
}

func rulesBroken(members []Member, row *Row, rules Rules, p Plan) string {
	if len(p.Steps) > 1 {
		return "more than one step"
	}
	oneWay := rules.From != "" || rules.Revert && slices.ContainsFunc(members, func(m Member) bool { return m.ReadOnly })
	for _, s := range p.Steps {
		if s.Dispute != nil && (len(s.Ops) > 0 || s.Forget || s.Version != row.Version) {
			return "something is done about a dispute"
		}
		if s.Dispute != nil && (oneWay || len(s.Dispute.Sides) == 0) {
			return "a dispute where nobody may dispute"
		}
		if s.Version != row.Version && s.Version != row.Version+1 {
			return "versions do not count up"
		}
		if s.Forget && len(s.Ops) > 0 {
			return "forgotten, and something is done"
		}
		seen := map[int]Verb{}
		for _, op := range s.Ops {
			if broken := opBroken(members, row, rules, oneWay, s, op); broken != "" {
				return fmt.Sprintf("%s %c: %s", op.Verb, 'a'+op.Member, broken)
			}
			if last, twice := seen[op.Member]; twice && last != Link {
				return "two writes to one member"
			}
			seen[op.Member] = op.Verb
		}
	}
	if rules.From == "nobody" {
		return ""
	}
	return forgetBroken(row, oneWay, p)
}

func opBroken(members []Member, row *Row, rules Rules, oneWay bool, s Step, op Op) string {
	i := op.Member
	seen, mark := row.Seen[i], row.Marks[i]
	edited := func(j int) bool {
		return row.Seen[j].Is == Present && (row.Marks[j] == nil || row.Marks[j].Gone || row.Seen[j].Sum != row.Marks[j].Sum)
	}
	switch {
	case seen.Is == Unread:
		return "it was not read"
	case op.Verb != Link && members[i].ReadOnly:
		return "it is read-only"
	case op.Verb == Create && seen.Is != Absent, op.Verb != Create && seen.Is != Present:
		return "it is not there, or it is"
	case op.Verb != Create && (op.Over != seen.Head || op.Was != seen.Raw):
		return "not the version that was seen"
	case op.Verb != Link && op.Verb != Delete && op.Version != s.Version:
		return "not the version that was agreed"
	case op.Verb == Link && op.Version > s.Version:
		return "a version that is not agreed"
	case op.Verb == Link && op.Version == s.Version && seen.Sum != s.Sum && (mark == nil || seen.Sum != mark.Sum || mark.Version != row.Version):
		return "its text is not the agreed one"
	case op.Verb == Replace && seen.Sum == s.Sum:
		return "it has that text already"
	}
	overruled := oneWay || rules.Policy == Prefer
	if op.Verb == Replace && edited(i) && !overruled && seen.Sum != row.Sum {
		return "it would lose an edit that nobody has heard"
	}
	if op.Verb == Delete && !oneWay {
		letGo := false
		for j := range members {
			letGo = letGo || row.Marks[j] != nil && row.Seen[j].Is == Absent && row.Marks[j].Version == row.Version
			if edited(j) {
				return fmt.Sprintf("%c wants it", 'a'+j)
			}
		}
		if !letGo {
			return "nobody let the agreed version go"
		}
	}
	if s.From != Ledger && !oneWay && rules.Policy != Prefer && row.Version > 0 {
		current := false
		for j := range members {
			current = current || edited(j) && row.Marks[j] != nil && row.Marks[j].Version == row.Version && row.Seen[j].Sum == s.Sum
		}
		if !current && othersHold(row, s.Sum) {
			return "a late or new text is taken for a plain edit"
		}
	}
	return ""
}

// othersHold tells whether some member holds, or may hold, another text.
func othersHold(row *Row, sum engine.Sum) bool {
	for j, s := range row.Seen {
		if s.Is == Present && s.Sum != sum || s.Is == Unread && row.Marks[j] != nil {
			return true
		}
	}
	return false
}

// forgetBroken: gone at every member that has a mark, and only then.
func forgetBroken(row *Row, oneWay bool, p Plan) string {
	marks, gone, other := 0, 0, 0
	for i, s := range row.Seen {
		switch {
		case row.Marks[i] == nil:
			if s.Is != Absent {
				other++
			}
			continue
		case s.Is == Absent:
			gone++
		}
		marks++
	}
	forgotten := len(p.Steps) == 1 && p.Steps[0].Forget
	if forgotten && (marks == 0 || gone < marks) {
		return "forgotten too soon"
	}
	if !forgotten && marks > 0 && gone == marks && other == 0 {
		return "gone everywhere, and not forgotten"
	}
	if forgotten && !oneWay && slices.ContainsFunc(row.Seen, func(s Seen) bool { return s.Is == Present }) {
		return "forgotten where somebody wants it"
	}
	return ""
}

// The order of members makes no difference to what is done.
func TestTheOrderOfMembersDoesNotMatter(t *testing.T) {
	for n := 2; n <= most; n++ {
		everyRow(n, 1, func(members []Member, row Row, s string) {
			turned, back := turn(members, row)
			for _, rules := range []Rules{{}, {Policy: Prefer, Prefer: "b"}, {From: "a"}, {Revert: true}} {
				a, b := Reconcile(members, []Row{row}, rules), Reconcile(turned, []Row{back}, rules)
				if len(a.Steps)+len(b.Steps) == 0 {
					continue
				}
				if x, y := byName(a, members), byName(b, turned); x != y {
					t.Fatalf("%s\nunder %+v:\n%s\n%s", s, rules, x, y)
				}
			}
		})
	}
}

// turn puts the first member last.
func turn(members []Member, row Row) ([]Member, Row) {
	row.Marks = append(slices.Clone(row.Marks[1:]), row.Marks[0])
	row.Seen = append(slices.Clone(row.Seen[1:]), row.Seen[0])
	return append(slices.Clone(members[1:]), members[0]), row
}

func byName(p Plan, members []Member) string {
	var out []string
	for _, s := range p.Steps {
		from := "ledger"
		if s.From != Ledger {
			from = string(members[s.From].ID)
		}
		out = append(out, fmt.Sprint(s.Key, s.Version, s.Sum[0], from, s.Forget))
		var ops []string
		for _, op := range s.Ops {
			ops = append(ops, fmt.Sprint(members[op.Member].ID, op.Verb, op.Version, op.Over))
		}
		slices.Sort(ops)
		out = append(out, ops...)
		if s.Dispute != nil {
			var sides []string
			for _, i := range s.Dispute.Sides {
				sides = append(sides, string(members[i].ID))
			}
			slices.Sort(sides)
			out = append(out, fmt.Sprint(s.Dispute.Kind, sides, s.Dispute.Agreed, s.Dispute.How))
		}
	}
	return strings.Join(out, " ")
}
