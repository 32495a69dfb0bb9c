package keeper

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a keeper over accounts in memory and a ledger on disk, with what
// happened. It runs in a bubble of its own time.
type rig struct {
	*testing.T
	k       *Keeper
	book    *ledger.Ledger
	path    string
	sources map[engine.AccountID]*memory.Source
	openErr map[engine.AccountID]error
	opened  map[engine.AccountID]int
	secrets *fakeSecrets
	store   *fakeStore
	found   []engine.Params
	wrap    func(*memory.Source) engine.Source // nil for none
	mend    func(context.Context, engine.AccountID, engine.Failure) bool

	stop   context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	events []engine.Event
}

// bubble runs a test in its own time.
func bubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{
			T: t, path: filepath.Join(t.TempDir(), "ledger.db"), sources: map[engine.AccountID]*memory.Source{},
			openErr: map[engine.AccountID]error{}, opened: map[engine.AccountID]int{}, secrets: &fakeSecrets{}, store: &fakeStore{files: map[string]any{}},
		}
		defer r.close()
		test(r)
	})
}

func (r *rig) kinds() Kinds {
	specs := []engine.ParamSpec{
		{Name: "url", Signature: "s"}, {Name: "password", Signature: "s", Secret: true}, {Name: "kind", Signature: "s", Choices: []string{"calendar", "addressbook"}},
		{Name: "collections", Signature: "as"}, {Name: "interval-sec", Signature: "u"}, {Name: "read-only", Signature: "b"}, {Name: "password-command", Signature: "as", Command: true},
	}
	kind := Kind{
		Params: specs,
		Open: func(ctx context.Context, cfg engine.AccountConfig, s AccountSecrets) (engine.Source, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.opened[cfg.ID]++
			if err := r.openErr[cfg.ID]; err != nil {
				return nil, err
			}
			if r.sources[cfg.ID] == nil {
				r.sources[cfg.ID] = &memory.Source{}
			}
			if r.wrap != nil {
				return r.wrap(r.sources[cfg.ID]), nil
			}
			return r.sources[cfg.ID], nil
		},
		Place: func(p engine.Params) Place {
			address, _ := p["url"].(string)
			return Place{URL: "https://x/", Transport: "tcp", Address: address}
		},
	}
	founded := kind
	founded.Found = func(p engine.Params) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.found = append(r.found, p)
		return nil
	}
	needy := kind
	needy.Params = append(slices.Clone(specs), engine.ParamSpec{Name: "path", Signature: "s", Required: true})
	return Kinds{"memory": kind, "founded": founded, "needy": needy}
}

// start makes the keeper and runs it, with the schedule off.
func (r *rig) start(accounts []engine.AccountConfig, groups []engine.GroupConfig) {
	r.Helper()
	book, opened, err := ledger.Open(r.path)
	if err != nil {
		r.Fatal(err)
	}
	r.book = book
	k, err := New(Options{
		Ledger: book, Opened: opened, Kinds: r.kinds(), Store: r.store, Secrets: r.secrets,
		Accounts: accounts, Groups: groups, Jitter: func() float64 { return 0.5 }, Mend: func(id engine.AccountID, f engine.Failure, _ time.Time) func(context.Context) bool {
			if r.mend == nil {
				return nil
			}
			return func(ctx context.Context) bool { return r.mend(ctx, id, f) }
		},
	})
	if err != nil {
		r.Fatal(err)
	}
	r.k = k
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.ended = stop, make(chan struct{})
	go func() { defer close(r.ended); k.Run(ctx) }()
	snap, sub := k.Watch()
	seq := snap.Seq
	go func() {
		defer sub.Close()
		for {
			n, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if n.Seq <= seq {
				r.Errorf("event %d is in the snapshot already, or out of order", n.Seq)
			}
			seq = n.Seq
			r.mu.Lock()
			r.events = append(r.events, n.Event)
			r.mu.Unlock()
		}
	}()
}

// close ends the keeper and checks the promise that events and snapshot agree.
func (r *rig) close() {
	if r.k == nil {
		return
	}
	r.stop()
	<-r.ended
	if err := r.book.Close(); err != nil {
		r.Error(err)
	}
	r.k = nil
}

