package plugin_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/service/plugin"
	child "davbus.org/davbus/transports/plugin"
)

// TestMain lets this program be the plugin: a calendar in memory, with as many
// items as its parameter says.
func TestMain(m *testing.M) {
	if path := os.Getenv("DAVBUS_PLUGIN_FOLDER"); path != "" {
		keepFolder(path, os.Getenv("KILL_AT"))
	}
	if os.Getenv("DAVBUS_PLUGIN") != "" {
		plugin.Main("memory", func(p engine.Params) (engine.Source, error) {
			n, _ := p["items"].(float64)
			return filled(int(n)), nil
		})
	}
	goleak.VerifyTestMain(m)
}

func filled(items int) *memory.Source {
	s := new(memory.Source)
	cal := s.Add(engine.Collection{Name: "cal", Kind: engine.Calendar, Writable: true})
	cal.Sum = func(text []byte) engine.Sum { return item.Sum(text) }
	for i := range items {
		cal.Put(engine.Ref(fmt.Sprint(i)), event(fmt.Sprint(i), "x"))
	}
	return s
}

func event(uid, summary string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTART:20240101T120000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

// apart is the same in a process of its own.
func apart(t testing.TB, items int) *remote.Source {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := remote.New(remote.Options{Account: "p", Params: engine.Params{"items": items}, Host: host{}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		return child.Start(child.Options{Notify: to.Notify, Handle: to.Handle, Argv: []string{self}, Env: []string{"DAVBUS_PLUGIN=1"}})
	}})
	t.Cleanup(func() { s.Close() })
	return s
}

// A host answers nothing.
type host struct{}

func (host) State(string, string) (string, bool, error)     { return "", false, nil }
func (host) SetState(string, string, *string) error         { return nil }
func (host) Secret(context.Context, string) ([]byte, error) { return nil, nil }
func (host) Group(string) (map[string]any, error)           { return nil, nil }
func (host) RequestSync(string) error                       { return nil }
func (host) Log(string, string)                             {}

// A set of members with its ledger.
type set struct {
	t       testing.TB
	ledger  *ledger.Ledger
	members []group.Member
	kind    string // "" for engine.Calendar
	job     engine.JobID
}

func newSet(t testing.TB, l *ledger.Ledger, sources ...engine.Source) *set {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	s := &set{t: t, ledger: l}
	for i, source := range sources {
		found, err := source.Look(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		st, err := source.Open(found[0])
		if err != nil {
			t.Fatal(err)
		}
		s.members = append(s.members, group.Member{ID: engine.MemberID(fmt.Sprintf("%c/cal", 'a'+i)), Identity: found[0].Identity, Storage: st})
	}
	return s
}

func (s *set) Phase(string)         {}
func (s *set) Total(int)            {}
func (s *set) Done(int, int64)      {}
func (s *set) Item(engine.ItemStep) {}

// sync syncs, and tells how long that took and how much it did.
func (s *set) sync() (time.Duration, engine.Counts) {
	s.t.Helper()
	began := time.Now()
	res, err := s.try()
	if err != nil || res.Set.Failure.Set {
		s.t.Fatal(err, res.Set.Failure)
	}
	return time.Since(began), res.Set.Counts
}

func (s *set) try() (group.Result, error) {
	s.job++
	return group.Sync(s.t.Context(), s.ledger.Set(ledger.SetKey{Group: "g", ID: "cal", Kind: cmp.Or(s.kind, engine.Calendar)}), s.members, group.Rules{Policy: "merge", HoldItems: 10, HoldPercent: 20}, group.Options{Job: s.job}, s)
}

// BenchmarkVerdictThroughAPlugin10000: a first sync of 10,000 items, out of the
// plugin and into it, and one with nothing to do, take at most 1.5 times as long
// as in one process. Both are measured turn about, and the quickest of each
// counts: the disk and other programs only ever make one slower.
func BenchmarkVerdictThroughAPlugin10000(b *testing.B) {
	const n, rounds, bar = 10000, 3, 1.5
	var here, there [3]time.Duration
	for range rounds {
		quickest(&here, measure(b, n, func() engine.Source { return filled(n) }, func() engine.Source { return filled(0) }))
		quickest(&there, measure(b, n, func() engine.Source { return apart(b, n) }, func() engine.Source { return apart(b, 0) }))
	}
	for b.Loop() { // it has its own rounds
	}
	b.ReportMetric(0, "ns/op")
	for i, what := range []string{"out of", "nothing to do with", "into"} {
		times := float64(there[i]) / float64(here[i])
		fmt.Printf("\nverdict: sync of %d items %s a plugin: %v, %v in one process: %.2f of at most %.2f\n",
			n, what, there[i].Round(time.Millisecond), here[i].Round(time.Millisecond), times, bar)
		if times > bar {
			b.Errorf("%s a plugin: %.2f times the floor, and %.2f is the most", what, times, bar)
		}
	}
}

// measure syncs with what out makes, syncs that again, and syncs into what in
// makes; the other side is in this process and holds the items in the end.
func measure(b *testing.B, items int, out, in func() engine.Source) (times [3]time.Duration) {
	onDisk := func() *ledger.Ledger {
		l, _, err := ledger.Open(filepath.Join(b.TempDir(), "ledger"))
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	s := newSet(b, onDisk(), out(), filled(0))
	times[0], _ = s.sync()
	s.sync()
	times[1], _ = s.sync()
	s = newSet(b, onDisk(), in(), filled(items))
	times[2], _ = s.sync()
	return times
}

func quickest(best *[3]time.Duration, times [3]time.Duration) {
	for i, t := range times {
		if best[i] == 0 || t < best[i] {
			best[i] = t
		}
	}
}
