package group_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/memory"
)

// A site is a set of a calendar on a server and one in memory.
type site struct {
	t      testing.TB
	server *davtest.Server
	quirk  davtest.Fault // what the server is always like; may be nil
	src    *dav.Source
	remote *memory.Storage // behind the server
	local  *memory.Storage
	ledger *ledger.Ledger
	now    time.Time
	job    engine.JobID
}

func newSite(t testing.TB, quirk davtest.Fault) *site {
	s := &site{t: t, server: davtest.New(t, davtest.Options{}), quirk: quirk, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.remote = s.server.Calendar("cal")
	s.local = &memory.Storage{Sum: func(text []byte) engine.Sum { return item.Sum(text) }}
	s.another()
	var err error
	if s.ledger, err = ledger.OpenMemory(func() time.Time { return s.now }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ledger.Close() })
	s.heal()
	return s
}

// another is a source that remembers nothing, as after a restart.
func (s *site) another() {
	s.t.Helper()
	var err error
	if s.src, err = dav.New(dav.Options{URL: s.server.URL + "/", Client: s.server.Client(s.t).Transport}); err != nil {
		s.t.Fatal(err)
	}
}

// heal leaves the server only what it is always like.
func (s *site) heal() {
	s.server.Heal()
	if s.quirk != nil {
		s.server.Always("", s.quirk)
	}
	s.server.ResetLog()
}

// member is the calendar on the server as a run finds it.
func (s *site) member() group.Member {
	m := group.Member{ID: "work/cal"}
	found, err := s.src.Look(s.t.Context(), false)
	i := slices.IndexFunc(found, func(c engine.Collection) bool { return c.Name == "cal" })
	if err == nil && i < 0 {
		err = engine.Fail(engine.CollectionGone, "look", "cal", "it is not there")
	}
	if err != nil {
		m.Err = err
		return m
	}
	m.Identity, m.State, m.Meta = found[i].Identity, found[i].State, found[i].Meta
	m.Storage, m.Err = s.src.Open(found[i])
	return m
}

func (s *site) sync() (group.Result, error) {
	s.job++
	s.now = s.now.Add(25 * time.Hour) // nothing waits for its next try for longer
	members := []group.Member{s.member(), {ID: "local/cal", Identity: "local", Storage: s.local}}
	return group.Sync(s.t.Context(), s.ledger.Set(key), members, group.Rules{Policy: "merge", HoldItems: 10, HoldPercent: 20}, group.Options{Job: s.job}, nobody{})
}

type nobody struct{}

func (nobody) Phase(string)         {}
func (nobody) Total(int)            {}
func (nobody) Done(int, int64)      {}
func (nobody) Item(engine.ItemStep) {}

// change edits one property of an item under whatever name it has.
func change(m *memory.Storage, uid string, prop, value int) {
	for ref, text := range m.Texts() {
		if u, _ := read([]byte(text)); u == uid {
			m.Put(ref, []byte(replaceProp(text, prop, value)))
		}
	}
}

func remove(m *memory.Storage, uid string) {
	for ref, text := range m.Texts() {
		if u, _ := read([]byte(text)); u == uid {
			m.Remove(ref)
		}
	}
}

// mixed brings ten items into step and then lets both sides do a bit of
// everything: there is one outcome that loses nothing.
func (s *site) mixed() (want map[string]props) {
	for i := range 10 {
		uid := fmt.Sprint("i", i)
		s.remote.Put(engine.Ref(uid+".ics"), write(uid, props{i + 1, i + 1, i + 1}))
	}
	if res, err := s.sync(); err != nil || res.Set.Added != 10 {
		s.t.Fatalf("the first sync: %+v, %v", res.Set, err)
	}
	change(s.remote, "i0", 0, 100)
	remove(s.remote, "i1")
	s.remote.Put("r0.ics", write("r0", props{50, 50, 50}))
	s.remote.Put("r1.ics", write("r1", props{51, 51, 51}))
	change(s.remote, "i2", 0, 102)
	change(s.local, "i2", 1, 202)
	change(s.local, "i3", 0, 103)
	remove(s.local, "i4")
	s.local.Put("l0", write("l0", props{60, 60, 60}))
	s.local.Put("l1", write("l1", props{61, 61, 61}))
	for _, m := range []*memory.Storage{s.remote, s.local} {
		remove(m, "i5")
		change(m, "i6", 2, 306)
	}
	return map[string]props{
		"i0": {100, 1, 1}, "i2": {102, 202, 3}, "i3": {103, 4, 4}, "i6": {7, 7, 306}, "i7": {8, 8, 8}, "i8": {9, 9, 9}, "i9": {10, 10, 10},
		"r0": {50, 50, 50}, "r1": {51, 51, 51}, "l0": {60, 60, 60}, "l1": {61, 61, 61},
	}
}

// wrong says what is not as it must be after a fault and healed runs.
func (s *site) wrong(want map[string]props) string {
	for name, m := range map[string]*memory.Storage{"the server": s.remote, "the other": s.local} {
		got := map[string]props{}
		for _, text := range m.Texts() {
			uid, v := read([]byte(text))
			if _, twice := got[uid]; twice {
				return fmt.Sprintf("%s is twice at %s", uid, name)
			}
			got[uid] = v
		}
		if !maps.Equal(got, want) {
			return fmt.Sprintf("%s has %v, want %v", name, got, want)
		}
	}
	conflicts, err := s.ledger.Set(key).Conflicts()
	if err != nil || len(conflicts) > 0 {
		return fmt.Sprintf("conflicts %+v, %v", conflicts, err)
	}
	problems, err := s.ledger.Set(key).Problems()
	if err != nil || len(problems) > 0 {
		return fmt.Sprintf("problems %+v, %v", problems, err)
	}
	return ""
}

