package group_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
)

// A storm is a set whose members are edited while they are synced, refuse
// writes, answer wrongly, come late, and whose daemon dies in the middle. What
// it destroys is watched by an oracle that knows nothing of plans: it follows
// single values, and who had seen which.
type storm struct {
	t      testing.TB
	r      *rand.Rand
	seed   uint64
	ledger *ledger.Ledger
	spies  []*spy
	rules  group.Rules
	job    engine.JobID

	mu     sync.Mutex // guards what hooks of several members share
	dead   bool       // the daemon has died
	before map[int]int
	values int
	let    map[string][]props // texts that somebody deleted, by UID
	log    []string
	broken string
	taken  []taken // what the engine destroyed: all of it must be in history
}

type taken struct {
	member engine.MemberID
	values string // what people wrote; what a server made of it does not count
}

func values(text string) string {
	uid, v := read([]byte(text))
	return fmt.Sprint(uid, v)
}

// props are the values of an item's properties; each value names the one it
// replaced in storm.before.
type props [3]int

var propNames = [3]string{"SUMMARY", "LOCATION", "DESCRIPTION"}

// plain tells that nobody rules, and that no text moves to another UID: then
// nothing may be lost to anybody.
func (s *storm) plain() bool {
	return s.rules.Policy != "keep-both" && s.rules.From == "" && !s.rules.RevertReadOnly && s.rules.Policy != "member" && s.rules.Policy != "newest"
}

func (s *storm) say(format string, args ...any) { s.log = append(s.log, fmt.Sprintf(format, args...)) }

// seen tells whether every value of old is in new, or was replaced on the way.
func (s *storm) seen(new, old props) bool {
	for i := range new {
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

func (s *storm) fail(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
	}
}

func (s *storm) sync(opt group.Options) (group.Result, error) {
	var members []group.Member
	for _, p := range s.spies {
		m := p.member
		if !p.late {
			m.Storage = p
		} else {
			m.Err = engine.Fail(engine.Offline, "open", string(m.ID), "late")
		}
		members = append(members, m)
	}
	s.job++
	opt.Job = s.job
	s.say("run %d", s.job)
	return group.Sync(s.t.Context(), s.ledger.Set(key), members, s.rules, opt, nobody{})
}

type nobody struct{}

func (nobody) Phase(string)         {}
func (nobody) Total(int)            {}
func (nobody) Done(int, int64)      {}
func (nobody) Item(engine.ItemStep) {}

// rage is a while of bad weather.
func (s *storm) rage() {
	for range 2 + s.r.IntN(5) {
		s.mu.Lock()
		for range s.r.IntN(6) {
			s.edit(s.spies[s.r.IntN(len(s.spies))], s.r)
		}
		s.mu.Unlock()
		for _, p := range s.spies {
			p.calm, p.late = s.r.IntN(3) == 0, s.r.IntN(5) == 0
			p.calls, p.dieAt = 0, 0
		}
		if s.r.IntN(3) == 0 {
			s.spies[s.r.IntN(len(s.spies))].dieAt = 1 + s.r.IntN(30)
		}
		s.sync(group.Options{Slow: s.r.IntN(8) == 0}) // whatever comes of it
		s.mu.Lock()
		s.dead = false
		s.mu.Unlock()
	}
}

// calmDown lets everybody answer, and says what is not as it should be.
func (s *storm) calmDown() string {
	for _, p := range s.spies {
		p.calm, p.late, p.dieAt = true, false, 0
	}
	var last group.Result
	for range 3 {
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
			return fmt.Sprintf("after three calm runs it still moves: %+v", last.Set)
		}
	}
	if broken := s.unequal(); broken != "" {
		return broken
	}
	if broken := s.untold(); broken != "" {
		return broken
	}
	return s.unquiet()
}

// untold says what was destroyed and is not in history.
func (s *storm) untold() string {
	kept := map[taken]bool{}
	for _, p := range s.spies {
		versions, err := s.ledger.Versions(p.member.ID, "", 0, 1000000)
		if err != nil {
			return err.Error()
		}
		for _, v := range versions {
			text, err := s.ledger.VersionText(v.ID)
			if err != nil {
				return err.Error()
			}
			kept[taken{p.member.ID, values(string(text))}] = true
		}
	}
	for _, x := range s.taken {
		if !kept[x] {
			return fmt.Sprintf("%s lost %s, which is not in history", x.member, x.values)
		}
	}
	return ""
}

// unequal says which item the members do not agree on, conflicts apart.
func (s *storm) unequal() string {
	open := map[engine.UID]bool{}
	all, err := s.ledger.Conflicts(nil, 0, 1000)
	if err != nil {
		return err.Error()
	}
	for _, c := range all {
		open[c.UID] = true
	}
	problems, err := s.ledger.Problems(nil, 0, 1000)
	if err != nil || len(problems) > 0 {
		return fmt.Sprintf("problems are left: %+v %v", problems, err)
	}
	var first map[string]props
	for i, p := range s.spies {
		now := map[string]props{}
		for _, text := range p.Texts() {
			uid, v := read([]byte(text))
			if _, twice := now[uid]; twice {
				return fmt.Sprintf("%s is twice at %d", uid, i)
			}
			now[uid] = v
		}
		maps.DeleteFunc(now, func(uid string, _ props) bool { return open[engine.UID(uid)] })
		if i == 0 {
			first = now
		}
		if !maps.Equal(first, now) && !s.apart() {
			return fmt.Sprintf("not in step: a has %v, %d has %v (in conflict: %v)", first, i, now, open)
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
		if c := p.Counts(); c.Writes() > 0 || c.Fetched > 0 && !p.NoEtags {
			return fmt.Sprintf("a run with nothing to do did something at %d: %+v", i, c)
		}
	}
	return ""
}

// TestStorm lives through as many storms as DAVBUS_STORMS says.
func TestStorm(t *testing.T) {
	storms := uint64(stormCount)
	if n, err := strconv.ParseUint(os.Getenv("DAVBUS_STORMS"), 10, 64); err == nil {
		storms = n
	}
	for seed := range storms {
		s := newStorm(t, seed)
		s.rage()
		if broken := s.calmDown(); broken != "" {
			for _, line := range s.log {
				t.Log(line)
			}
			t.Fatalf("newStorm(t, %d): %s\n%+v", seed, broken, s.rules)
		}
		s.ledger.Close()
	}
}
