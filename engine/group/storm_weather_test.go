package group_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

// A spy is a member that watches what is done to it, and can be difficult.
type spy struct {
	*memory.Storage
	storm     *storm
	n         int
	member    group.Member
	r         *rand.Rand
	calm      bool
	late      bool
	calls     int
	lastTexts map[engine.Ref]string // just before a write
	made      bool                  // the write was made, whatever was answered
	dieAt     int                   // the call at which the daemon dies; 0 never
}

func newStorm(t testing.TB, seed uint64) *storm {
	r := rand.New(rand.NewPCG(seed, 11))
	s := &storm{t: t, r: r, seed: seed, before: map[int]int{}, let: map[string][]props{}}
	var err error
	if s.ledger, err = ledger.OpenMemory(time.Now); err != nil {
		t.Fatal(err)
	}
	s.ledger.Before = func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.dead {
			return fmt.Errorf("dead")
		}
		return nil
	}
	n := 2 + r.IntN(3)
	s.rules = group.Rules{Policy: []string{"ask", "merge", "merge", "keep-both", "newest", "member"}[r.IntN(6)], HoldItems: 1000, HoldPercent: 100}
	for i := range n {
		id := engine.MemberID(fmt.Sprintf("%c/cal", 'a'+i))
		m := &memory.Storage{NoEtags: r.IntN(6) == 0, NoTokens: r.IntN(3) == 0, Inline: r.IntN(3) == 0, Sum: func(text []byte) engine.Sum { return item.Sum(text) }}
		if r.IntN(4) == 0 {
			m.Rewrite = rewriter
		}
		p := &spy{Storage: m, storm: s, n: i, r: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		p.member = group.Member{ID: id, Identity: "m:" + string(id), ReadOnly: r.IntN(8) == 0}
		m.Before = p.hook
		m.After = p.after
		m.Refuse = p.refuse
		s.spies = append(s.spies, p)
	}
	switch r.IntN(10) {
	case 0:
		s.rules.From = s.spies[r.IntN(n)].member.ID
	case 1:
		s.rules.RevertReadOnly = true
	}
	s.rules.Prefer = s.spies[r.IntN(n)].member.ID
	return s
}

func write(uid string, p props) []byte {
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTART:20240101T120000Z\r\n"
	for i, v := range p {
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

// edit is what a person does at one member; call it with mu held.
func (s *storm) edit(p *spy, r *rand.Rand) {
	texts := p.Texts()
	refs := slices.Sorted(maps.Keys(texts))
	if len(refs) == 0 || r.IntN(4) == 0 {
		uid := fmt.Sprint("u", r.IntN(6))
		if p.text(uid) == nil {
			s.values++
			v := props{s.values, s.values, s.values}
			p.Put(engine.Ref(uid), write(uid, v))
			s.say("%d adds %s %v", p.n, uid, v)
		}
		return
	}
	ref := refs[r.IntN(len(refs))]
	uid, v := read([]byte(texts[ref]))
	switch r.IntN(6) {
	case 0:
		s.let[uid] = append(s.let[uid], v)
		p.Remove(ref)
		s.say("%d removes %s %v", p.n, uid, v)
	case 1:
		p.Touch(ref)
	default:
		s.values++
		i := r.IntN(len(v))
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
		}
	}
	return strings.Join(lines, "\r\n")
}

func (p *spy) text(uid string) []byte {
	for _, text := range p.Texts() {
		if u, _ := read([]byte(text)); u == uid {
			return []byte(text)
		}
	}
	return nil
}

// hook is asked before everything that a member does.
func (p *spy) hook(c memory.Call) error {
	p.storm.mu.Lock()
	defer p.storm.mu.Unlock()
	if p.calls++; p.calls == p.dieAt {
		p.storm.dead = true
		p.storm.say("the daemon dies before %s at %d", c.Name, p.n)
	}
	if p.storm.dead {
		return engine.Fail(engine.Offline, c.Name, "", "dead")
	}
	if p.calm {
		return nil
	}
	// Who gives no etags and rewrites cannot be told apart from somebody who edits
	// between our write and the look at it: see writer.served.
	blind := p.NoEtags && p.Rewrite != nil
	if p.r.IntN(12) == 0 && !blind {
		p.storm.edit(p, p.r)
	}
	kinds := []engine.Kind{engine.Offline, engine.ServerError, engine.Timeout, engine.InvalidItem, engine.Forbidden, engine.AlreadyExists, engine.TooLarge}
	if p.r.IntN(25) == 0 {
		kind := kinds[p.r.IntN(len(kinds))]
		p.storm.say("%s at %d %s: %v", c.Name, p.n, c.Ref, kind)
		return engine.Fail(kind, c.Name, string(c.Ref), "storm")
	}
	return nil
}

// after lets a write that was made look as if it was not, or the daemon die
// before it can note it.
func (p *spy) after(c memory.Call) error {
	p.storm.mu.Lock()
	defer p.storm.mu.Unlock()
	p.made = true
	if p.calls++; p.calls == p.dieAt {
		p.storm.dead = true
		p.storm.say("the daemon dies after %s at %d", c.Name, p.n)
	}
	if p.storm.dead || !p.calm && p.r.IntN(20) == 0 {
		p.storm.say("%s at %d %s was made, and answered with an error", c.Name, p.n, c.Ref)
		return engine.Fail(engine.ServerError, c.Name, string(c.Ref), "made all the same")
	}
	return nil
}

// Apply makes writes one by one and looks at what each destroyed.
func (p *spy) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i, w := range writes {
			for n, out := range p.Storage.Apply(ctx, []engine.Write{p.watch(w)}) {
				p.destroyed(w, out)
				if n >= 0 {
					n = i
				}
				if !yield(n, out) || n < 0 {
					return
				}
			}
		}
	}
}

// refuse does not take a UID twice, as servers do not.
func (p *spy) refuse(w engine.Write) error {
	p.lastTexts = p.Texts()
	if w.Verb == engine.Create && p.text(string(w.UID)) != nil {
		return engine.Fail(engine.AlreadyExists, "create", string(w.UID), "no-uid-conflict")
	}
	return nil
}

func (p *spy) watch(w engine.Write) engine.Write {
	p.storm.mu.Lock()
	defer p.storm.mu.Unlock()
	uid, v := read(w.Text)
	if w.Verb == engine.Delete {
		p.storm.say("  delete at %d %s", p.n, w.Old.Ref)
	} else {
		p.storm.say("  %s at %d %s %v", w.Verb, p.n, uid, v)
	}
	p.lastTexts, p.made = nil, false
	return w
}

// destroyed checks that what a write replaced or removed had been seen by whoever
// made the new text, or was let go.
func (p *spy) destroyed(w engine.Write, out engine.Outcome) {
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
		if !slices.ContainsFunc(s.let[uid], func(d props) bool { return s.seen(d, v) }) {
			s.fail("%s %v was deleted at %d, and nobody let it go", uid, v, p.n)
		}
		return
	}
	_, next := read(w.Text)
	if !s.seen(next, v) && !slices.ContainsFunc(s.let[uid], func(d props) bool { return s.seen(d, v) }) {
		s.fail("%s %v was replaced by %v at %d, which has not seen it", uid, v, next, p.n)
	}
}
