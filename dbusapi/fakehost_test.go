package dbusapi

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
	"davbus.org/davbus/transports/intro"
)

// A fakeHost keeps everything in memory and tells it on a real feed. A method
// whose name is in fail answers that error and does nothing.
type fakeHost struct {
	*fakePlugins
	feed feed.Feed

	mu      sync.Mutex
	state   engine.Snapshot
	fail    map[string]error
	calls   []any // what methods were called with, newest last
	next    engine.JobID
	texts   engine.ConflictTexts
	quit    chan bool
	held    int         // inhibitors
	imports atomic.Bool // streams that import are made

	broker *intro.Broker
}

func newFakeHost() *fakeHost {
	h := &fakeHost{fakePlugins: newFakePlugins(), fail: map[string]error{}, next: 41, quit: make(chan bool, 1), broker: intro.NewBroker()}
	h.fakePlugins.fails = func(method string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.fail[method]
	}
	h.state = engine.Snapshot{
		Manager:     engine.ManagerState{State: "idle", Online: true, AccountKinds: []string{"dav", "vdir"}, ConfigState: "loaded"},
		Accounts:    map[engine.AccountID]*engine.AccountState{},
		Collections: map[engine.MemberID]*engine.CollectionState{},
		Groups:      map[engine.GroupID]*engine.GroupState{},
		Jobs:        map[engine.JobID]*engine.JobState{},
		Conflicts:   map[string]*engine.ConflictState{},
	}
	for _, id := range []engine.AccountID{"work", "local"} {
		h.state.Accounts[id] = &engine.AccountState{
			AccountConfig: engine.AccountConfig{ID: id, Kind: "dav", DisplayName: string(id), Enabled: true, Params: engine.Params{"url": "https://dav.example/"}},
			State:         "idle", Transport: "tcp", SecretState: "missing", Collections: []engine.MemberID{engine.MemberID(id + "/cal")},
		}
		h.state.Collections[engine.MemberID(id+"/cal")] = collectionState(engine.MemberID(id + "/cal"))
	}
	g := engine.DefaultGroup()
	g.ID, g.Members = "home", []string{"work", "local"}
	h.state.Groups["home"] = &engine.GroupState{GroupConfig: g, State: "idle"}
	h.state.Conflicts["c1"] = conflictState("c1", 1)
	h.texts = engine.ConflictTexts{Members: map[engine.MemberID][]byte{"work/cal": []byte("A"), "local/cal": nil}, Base: []byte("B"), Clashes: []string{"SUMMARY"}, Revision: "r1"}
	return h
}

func collectionState(id engine.MemberID) *engine.CollectionState {
	return &engine.CollectionState{ID: id, Account: accountOf(string(id)), Collection: engine.Collection{ID: "cal", Kind: engine.Calendar, Writable: true, Meta: engine.Meta{engine.MetaOrder: "3"}}}
}

func conflictState(id string, at int64) *engine.ConflictState {
	return &engine.ConflictState{ID: id, Group: "home", ItemName: id + ".ics", Members: []engine.MemberID{"work/cal", "local/cal"}, Component: "VEVENT", Kind: "modified", Detected: time.Unix(at, 0), State: "open"}
}

// call notes a call and gives the error that is wanted of it.
func (h *fakeHost) call(method string, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, args...)
	return h.fail[method]
}

func (h *fakeHost) last() any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[len(h.calls)-1]
}

func (h *fakeHost) failWith(method string, kind engine.Kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.fail, method)
	if kind != engine.KindCount {
		h.fail[method] = engine.Fail(kind, "do it", "", "as the test wants")
	}
}

func (h *fakeHost) Watch() (*engine.Snapshot, *feed.Sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub, seq := h.feed.Subscribe()
	s := h.state
	s.Seq = seq
	s.Accounts, s.Collections, s.Groups = maps.Clone(s.Accounts), maps.Clone(s.Collections), maps.Clone(s.Groups)
	s.Jobs, s.Conflicts = maps.Clone(s.Jobs), maps.Clone(s.Conflicts)
	return &s, sub
}

func (h *fakeHost) Seq() uint64 { return h.feed.Last() }

// newJob queues a job as the keeper does: the job first, then who names it.
func (h *fakeHost) newJob(kind string, t engine.Target, initiator string) engine.JobID {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	j := &engine.JobState{ID: h.next, Kind: kind, Target: t, Initiator: initiator, State: "queued", Cancellable: true, Queued: time.Unix(1, 0)}
	h.state.Jobs[j.ID] = j
	h.feed.Publish(engine.JobChanged{State: j})
	h.state.Manager.Jobs = append(slices.Clone(h.state.Manager.Jobs), j.ID)
	h.feed.Publish(engine.ManagerChanged{State: h.state.Manager})
	return j.ID
}

