package group_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

// A storm is a set whose members are edited while they are synced, answer late,
// in any order and wrongly, refuse writes, are away or replaced; whose daemon
// dies or is told to stop at any step, and loses its ledger; and whose clock
// jumps. Time is virtual and nobody ever wakes together with somebody else, so
// that a seed says all that happens. What it destroys is watched by an oracle
// that knows nothing of plans: see storm_oracle_test.go.
type storm struct {
	t      testing.TB
	house  *house
	r      *rand.Rand
	seed   uint64
	began  time.Time
	skew   time.Duration // of the daemon's clock
	jumps  *rand.Rand    // of the clock; nil while it is right
	spies  []*spy
	rules  group.Rules
	life   int // it is lived twice
	ledger int // how many were lost
	guards bool
	own    *spy // gives items UIDs of its own; nil in most storms

	mu       sync.Mutex // guards what hooks of several members share
	steps    int        // of the run: calls, answers, commits
	dieAt    int        // the step at which the daemon dies; 0 never
	cancelAt int        // the step at which it is told to stop
	cancel   func()
	dead     bool
	before   map[int]int
	values   int
	let      map[string][]props // texts that somebody let go, by UID
	trace    []string
	broken   string
	taken    []taken // what the engine destroyed: all of it must be in history
	metas    *metas
	history  uint64 // the newest version of the storm before
}

// A house is where the storms of one bubble take place, one after the other: it
// has the ledger, since SQLite takes longer to open than a storm lasts.
type house struct {
	ledger *ledger.Ledger
	storm  *storm
	lives  int
	job    engine.JobID
}

func newHouse(t testing.TB) *house {
	h := &house{}
	l, err := ledger.OpenMemory(h.now)
	if err != nil {
		t.Fatal(err)
	}
	l.Before = h.commit
	h.ledger = l
	return h
}

func (h *house) now() time.Time {
	if h.storm == nil {
		return time.Now()
	}
	return time.Now().Add(h.storm.skew)
}

func (h *house) commit() error {
	if h.storm == nil {
		return nil
	}
	h.storm.mu.Lock()
	defer h.storm.mu.Unlock()
	if h.storm.step("commit"); h.storm.dead {
		return fmt.Errorf("dead")
	}
	return nil
}

// newStorm begins a storm; with another clock it is the same storm under a clock
// that jumps by months and years.
func (h *house) newStorm(t testing.TB, seed uint64, otherClock bool) *storm {
	time.Sleep(time.Until(time.Now().Add(time.Hour).Truncate(time.Second))) // at a full second
	r := rand.New(rand.NewPCG(seed, 11))
	s := &storm{t: t, house: h, r: r, seed: seed, began: time.Now(), life: h.lives, metas: newMetas(seed), before: map[int]int{}, let: map[string][]props{}}
	if otherClock {
		s.jumps = rand.New(rand.NewPCG(seed, 13))
	}
	h.storm, h.job = s, 0
	h.lives++
	n := 2 + r.IntN(3)
	s.rules = group.Rules{Policy: []string{"ask", "merge", "merge", "keep-both", "newest", "member"}[r.IntN(6)], HoldItems: 1000, HoldPercent: 100}
	if s.guards = r.IntN(8) == 0; s.guards {
		s.rules.HoldItems, s.rules.HoldPercent = 0, 0
	}
	for i := range n {
		m := &memory.Storage{NoEtags: r.IntN(6) == 0, NoTokens: r.IntN(3) == 0, Inline: r.IntN(3) == 0, Sum: func(text []byte) engine.Sum { return item.Sum(text) }}
		if r.IntN(4) == 0 {
			m.Rewrite = rewriter
		}
		p := &spy{storm: s, n: i, r: rand.New(rand.NewPCG(seed, uint64(100+i))), tells: r.IntN(2) == 0}
		p.member = group.Member{ID: engine.MemberID(fmt.Sprintf("%c/cal", 'a'+i)), ReadOnly: r.IntN(8) == 0}
		m.Before, m.After, m.Refuse = p.hook, p.after, p.refuse
		if seed%8 >= 5 && seed%8 != 6 && uint64(i) == seed/4%uint64(n) {
			s.letOwn(p, m)
		}
		p.live(m)
		if seed%8 == 6 && uint64(i) == seed/16%uint64(n) {
			s.makePoor(p)
		}
		s.spies = append(s.spies, p)
	}
	switch r.IntN(10) {
	case 0:
		s.rules.From = s.spies[r.IntN(n)].member.ID
	case 1:
		s.rules.RevertReadOnly = true
	}
	s.rules.Prefer = s.spies[r.IntN(n)].member.ID
	if s.metas.r.IntN(16) == 0 && s.own == nil {
		s.rules.Policy, s.rules.Command = "command", []string{"cp"} // settles what two members dispute
	}
	s.history = s.newest()
	return s
}

func (s *storm) key() ledger.SetKey {
	return ledger.SetKey{Group: engine.GroupID(fmt.Sprintf("storm%d.%d", s.life, s.ledger)), ID: "cal", Kind: engine.Calendar}
}

