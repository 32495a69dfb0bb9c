package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"davbus.org/davbus/engine"
)

// A world is one item at several members, with the ledger's row about it, and
// what every text was made of: to write one is to have seen those.
type world struct {
	r       *rand.Rand
	members []Member
	rules   Rules
	row     Row // as the ledger has it; Seen is filled by survey
	has     []engine.Sum
	etag    int
	etags   []engine.Etag
	from    map[engine.Sum]map[engine.Sum]bool
	let     map[engine.Sum]bool // texts that somebody, or whoever rules, let go
	next    uint32
	loud    bool
	log     []string
}

var nothing engine.Sum

func newWorld(r *rand.Rand) *world {
	w := &world{r: r, from: map[engine.Sum]map[engine.Sum]bool{}, let: map[engine.Sum]bool{}}
	n := 2 + r.IntN(3)
	for i := range n {
		w.members = append(w.members, Member{ID: engine.MemberID('a' + rune(i)), ReadOnly: r.IntN(6) == 0})
	}
	switch r.IntN(8) {
	case 0:
		w.rules.From = w.members[r.IntN(n)].ID
	case 1:
		w.rules.Revert = true
	}
	w.rules.Policy = Policy(r.IntN(4))
	if w.rules.Policy == Prefer {
		w.rules.Prefer = w.members[r.IntN(n)].ID
	}
	w.has, w.etags = make([]engine.Sum, n), make([]engine.Etag, n)
	w.row = Row{Key: "u:1", UID: "1", Marks: make([]*Mark, n)}
	return w
}

func (w *world) say(format string, args ...any) {
	if w.loud {
		w.log = append(w.log, fmt.Sprintf(format, args...))
	}
}

// text makes a new text whose author has seen others.
func (w *world) text(seen ...engine.Sum) engine.Sum {
	w.next++
	sum := engine.Sum{byte(w.next), byte(w.next >> 8), 1}
	w.from[sum] = map[engine.Sum]bool{}
	for _, s := range seen {
		if s != nothing {
			w.from[sum][s] = true
			maps.Copy(w.from[sum], w.from[s])
		}
	}
	return sum
}

// put changes what a member holds.
func (w *world) put(i int, sum engine.Sum) {
	w.has[i] = sum
	w.etag++
	w.etags[i] = engine.Etag(fmt.Sprint(w.etag))
}

// edit is what a person does at one member.
func (w *world) edit(i int) {
	switch old := w.has[i]; {
	case old != nothing && w.r.IntN(3) == 0:
		w.let[old] = true
		maps.Copy(w.let, w.from[old])
		w.put(i, nothing)
		w.say("%d deletes %d", i, old[0])
	case old == nothing && w.row.Version > 0 && w.r.IntN(2) == 0:
		w.put(i, w.row.Sum)
		w.say("%d puts %d back", i, w.row.Sum[0])
	case w.r.IntN(8) == 0 && old != nothing:
		w.put(i, old) // touched
		w.say("%d touched", i)
	default:
		w.put(i, w.text(old))
		w.say("%d edits %d to %d", i, old[0], w.has[i][0])
	}
}

// survey reads every member but those that are late.
func (w *world) survey(late func(int) bool) []Row {
	row := w.row
	row.Seen = make([]Seen, len(w.members))
	for i := range w.members {
		switch {
		case late(i):
		case w.has[i] == nothing:
			row.Seen[i].Is = Absent
			if m := row.Marks[i]; m != nil && !m.Gone {
				gone := *m
				gone.Gone = true
				w.row.Marks[i] = &gone
			}
		default:
			row.Seen[i] = Seen{Present, engine.Head{Ref: "r", Etag: w.etags[i]}, w.has[i], w.has[i]}
		}
	}
	return []Row{row}
}

// settle plays the part of the caller that compares texts.
func (w *world) settle(p *Plan, row *Row) {
	for i, s := range p.Steps {
		q := s.Dispute
		if q == nil {
			continue
		}
		sums := []engine.Sum{}
		if row.Version > 0 {
			sums = append(sums, row.Sum)
		}
		for _, n := range q.Sides {
			sums = append(sums, row.Seen[n].Sum)
		}
		switch q.How {
		case Merge:
			p.Steps[i] = Agree(w.members, row, w.text(sums...), Ledger)
			w.say("merge %v to %d", sums, p.Steps[i].Sum[0])
		case Newest:
			best := sums[len(sums)-1]
			for _, sum := range sums { // whoever rules has seen the others
				if sum != best {
					w.from[best][sum] = true
					maps.Copy(w.from[best], w.from[sum])
				}
			}
			delete(w.from[best], best)
			p.Steps[i] = Agree(w.members, row, best, q.Sides[len(q.Sides)-1])
			w.say("newest is %d", best[0])
		}
	}
}