func memoryAccount(id string, params ...any) engine.AccountConfig {
	cfg := engine.AccountConfig{ID: engine.AccountID(id), Kind: "memory", Enabled: true, Params: engine.Params{}}
	for i := 0; i < len(params); i += 2 {
		cfg.Params[params[i].(string)] = params[i+1]
	}
	return cfg
}

func groupOf(id string, members ...string) engine.GroupConfig {
	cfg := engine.DefaultGroup()
	cfg.ID, cfg.Members = engine.GroupID(id), members
	return cfg
}

// pair starts two accounts a and b, each with one calendar "cal", in a group "g".
func (r *rig) pair() (a, b *memory.Storage) {
	r.Helper()
	a, b = r.collection("a", "cal"), r.collection("b", "cal")
	r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
	return a, b
}

// collection adds a calendar to a source.
func (r *rig) collection(account engine.AccountID, name string) *memory.Storage {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sources[account] == nil {
		r.sources[account] = &memory.Source{}
	}
	return r.sources[account].Add(engine.Collection{Name: name, Kind: engine.Calendar, Writable: true, Identity: string(account) + "!" + name})
}

func event(uid, summary string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" +
		summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

// summaries are what a storage holds, for comparing.
func summaries(s *memory.Storage) string {
	var all []string
	for _, text := range s.Texts() {
		_, after, _ := strings.Cut(text, "SUMMARY:")
		line, _, _ := strings.Cut(after, "\r\n")
		all = append(all, line)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (r *rig) want(s *memory.Storage, want string) {
	r.Helper()
	if got := summaries(s); got != want {
		r.Errorf("got %q, want %q", got, want)
	}
}

// sync runs one sync to its end and demands a result.
func (r *rig) sync(what, result string) *engine.JobState {
	r.Helper()
	id, err := r.k.Sync(SyncRequest{What: what, Initiator: "test"})
	if err != nil {
		r.Fatal(err)
	}
	return r.wait(id, result)
}

// wait waits for the end of a job.
func (r *rig) wait(id engine.JobID, result string) *engine.JobState {
	r.Helper()
	deadline := time.Now().Add(time.Hour)
	for {
		synctest.Wait()
		st := r.job(id)
		if st == nil {
			r.Fatalf("job %d is not there", id)
		}
		if st.State == engine.StateDone {
			if result != "" && st.Result != result {
				r.Errorf("job %d: %s %q, want %s; %+v", id, st.Result, st.Failure.Message, result, st.Report)
			}
			return st
		}
		if time.Now().After(deadline) {
			r.Fatalf("job %d is %s for an hour", id, st.State)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *rig) job(id engine.JobID) *engine.JobState       { return r.k.Snapshot().Jobs[id] }
func (r *rig) group(id engine.GroupID) *engine.GroupState { return r.k.Snapshot().Groups[id] }
func (r *rig) acct(id engine.AccountID) *engine.AccountState {
	return r.k.Snapshot().Accounts[id]
}

// after lets time pass, and everything happen that is due.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	for len(r.k.Snapshot().Manager.Jobs) > 0 { // a job reads files, which no bubble waits for
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
}

// seen are the events of one type so far.
func seenEvents[E engine.Event](r *rig) []E {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []E
	for _, e := range r.events {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	return all
}

// ended are the jobs that ended so far, as "KIND by INITIATOR: RESULT".
func (r *rig) endedJobs() []string {
	var all []string
	for _, e := range seenEvents[engine.JobChanged](r) {
		if e.State.State == engine.StateDone {
			all = append(all, fmt.Sprintf("%s by %s: %s", e.State.Kind, e.State.Initiator, e.State.Result))
		}
	}
	return all
}

func (r *rig) refuse(err error, kind engine.Kind, part string) {
	r.Helper()
	if !engine.IsKind(err, kind) || !strings.Contains(err.Error(), part) {
		r.Errorf("got %v, want %v with %q", err, kind, part)
	}
}

// A gate holds calls back until it is opened.
// hold makes every look at an account wait at a gate.
// fakeStore is the configuration: what is saved under which name.