// change gives a job a new state.
func (h *fakeHost) change(id engine.JobID, f func(*engine.JobState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := *h.state.Jobs[id]
	f(&j)
	h.state.Jobs[id] = &j
	h.feed.Publish(engine.JobChanged{State: &j})
	if j.State == engine.StateDone {
		h.state.Manager.Jobs = slices.DeleteFunc(slices.Clone(h.state.Manager.Jobs), func(x engine.JobID) bool { return x == id })
		h.feed.Publish(engine.ManagerChanged{State: h.state.Manager})
	}
}

func (h *fakeHost) end(id engine.JobID, result string, f engine.Failure) {
	h.change(id, func(j *engine.JobState) {
		j.State, j.Result, j.Failure, j.Finished = engine.StateDone, result, f, time.Unix(9, 0)
		j.Report.Counts = engine.Counts{Added: 2}
	})
}

func (h *fakeHost) job(kind string, t engine.Target, by Caller, method string, args ...any) (engine.JobID, error) {
	if err := h.call(method, args...); err != nil {
		return 0, err
	}
	return h.newJob(kind, t, by.Initiator), nil
}

func (h *fakeHost) Sync(r SyncRequest) (engine.JobID, error) {
	t, err := h.Lookup(r.What)
	if err != nil {
		return 0, err
	}
	if r.IfRunning == "join" {
		h.mu.Lock()
		for _, j := range h.state.Jobs {
			if j.Target == t && j.State != engine.StateDone && h.fail["Sync"] == nil {
				h.mu.Unlock()
				return j.ID, nil
			}
		}
		h.mu.Unlock()
	}
	return h.job("sync", t, r.Caller, "Sync", r)
}

func (h *fakeHost) Cancel(id engine.JobID, force bool) error {
	if err := h.call("Cancel", id, force); err != nil {
		return err
	}
	h.mu.Lock()
	j := h.state.Jobs[id]
	h.mu.Unlock()
	if j == nil {
		return engine.Fail(engine.NotFound, "cancel", "job", "there is no such job")
	}
	if j.State != engine.StateDone {
		h.end(id, engine.Cancel, engine.Failure{})
	}
	return nil
}

func (h *fakeHost) Report(id engine.JobID) (engine.Report, error) {
	err := h.call("Report", id)
	if id == 7 {
		return engine.Report{Job: 7, Kind: "sync", Result: engine.Success}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.state.Jobs[id]; j != nil {
		return engine.Report{Job: id, Kind: j.Kind, Target: j.Target, Result: j.Result}, err
	}
	return engine.Report{}, engine.Fail(engine.NotFound, "give the report of", "job", "there is no such job")
}

func (h *fakeHost) History(what string, offset, limit int) ([]engine.Report, error) {
	return []engine.Report{{Job: 7, Kind: "sync", Result: engine.Success, Sets: []engine.PartReport{{ID: "cal"}}}}, h.call("History", what, offset, limit)
}

func (h *fakeHost) Lookup(what string) (engine.Target, error) {
	if err := h.call("Lookup", what); err != nil {
		return engine.Target{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case what == "":
		return engine.Target{}, nil
	case h.state.Groups[engine.GroupID(what)] != nil:
		return engine.Target{Group: engine.GroupID(what)}, nil
	case h.state.Accounts[engine.AccountID(what)] != nil:
		return engine.Target{Account: engine.AccountID(what)}, nil
	case h.state.Collections[engine.MemberID(what)] != nil:
		return engine.Target{Collection: engine.MemberID(what)}, nil
	}
	return engine.Target{}, engine.Fail(engine.NotFound, "find", what, "there is no group, account or collection of this id")
}

// publish keeps nothing: it is for tests that make up states.
func (h *fakeHost) publish(events ...engine.Event) {
	for _, e := range events {
		h.feed.Publish(e)
	}
}

func (h *fakeHost) account(id engine.AccountID, f func(*engine.AccountState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := engine.AccountState{State: "idle", Transport: "none"}
	if old := h.state.Accounts[id]; old != nil {
		a = *old
	}
	f(&a)
	h.state.Accounts[id] = &a
	h.feed.Publish(engine.AccountChanged{State: &a})
}

func (h *fakeHost) group(id engine.GroupID, f func(*engine.GroupState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := engine.GroupState{State: "idle"}
	if old := h.state.Groups[id]; old != nil {
		g = *old
	}
	f(&g)
	h.state.Groups[id] = &g
	h.feed.Publish(engine.GroupChanged{State: &g})
}
