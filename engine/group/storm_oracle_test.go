package group_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// props are the values of an item's properties; each value names the one it
// replaced in storm.before.
type props [3]int

var propNames = [3]string{"SUMMARY", "LOCATION", "DESCRIPTION"}

type taken struct {
	member engine.MemberID
	values string // what people wrote; what a server made of it does not count
}

func values(text string) string {
	if !strings.HasPrefix(text, "BEGIN:") {
		return text // a property of the collection
	}
	uid, v := read([]byte(text))
	return fmt.Sprint(uid, v)
}

func write(uid string, p props) []byte {
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTART:20240101T120000Z\r\n"
	for i, v := range p {
		if v == 0 {
			continue // somebody does not keep it
		}
		text += fmt.Sprintf("%s:%d\r\n", propNames[i], v)
	}
	return []byte(text + "END:VEVENT\r\nEND:VCALENDAR\r\n")
}

func read(text []byte) (uid string, p props) {
	for line := range strings.SplitSeq(string(text), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if name == "UID" {
			uid = value
		}
		if i := slices.Index(propNames[:], name); i >= 0 {
			p[i], _ = strconv.Atoi(value)
		}
	}
	return uid, p
}

// plain tells that nobody rules, and that no text moves to another UID: then
// nothing may be lost to anybody.
func (s *storm) plain() bool {
	return s.rules.Policy != "keep-both" && s.rules.From == "" && !s.rules.RevertReadOnly && !slices.Contains([]string{"member", "newest", "command"}, s.rules.Policy)
}

// seen tells whether every value of old is in new, or was replaced on the way.
func (s *storm) seen(new, old props) bool {
	for i := range new {
		if old[i] == 0 {
			continue // there was nothing
		}
		v := new[i]
		for v != old[i] && v != 0 {
			v = s.before[v]
		}
		if v == 0 {
			return false
		}
	}
	return true
}

// gives tells whether somebody who let a text go let another go by that: with what
// a poor member does not keep goes what it never saw.
func (s *storm) gives(let, old props) bool {
	for i := range let {
		if let[i] == 0 {
			let[i] = old[i]
		}
	}
	return s.seen(let, old)
}

func (s *storm) fail(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
	}
}

// destroyed checks that what a write replaced or removed had been seen by whoever
// made the new text, or was let go.
func (p *spy) destroyed(w engine.Write) {
	s := p.storm
	s.mu.Lock()
	defer s.mu.Unlock()
	old, was := p.lastTexts[w.Old.Ref]
	now, is := p.Texts()[w.Old.Ref]
	if w.Verb == engine.Create || !was || !p.made || is && now == old {
		return
	}
	s.taken = append(s.taken, taken{p.member.ID, values(old)})
	if !s.plain() {
		return
	}
	uid, v := read([]byte(old))
	if w.Verb == engine.Delete {
		if !slices.ContainsFunc(s.let[s.letBy(uid)], func(d props) bool { return s.gives(d, v) }) {
			s.fail("I6: %s %v was deleted at %d, and nobody let it go", uid, v, p.n)
		}
		return
	}
	_, next := read(w.Text)
	if !s.seen(next, v) && !slices.ContainsFunc(s.let[s.letBy(uid)], func(d props) bool { return s.gives(d, v) }) {
		s.fail("I1: %s %v was replaced by %v at %d, which has not seen it", uid, v, next, p.n)
	}
}

// conditional checks that a write names what it replaces.
func (p *spy) conditional(w engine.Write) {
	named := w.Old.Ref != "" && (w.Old.Etag != "" || p.NoEtags && w.Was != engine.Sum{})
	if w.Verb != engine.Create && !named {
		p.storm.fail("I7: %s at %d names no version: %+v", w.Verb, p.n, w.Old)
	}
}

// newest is the newest version in history.
func (s *storm) newest() (id uint64) {
	for _, p := range s.spies {
		versions, err := s.house.ledger.Versions(p.member.ID, "", 0, 1)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, v := range versions {
			id = max(id, v.ID)
		}
	}
	return id
}

// untold says what was destroyed and is not in history.
func (s *storm) untold() string {
	kept := map[taken]bool{}
	for _, p := range s.spies {
		versions, err := s.house.ledger.Versions(p.member.ID, "", 0, 1000000)
		if err != nil {
			return err.Error()
		}
		for _, v := range versions {
			if v.ID <= s.history {
				continue
			}
			text, err := s.house.ledger.VersionText(v.ID)
			if err != nil {
				return err.Error()
			}
			kept[taken{p.member.ID, values(string(text))}] = true
			kept[taken{"", string(text)}] = true
		}
	}
	for _, x := range s.taken {
		if !kept[x] {
			return fmt.Sprintf("I1: %s lost %s, which is not in history", x.member, x.values)
		}
	}
	return ""
}

// unequal says which item the members do not agree on, conflicts apart.
func (s *storm) unequal() string {
	open := map[string]bool{}
	all, err := s.set().Conflicts()
	if err != nil {
		return err.Error()
	}
	for _, c := range all {
		open[string(c.UID)] = true
		for _, text := range s.copies(c) {
			open[s.nameOf(read(text))] = true
		}
		s.say("conflict %s %s %v", c.UID, c.Kind, c.Clashes)
	}
	problems, err := s.set().Problems()
	if err != nil || len(problems) > 0 {
		return fmt.Sprintf("problems are left: %+v %v", problems, err)
	}
	var first map[string]props
	for _, p := range s.poorLast() {
		now := map[string]props{}
		for _, text := range p.Texts() {
			uid, v := read([]byte(text))
			uid = s.nameOf(uid, v)
			if _, twice := now[uid]; twice {
				return fmt.Sprintf("I2: %s is twice at %d", uid, p.n)
			}
			now[uid] = v
		}
		s.say("%d has %v", p.n, now)
		maps.DeleteFunc(now, func(uid string, _ props) bool { return open[uid] })
		if first == nil {
			first = now
		}
		same := func(a, b props) bool { return p.kept(a) == b }
		if !maps.EqualFunc(first, now, same) && !s.apart() {
			return fmt.Sprintf("I4: the first has %v, %d has %v (in conflict: %v)", first, p.n, now, open)
		}
	}
	return ""
}

// apart tells that members may differ for good: some are never written, or what
// they have of their own is nobody's business.
func (s *storm) apart() bool {
	return s.rules.From != "" || slices.ContainsFunc(s.spies, func(p *spy) bool { return p.member.ReadOnly })
}

// unquiet says what a further run does that has nothing to do.
func (s *storm) unquiet() string {
	for _, p := range s.spies {
		p.ResetCounts()
	}
	if _, err := s.sync(group.Options{}); err != nil {
		return err.Error()
	}
	for i, p := range s.spies {
		if c := p.Counts(); c.Writes()+c.SetMeta > 0 || c.Fetched > 0 && !p.NoEtags {
			return fmt.Sprintf("I3: a run with nothing to do did something at %d: %+v", i, c)
		}
	}
	return ""
}