func (s *storm) set() *ledger.Set { return s.house.ledger.Set(s.key()) }

// step counts one step of the run, and lets happen what is to happen at it; call
// it with mu held.
func (s *storm) step(name string) {
	s.steps++
	switch s.steps {
	case s.dieAt:
		s.dead = true
		s.say("the daemon dies at step %d, %s", s.steps, name)
	case s.cancelAt:
		s.say("the daemon is told to stop at step %d, %s", s.steps, name)
		s.cancel()
	}
}

func (s *storm) say(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%v ", time.Since(s.began))+fmt.Sprintf(format, args...))
}

func (s *storm) sync(opt group.Options) (group.Result, error) {
	var members []group.Member
	for _, p := range s.spies {
		members = append(members, p.asMember())
	}
	s.house.job++
	opt.Job = s.house.job
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	s.mu.Lock()
	s.cancel, s.steps = cancel, 0
	s.say("run %d slow %v proceed %v restore %v", opt.Job, opt.Slow, opt.Proceed, opt.Restore)
	s.mu.Unlock()
	res, err := group.Sync(ctx, s.set(), members, s.rules, opt, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grow()
	s.say("ends %+v %+v %v %v", res.Set.Counts, res.Changed, err != nil, engine.KindOf(err))
	return res, err
}

// Phase, Total, Done and Item make a storm a group.Sink.
func (s *storm) Phase(string)    {}
func (s *storm) Total(int)       {}
func (s *storm) Done(int, int64) {}
func (s *storm) Item(step engine.ItemStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("  told %s %s %s", step.Action, step.Member, step.Item)
}

// rage is a while of bad weather.
func (s *storm) rage() {
	for range 2 + s.r.IntN(4) {
		s.mu.Lock()
		for range s.r.IntN(6) {
			s.edit(s.spies[s.r.IntN(len(s.spies))], s.r)
		}
		for range s.metas.r.IntN(4) {
			s.editMeta()
		}
		s.mu.Unlock()
		for _, p := range s.spies {
			p.calm, p.late = s.r.IntN(3) == 0, s.r.IntN(5) == 0
			if s.r.IntN(24) == 0 && s.own == nil {
				p.move(s.r)
			}
		}
		switch s.r.IntN(6) {
		case 0, 1:
			s.dieAt = 1 + s.r.IntN(60)
		case 2:
			s.cancelAt = 1 + s.r.IntN(60)
		}
		if s.r.IntN(30) == 0 && s.own == nil {
			s.loseLedger()
		}
		s.sync(s.asked()) // whatever comes of it
		s.revive()
		s.rest()
	}
}

// revive starts a daemon that died again, from what its ledger holds.
func (s *storm) revive() {
	s.dieAt, s.cancelAt = 0, 0
	if !s.dead {
		return
	}
	s.dead = false
	l, err := s.house.ledger.Revive()
	if err != nil {
		s.t.Fatal(err)
	}
	s.house.ledger = l
}

// loseLedger begins with an empty one. What its history held is lost with it.
func (s *storm) loseLedger() {
	s.ledger++
	s.taken = nil
	s.say("the ledger is lost")
}

// rest lets time pass: more than any refused write waits for its next try, so
// that a clock which is wrong may change nothing; half of the storms do not wait
// for so long, and have the right clock.
func (s *storm) rest() {
	d := time.Minute + time.Duration(s.r.Int64N(int64(6*time.Hour)))
	if s.seed%2 == 1 {
		d += 25 * time.Hour
	}
	time.Sleep(time.Until(time.Now().Add(d).Truncate(time.Second)))
	if s.jumps == nil {
		return
	}
	const day = 24 * time.Hour
	switch jump := time.Duration(100+s.jumps.Int64N(2000)) * day; {
	case s.jumps.IntN(3) == 0:
	case s.skew > 0:
		s.skew -= jump
	default:
		s.skew += jump
	}
}

// calmDown lets everybody answer, and says what is not as it should be.
func (s *storm) calmDown() string {
	for _, p := range s.spies {
		p.calm, p.late = true, false
	}
	var last group.Result
	runs := 3
	if s.guards {
		runs = 5
	}
	for range runs {
		var err error
		if last, err = s.sync(group.Options{Slow: true, Proceed: true}); err != nil {
			return err.Error()
		}
	}
	if s.broken != "" {
		return s.broken
	}
	if slices.ContainsFunc(s.spies, func(p *spy) bool { return !p.member.ReadOnly }) {
		if last.Set.Failure.Set || last.Set.Added+last.Set.Modified+last.Set.Removed > 0 {
			return fmt.Sprintf("after %d calm runs it still moves: %+v", runs, last.Set)
		}
	}
	for _, check := range []func() string{s.unequal, s.unlike, s.untold, s.unquiet, s.unmatched} {
		if broken := check(); broken != "" {
			return broken
		}
	}
	return ""
}
