package keeper

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
)

// A gale is a keeper that is told everything that people, the desktop and the
// network tell it, in any order, while jobs run whose members are slow and away.
type gale struct {
	*rig
	r       *rand.Rand
	a, b    *memory.Storage
	edits   int
	asked   []engine.JobID
	paused  bool
	release func()    // of an inhibitor
	held    time.Time // since when the schedule is; zero while it is not

	mu   sync.Mutex // guards what the members' hooks use
	calm bool
	hook *rand.Rand
}

const gales = 6

// Whatever happens to a keeper: one job at a time works on a set, the schedule
// runs nothing while it is held, every job ends, and afterwards the members are
// brought into step as if nothing had happened. DAVBUS_GALES says how many it comes
// through, beginning with number DAVBUS_FROM, in the time of DAVBUS_FOR; DAVBUS_GALE
// names one.
func TestAKeeperComesThroughEveryGale(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	seeds := []uint64{19} // broke a promise once: a job that was told to stop began another call
	from := number("DAVBUS_FROM", 0)
	for n := range number("DAVBUS_GALES", gales) {
		seeds = append(seeds, from+n)
	}
	if seed := number("DAVBUS_GALE", math.MaxUint64); seed != math.MaxUint64 {
		seeds = []uint64{seed}
	}
	limit, _ := time.ParseDuration(os.Getenv("DAVBUS_FOR"))
	began, lived := time.Now(), 0
	for _, seed := range seeds {
		if t.Failed() || limit > 0 && time.Since(began) > limit {
			break
		}
		bubble(t, func(r *rig) {
			g := &gale{rig: r, r: rand.New(rand.NewPCG(seed, 1)), hook: rand.New(rand.NewPCG(seed, 2))}
			g.blow()
			g.settle()
			if r.Failed() {
				r.Fatalf("reproduce: DAVBUS_GALE=%d go test -run EveryGale ./engine/keeper", seed)
			}
		})
		lived++
	}
	t.Logf("%d gales", lived)
}

// slow makes a call take its time, and fail now and then.
func (g *gale) slow(c memory.Call) error {
	g.mu.Lock()
	wait, fails := time.Duration(g.hook.IntN(4000))*time.Millisecond, g.hook.IntN(15) == 0
	if g.calm {
		wait, fails = 0, false
	}
	g.mu.Unlock()
	time.Sleep(wait)
	if fails {
		return engine.Fail([]engine.Kind{engine.Offline, engine.ServerBusy, engine.ServerError, engine.Timeout}[c.N%4], c.Name, "", "a gale")
	}
	return nil
}

func (g *gale) blow() {
	g.a, g.b = g.collection("a", "cal"), g.collection("b", "cal")
	for _, id := range []engine.AccountID{"a", "b"} {
		g.sources[id].Before = g.slow
	}
	g.a.Before, g.b.Before = g.slow, g.slow
	g.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{every(600)})
	g.k.Begin()
	for range 60 {
		g.something()
		switch holds := g.paused || g.release != nil; {
		case !holds:
			g.held = time.Time{}
		case g.held.IsZero():
			g.held = time.Now()
		}
		time.Sleep(time.Duration(g.r.IntN(20000)) * time.Millisecond)
		synctest.Wait()
		g.look()
	}
}

// something happens.
func (g *gale) something() {
	switch g.r.IntN(12) {
	case 0, 1, 2:
		g.edits++
		at := []*memory.Storage{g.a, g.b}[g.r.IntN(2)]
		uid := fmt.Sprint(g.edits)
		at.Put(engine.Ref(uid+".ics"), event(uid, uid))
		g.sources["a"].Touch("")
	case 3, 4:
		how := []string{"join", "queue", "fail"}[g.r.IntN(3)]
		busy := g.busy() > 0
		id, err := g.k.Sync(SyncRequest{What: "g", IfRunning: how, Initiator: "person", Slow: g.r.IntN(4) == 0})
		switch {
		case err == nil:
			g.asked = append(g.asked, id)
		case how != "fail" || !busy || !engine.IsKind(err, engine.Busy):
			g.Errorf("%s, busy %v: %v", how, busy, err)
		}
	case 5, 6:
		if len(g.asked) > 0 {
			g.cancel(g.asked[len(g.asked)-1], g.r.IntN(2) == 0)
		}
	case 7:
		if g.paused = !g.paused; !g.paused {
			g.must(g.k.Resume())
		} else {
			g.must(g.k.Pause(0, g.r.IntN(2) == 0))
		}
	case 8:
		if g.release != nil {
			g.release()
			g.release = nil
			return
		}
		var err error
		g.release, err = g.k.Inhibit("schedule", "gale")
		g.must(err)
	case 9:
		g.k.SetOnline(g.r.IntN(2) == 0)
	}
}

func (g *gale) must(err error) {
	g.Helper()
	if err != nil {
		g.Error(err)
	}
}

// cancel must end a job with the call under way, which takes four seconds at most.
func (g *gale) cancel(id engine.JobID, force bool) {
	err := g.k.Cancel(id, force)
	if st := g.job(id); st == nil {
		if err != nil && !engine.IsKind(err, engine.NotFound) {
			g.Error(err)
		}
		return
	}
	g.must(err)
	time.Sleep(5 * time.Second)
	for range 30000 { // the end of a job is written to a file, which no bubble waits for
		if st := g.job(id); st == nil || st.State == engine.StateDone {
			break
		}
		pause := syscall.NsecToTimespec(int64(time.Millisecond)) // of the machine's time
		syscall.Nanosleep(&pause, nil)
		synctest.Wait()
	}
	if st := g.job(id); st != nil && st.State != engine.StateDone {
		g.Errorf("job %d was cancelled (force %v) and is %s", id, force, st.State)
	}
}

// busy counts the jobs that work on the set, or are about to.
func (g *gale) busy() (n int) {
	for _, st := range g.k.Snapshot().Jobs {
		if st.State != engine.StateDone {
			n++
		}
	}
	return n
}

// look checks what must hold at any time.
func (g *gale) look() {
	working := 0
	for id, st := range g.k.Snapshot().Jobs {
		if st.Initiator == "schedule" && !g.held.IsZero() && st.Queued.After(g.held) {
			g.Errorf("job %d was begun by the schedule at %v, which is held since %v", id, st.Queued, g.held)
		}
		switch st.State {
		case "running", "waiting", "cancelling":
			working++
		case engine.StateDone:
			if st.Result == "" || st.Finished.IsZero() {
				g.Errorf("job %d ended without a result: %+v", id, st)
			}
		}
	}
	if working > 1 {
		g.Errorf("%d jobs work on one set", working)
	}
}

// settle lets everything go on, and demands the end that it must have.
func (g *gale) settle() {
	g.mu.Lock()
	g.calm = true
	g.mu.Unlock()
	if g.release != nil {
		g.release()
	}
	g.must(g.k.Resume())
	g.k.SetOnline(true)
	g.after(time.Hour)
	if n := g.busy(); n > 0 {
		g.Errorf("%d jobs have not ended", n)
	}
	if a, b := summaries(g.a), summaries(g.b); a != b || strings.Count(a, " ")+1 < g.edits {
		g.Errorf("after %d edits a has %q, b %q", g.edits, a, b)
	}
	if st := g.group("g"); st.LastResult != engine.Success || st.NextRun.IsZero() {
		g.Errorf("the group %+v", st)
	}
	if m := g.k.Snapshot().Manager; m.State != "idle" {
		g.Errorf("the manager is %s", m.State)
	}
}