// oneFault lives through a mixed sync with a fault at its nth request and through
// what heals it. It tells how many requests the sync made.
func oneFault(t *testing.T, quirk, fault davtest.Fault, n int) (requests int) {
	s := newSite(t, quirk)
	want := s.mixed()
	s.heal()
	if n >= 0 {
		s.server.At(n, fault)
	}
	s.sync() // whatever comes of it
	requests = s.server.Count()
	s.heal()
	for range 3 {
		if _, err := s.sync(); err != nil {
			t.Fatalf("a healed run: %v", err)
		}
	}
	if wrong := s.wrong(want); wrong != "" {
		t.Errorf("request %d of %d: %s", n, requests, wrong)
	}
	return requests
}

// everyIndex makes a fault happen at each request of a mixed sync; under the race
// detector at some, others for each fault.
func everyIndex(t *testing.T, quirk, fault davtest.Fault) {
	t.Parallel()
	for n, most := len(t.Name())%everyNth, everyNth; n < most; n += everyNth {
		most = max(most, oneFault(t, quirk, fault, n))
	}
}

// Each fault at each request of a sync: what the run cannot do the next ones do,
// nothing is lost and nothing is there twice.
func TestAFaultAtAnyRequestLosesNothing(t *testing.T) {
	faults := map[string]davtest.Fault{
		"an empty 207": davtest.Empty207(), "a web page": davtest.HTML200(), "cut": davtest.Reset(), "made, then cut": davtest.ThenReset(),
		"made, then 500": davtest.ThenStatus(500), "cut in the middle": davtest.Truncate(200, true), "ended in the middle": davtest.Truncate(200, false),
		"slow": davtest.Slow(400, time.Millisecond), "no etag": davtest.Etags(davtest.NoEtags), "a weak etag": davtest.Etags(davtest.WeakEtags),
		"a wrong etag": davtest.Etags(davtest.WrongOnPut), "rewritten": davtest.Rewriting(),
	}
	for _, status := range []int{403, 404, 410, 412, 423, 500, 507} {
		faults[http.StatusText(status)] = davtest.Status(status)
	}
	for _, status := range []int{429, 503} { // a shorter wait is waited out
		faults[http.StatusText(status)] = davtest.Status(status, "Retry-After", "60")
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) { everyIndex(t, nil, fault) })
	}
}

// What servers are always like, and the worst that may befall a request.
func TestAFaultAtAnyRequestOfAnOddServerLosesNothing(t *testing.T) {
	quirks := map[string]davtest.Fault{
		"rewriting": davtest.Rewriting(), "no inline texts": davtest.NoInline(), "no etags": davtest.Etags(davtest.NoEtags),
		"no etag on PUT": davtest.Etags(davtest.NoEtagOnPut), "weak etags": davtest.Etags(davtest.WeakEtags), "wrong etags on PUT": davtest.Etags(davtest.WrongOnPut),
		"no sync-collection": davtest.NoReport("sync-collection", 501),
	}
	for i, how := range davtest.TokenRefusals {
		quirks[fmt.Sprint("refusing tokens ", i)] = davtest.RefuseTokens(how)
	}
	for name, quirk := range quirks {
		t.Run(name, func(t *testing.T) {
			for what, fault := range map[string]davtest.Fault{"made, then cut": davtest.ThenReset(), "ended in the middle": davtest.Truncate(200, false), "an empty 207": davtest.Empty207()} {
				t.Run(what, func(t *testing.T) { everyIndex(t, quirk, fault) })
			}
		})
	}
}

// An answer that is cut in the middle once is asked for again: the run is whole.
func TestAnAnswerThatIsCutOnceFailsNoRun(t *testing.T) {
	for n, most := 0, 1; n < most; n++ {
		s := newSite(t, nil)
		want := s.mixed()
		s.heal()
		s.server.At(n, davtest.Truncate(100, true))
		res, err := s.sync()
		if wrong := s.wrong(want); wrong != "" || err != nil || res.Set.Failure.Set {
			t.Errorf("request %d: %v, %+v, %s", n, err, res.Set.Failure, wrong)
		}
		most = max(most, s.server.Count()-1) // one of them is the second try
	}
}

func TestAnswersThatAreAlwaysCutFailTheRunAndDeleteNothing(t *testing.T) {
	s := newSite(t, nil)
	want := s.mixed()
	here, there := len(s.local.Texts()), len(s.remote.Texts())
	for _, method := range []string{"", "PROPFIND", "REPORT"} {
		s.heal()
		s.server.Always(method, davtest.Truncate(100, true))
		res, _ := s.sync()
		if f := res.Members[0].Failure; f.Kind != engine.ConnectionLost || len(s.local.Texts()) != here || len(s.remote.Texts()) != there {
			t.Errorf("%q: %+v, %d and %d items are left of %d and %d", method, f, len(s.local.Texts()), len(s.remote.Texts()), here, there)
		}
	}
	s.heal()
	if _, err := s.sync(); err != nil || s.wrong(want) != "" {
		t.Errorf("a healed run: %v, %s", err, s.wrong(want))
	}
}

func TestARunCountsItsRequests(t *testing.T) {
	s := newSite(t, nil)
	s.mixed()
	s.heal()
	s.member()
	looks := s.server.Count()
	s.heal()
	res, err := s.sync()
	if want := uint32(s.server.Count() - looks); err != nil || want < 5 || res.Set.Requests != want || res.Members[0].Requests != want || res.Members[1].Requests != 0 {
		t.Errorf("counted %d, the server %d: %v", res.Set.Requests, want, err)
	}
}
