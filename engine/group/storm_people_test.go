package group_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// edit is what a person does at one member; call it with mu held.
func (s *storm) edit(p *spy, r *rand.Rand) {
	texts := p.Texts()
	refs := slices.Sorted(maps.Keys(texts))
	if len(refs) == 0 || r.IntN(4) == 0 {
		uid := fmt.Sprint("u", r.IntN(6))
		if s.own != nil { // whoever makes an item there, does not know of UIDs
			uid = fmt.Sprint("u-", s.values)
		}
		if p.text(uid) == nil {
			s.values++
			v := p.kept(props{s.values, s.values, s.values})
			p.Put(engine.Ref(uid), write(uid, v))
			s.say("%d adds %s %v", p.n, uid, v)
		}
		return
	}
	ref := refs[r.IntN(len(refs))]
	uid, v := read([]byte(texts[ref]))
	switch r.IntN(6) {
	case 0:
		s.letGo(uid, v)
		p.Remove(ref)
		s.say("%d removes %s %v", p.n, uid, v)
	case 1:
		p.Touch(ref)
		s.say("%d touches %s", p.n, uid)
	case 2, 3, 4, 5:
		if p.young[ref] { // nobody could know it for what it is
			return
		}
		s.values++
		i := r.IntN(len(p.knows()))
		s.before[s.values] = v[i]
		v[i] = s.values
		p.Put(ref, []byte(replaceProp(texts[ref], i, s.values)))
		s.say("%d edits %s to %v", p.n, uid, v)
	}
}

func replaceProp(text string, i, value int) string {
	lines := strings.Split(text, "\r\n")
	for j, line := range lines {
		if strings.HasPrefix(line, propNames[i]+":") {
			lines[j] = fmt.Sprintf("%s:%d", propNames[i], value)
			return strings.Join(lines, "\r\n")
		}
	}
	return strings.Replace(text, "END:VEVENT", fmt.Sprintf("%s:%d\r\nEND:VEVENT", propNames[i], value), 1)
}

func (p *spy) text(uid string) []byte {
	texts := p.Texts()
	for _, ref := range slices.Sorted(maps.Keys(texts)) {
		if u, _ := read([]byte(texts[ref])); u == uid {
			return []byte(texts[ref])
		}
	}
	return nil
}

// asked is what a person asks of a run, now and then.
func (s *storm) asked() group.Options {
	opt := group.Options{Slow: s.r.IntN(8) == 0, Proceed: s.guards && s.r.IntN(3) == 0, Restore: s.guards && s.r.IntN(6) == 0}
	if s.r.IntN(6) == 0 {
		opt.Decide = s.decision()
	}
	return opt
}

// decision settles an open conflict: all of its texts have been seen by whoever
// does that.
func (s *storm) decision() *group.Decision {
	open, err := s.set().Conflicts()
	if err != nil || len(open) == 0 {
		return nil
	}
	c := open[s.r.IntN(len(open))]
	d := &group.Decision{Conflict: c.ID, Choice: []string{"member", "both", "merged", "skip", "newest"}[s.r.IntN(5)], Member: c.Sides[s.r.IntN(len(c.Sides))].Member}
	if d.Choice == "both" && s.own != nil {
		d.Choice = "merged" // else an item has a twin there that no UID tells from it
	}
	for _, text := range s.copies(c) {
		uid, v := read(text)
		s.letGo(uid, v)
	}
	s.say("somebody settles %s: %s %s", c.UID, d.Choice, d.Member)
	return d
}