// carryOut does to the world what a run does, but for ops that are refused. It
// tells what was destroyed that nobody had replaced or let go.
func (w *world) carryOut(p Plan, row *Row, refused func(Op) bool) string {
	for _, s := range p.Steps {
		if s.Dispute != nil {
			continue
		}
		if s.Forget {
			w.row.Version, w.row.Sum, w.row.Marks = 0, nothing, make([]*Mark, len(w.members))
			continue
		}
		w.row.Version, w.row.Sum = s.Version, s.Sum
		for _, op := range s.Ops {
			if op.Verb == Link {
				w.row.Marks[op.Member] = &Mark{Head: op.Over, Sum: op.Was, Version: op.Version}
			}
		}
		for _, op := range s.Ops {
			if op.Verb == Link || refused(op) {
				continue
			}
			if lost := w.write(s, op); lost != "" {
				return lost
			}
		}
	}
	return ""
}

func (w *world) write(s Step, op Op) string {
	i := op.Member
	old := w.has[i]
	w.say("%s at %d, over %d, agreed %d", op.Verb, i, old[0], s.Sum[0])
	oneWay := w.rules.From != "" || w.rules.Revert || w.rules.Policy == Prefer
	switch op.Verb {
	case Delete:
		if !w.let[old] && !oneWay {
			return fmt.Sprintf("%d was deleted at %d, and nobody let it go", old[0], i)
		}
		w.put(i, nothing)
		if m := w.row.Marks[i]; m != nil {
			gone := *m
			gone.Gone = true
			w.row.Marks[i] = &gone
		}
		if !slices.ContainsFunc(w.row.Marks, func(m *Mark) bool { return m != nil && !m.Gone }) {
			w.row.Version, w.row.Sum, w.row.Marks = 0, nothing, make([]*Mark, len(w.members))
		}
		return ""
	case Replace:
		if !w.from[s.Sum][old] && !w.let[old] && !oneWay {
			return fmt.Sprintf("%d was replaced by %d at %d, whose author had not seen it", old[0], s.Sum[0], i)
		}
	}
	w.put(i, s.Sum)
	w.row.Marks[i] = &Mark{Head: engine.Head{Ref: "r", Etag: w.etags[i]}, Sum: s.Sum, Version: op.Version}
	return ""
}

func never[T any](T) bool { return false }

// live lives a world for a while, and says what went wrong.
func live(seed uint64, loud bool) (broken string, w *world) {
	r := rand.New(rand.NewPCG(seed, 7))
	w = newWorld(r)
	w.loud = loud
	for range 3 + r.IntN(10) {
		for range r.IntN(4) {
			w.edit(r.IntN(len(w.members)))
		}
		late := r.Uint64() & r.Uint64() & 15
		rows := w.survey(func(i int) bool { return late>>i&1 == 1 })
		p := Reconcile(w.members, rows, w.rules)
		w.settle(&p, &rows[0])
		bad := r.Uint64() & r.Uint64()
		if broken := w.carryOut(p, &rows[0], func(op Op) bool { return bad>>(op.Member+int(op.Verb)*8)&1 == 1 }); broken != "" {
			return broken, w
		}
		if r.IntN(2) == 0 { // somebody edits in the middle of it: the op was refused
			w.edit(r.IntN(len(w.members)))
		}
	}
	return w.rest(), w
}

// rest lets everybody answer and nothing fail: then one plan is all it takes.
func (w *world) rest() string {
	rows := w.survey(never)
	p := Reconcile(w.members, rows, w.rules)
	w.settle(&p, &rows[0])
	if broken := w.carryOut(p, &rows[0], never); broken != "" {
		return broken
	}
	rows = w.survey(never)
	again := Reconcile(w.members, rows, w.rules)
	disputed := len(again.Steps) == 1 && again.Steps[0].Dispute != nil
	if len(again.Steps) > 0 && !disputed {
		return fmt.Sprintf("a carried-out plan leaves %s", render(again, rows[0]))
	}
	readOnly := slices.ContainsFunc(w.members, func(m Member) bool { return m.ReadOnly })
	if !disputed && !readOnly && w.rules.From == "" {
		for i := range w.has {
			if w.has[i] != w.has[0] {
				return fmt.Sprintf("at rest, and not in step: %v", w.has)
			}
		}
	}
	return ""
}
