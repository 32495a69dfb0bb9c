package group_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// A spy is a member that watches what is done to it, and can be difficult.
type spy struct {
	*memory.Storage
	storm     *storm
	n         int
	member    group.Member
	r         *rand.Rand
	lives     []*memory.Storage // the storages it was; the one that it is among them
	tells     bool              // it has a State
	calm      bool
	late      bool
	poor      bool                  // it keeps no descriptions
	lastTexts map[engine.Ref]string // just before a write
	made      bool                  // the write was made, whatever was answered
	young     map[engine.Ref]bool   // made by a write of which the ledger does not know yet; nil but for s.own
}

// live makes a storage the one that this member is.
func (p *spy) live(m *memory.Storage) {
	n := slices.Index(p.lives, m)
	if n < 0 {
		n, p.lives = len(p.lives), append(p.lives, m)
	}
	p.Storage = m
	p.member.Identity = fmt.Sprintf("m:%s:%d", p.member.ID, n)
}

// move is what somebody does who gives a member another url or path: to a
// storage that is empty, to a copy, or back to an earlier one.
func (p *spy) move(r *rand.Rand) {
	how := r.IntN(3)
	if how == 2 {
		p.live(p.lives[r.IntN(len(p.lives))])
	} else {
		next := p.Storage.Copy()
		texts := p.Texts()
		for _, ref := range slices.Sorted(maps.Keys(texts)) {
			if how == 1 {
				next.Put("copy-"+ref, []byte(texts[ref]))
			}
		}
		p.live(next)
	}
	p.storm.say("%d moves to %s", p.n, p.member.Identity)
}

func (p *spy) asMember() group.Member {
	m := p.member
	m.OwnUIDs = p == p.storm.own
	if p.late {
		if m.Err = engine.Fail(engine.Offline, "open", string(m.ID), "late"); p.r.IntN(2) == 0 {
			m.Identity = "" // nor does anybody know what it is
		}
		return m
	}
	m.Storage = p
	if p.storm.wired(p) {
		if m.Storage, m.Err = p.overWire(p.storm.t.Context()); m.Err != nil {
			return m
		}
	}
	if p.tells {
		m.State = p.State()
	}
	return m
}

// wait lets an answer take its time. Each member wakes at instants that no other
// ever wakes at: whoever is awake is alone.
func (p *spy) wait() {
	const others = 16
	at := time.Now().Add(time.Duration(1 + p.r.Int64N(int64(200*time.Millisecond)))).UnixNano()
	at += others - at%others + int64(p.n)
	time.Sleep(time.Until(time.Unix(0, at)))
}

// faults are what may come of any call.
var faults = []engine.Kind{engine.Offline, engine.ConnectionLost, engine.ServerError, engine.ServerBusy, engine.Timeout, engine.InvalidItem,
	engine.Forbidden, engine.AlreadyExists, engine.TooLarge, engine.Changed, engine.QuotaExceeded, engine.AuthFailed}

// hook is asked before everything that a member does.
func (p *spy) hook(c memory.Call) error {
	p.wait()
	s := p.storm
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("%s at %d %s", c.Name, p.n, c.Ref)
	if s.step(c.Name); s.dead {
		return engine.Fail(engine.Offline, c.Name, "", "dead")
	}
	if p.calm {
		return nil
	}
	if p.r.IntN(12) == 0 {
		s.edit(p, p.r)
	}
	if p.r.IntN(25) == 0 {
		kind := faults[p.r.IntN(len(faults))]
		s.say("%s at %d %s: %v", c.Name, p.n, c.Ref, kind)
		return engine.Fail(kind, c.Name, string(c.Ref), "storm")
	}
	return nil
}

// after lets a write that was made look as if it was not, or the daemon die
// before it can note it.
func (p *spy) after(c memory.Call) error {
	p.wait()
	s := p.storm
	s.mu.Lock()
	defer s.mu.Unlock()
	p.made = true
	if p == s.own && c.Name == "create" {
		p.young[c.Ref] = true
	}
	s.step("after " + c.Name)
	if s.dead || !p.calm && p.r.IntN(20) == 0 {
		s.say("%s at %d %s was made, and answered with an error", c.Name, p.n, c.Ref)
		return engine.Fail(engine.ServerError, c.Name, string(c.Ref), "made all the same")
	}
	return nil
}

// shuffle brings answers into any order.
func shuffle[T any](p *spy, list []T) []T {
	p.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// cut tells whether an answer ends in the middle.
func (p *spy) cut() bool { return !p.calm && p.r.IntN(30) == 0 }

var errCut = engine.Fail(engine.ConnectionLost, "read", "", "the answer ended in the middle")

func (p *spy) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		var heads []engine.Head
		for h, err := range p.Storage.List(ctx) {
			if err != nil {
				yield(h, err)
				return
			}
			heads = append(heads, h)
		}
		for _, h := range shuffle(p, heads) {
			if p.cut() {
				yield(engine.Head{}, errCut)
				return
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (p *spy) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	d, err := p.Storage.Changes(ctx, since)
	if p.cut() {
		return engine.Delta{}, errCut
	}
	if shuffle(p, d.Changed); len(d.Changed) > 0 && p.r.IntN(3) == 0 {
		d.Changed = append(d.Changed, d.Changed[0]) // it repeats itself
	}
	return d, err
}

func (p *spy) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		for it, err := range p.Storage.Fetch(ctx, shuffle(p, slices.Clone(refs))) {
			if p.cut() {
				yield(engine.Item{}, errCut)
				return
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// Apply makes writes one by one and looks at what each destroyed. Half of the
// time it tells only then what came of all, in any order.
func (p *spy) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	type told struct {
		n   int
		out engine.Outcome
	}
	return func(yield func(int, engine.Outcome) bool) {
		p.wait()
		var later []told
		hold := p.r.IntN(2) == 0
		for i, w := range writes {
			for n, out := range p.Storage.Apply(ctx, []engine.Write{p.watch(w)}) {
				p.destroyed(w)
				if n >= 0 {
					n = i
				}
				if hold && n >= 0 {
					later = append(later, told{n, out})
				} else if !hold && (!yield(n, out) || n < 0) {
					return
				}
			}
		}
		for _, x := range shuffle(p, later) {
			if p.cut() {
				yield(-1, engine.Outcome{Err: errCut})
				return
			}
			if !yield(x.n, x.out) {
				return
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
	p.conditional(w)
	uid, v := read(w.Text)
	if w.Verb == engine.Delete {
		p.storm.say("  delete at %d %s", p.n, w.Old.Ref)
	} else {
		p.storm.say("  %s at %d %s %v", w.Verb, p.n, uid, v)
	}
	p.lastTexts, p.made = nil, false
	return w
}
