package dbusapi

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// A said is one thing that the publisher told the bus.
type said struct {
	at   time.Time
	dest string
	what string // "put /account/work", "changed /job/42 Percent Phase", "Completed /job/42"
	args []any
	vals props // of what changed
}

// A recorder is a tree that only takes notes.
type recorder struct {
	mu      sync.Mutex
	objects map[dbus.ObjectPath]map[string]tree.Interface
	notes   []said
}

func short(p dbus.ObjectPath) string {
	if p == Root {
		return "/"
	}
	return strings.TrimPrefix(string(p), string(Root))
}

func (r *recorder) note(s said) error {
	s.at = time.Now()
	r.notes = append(r.notes, s)
	return nil
}

func (r *recorder) Put(p dbus.ObjectPath, ifaces ...tree.Interface) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.objects[p] != nil {
		return fmt.Errorf("%s is there already", p)
	}
	r.objects[p] = map[string]tree.Interface{}
	for _, i := range ifaces {
		r.objects[p][i.Name] = i
	}
	return r.note(said{what: "put " + short(p)})
}

func (r *recorder) Drop(p dbus.ObjectPath) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.objects, p)
	return r.note(said{what: "drop " + short(p)})
}

func (r *recorder) Changed(p dbus.ObjectPath, iface string, names ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	vals := props{}
	if p != Root {
		for _, name := range names {
			vals[name] = r.objects[p][iface].Properties[name].Get()
		}
	}
	return r.note(said{what: "changed " + short(p) + " " + strings.Join(names, " "), vals: vals})
}

func (r *recorder) Emit(p dbus.ObjectPath, iface, signal string, args ...any) error {
	return r.EmitTo("", p, iface, signal, args...)
}

func (r *recorder) EmitTo(dest string, p dbus.ObjectPath, iface, signal string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.note(said{dest: dest, what: signal + " " + short(p), args: args})
}

// take gives the notes since the last call.
func (r *recorder) take() []said {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.notes
	r.notes = nil
	return out
}

func whats(notes []said) []string { return each(notes, func(s said) string { return s.what }) }

// with picks the notes that begin like this.
func with(notes []said, prefix string) []said {
	return slices.DeleteFunc(slices.Clone(notes), func(s said) bool { return !strings.HasPrefix(s.what, prefix) })
}

// publishing runs a publisher over a recorder in a bubble of virtual time.
func publishing(t *testing.T, test func(*fakeHost, *recorder, *publisher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, r := newFakeHost(), &recorder{objects: map[dbus.ObjectPath]map[string]tree.Interface{}}
		fixed, err := constants(data.Interfaces)
		if err != nil {
			t.Fatal(err)
		}
		f := &Face{host: h, callers: newFakeCallers(), view: newView()}
		p := &publisher{
			tree: r, fixed: fixed, view: f.view, objects: map[dbus.ObjectPath]*object{}, items: map[engine.MemberID]*itemNames{},
			parts:   parts{f.account, f.collection, f.group, f.job, f.conflict},
			root:    newObject(Root, ifManager, props{}),
			control: newObject(Root, ifControl, props{}),
		}
		f.pub = p
		s, sub := h.Watch()
		if err := p.begin(s); err != nil {
			t.Fatal(err)
		}
		r.take()
		var work sync.WaitGroup
		work.Go(func() {
			if err := p.run(t.Context(), sub); err != nil {
				t.Error(err)
			}
		})
		test(h, r, p)
		synctest.Wait()
	})
}

func TestLifeOfAJobIsToldInThePromisedOrder(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		id := h.newJob("sync", engine.Target{Group: "home"}, "schedule")
		h.change(id, func(j *engine.JobState) { j.State, j.Started = "running", time.Unix(2, 0) })
		h.publish(progressOf(id, 10))
		h.end(id, engine.Partial, engine.Failure{Kind: engine.QuotaExceeded, Message: "full", Set: true})
		h.publish(engine.JobGone{ID: id})
		synctest.Wait()
		notes := r.take()
		want := []string{
			"put /job/42", "JobNew /", "changed / Jobs",
			"changed /job/42 StartedUSec State",
			"changed /job/42 ErrorMessage ErrorName FinishedUSec Result State",
			"Completed /job/42", "JobRemoved /", "changed / Jobs",
			"drop /job/42",
		}
		var got []string
		for _, what := range whats(notes) {
			words := slices.DeleteFunc(strings.Fields(what), func(w string) bool {
				return slices.Contains([]string{"BytesDone", "ItemsDone", "ItemsTotal", "Percent", "Phase"}, w)
			})
			if words[0] != "changed" || len(words) > 2 { // progress alone may or may not have had its turn
				got = append(got, strings.Join(words, " "))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		done := with(notes, "Completed")[0]
		if want := []any{"partial", "org.davbus.Sync1.Error.QuotaExceeded", "full"}; !reflect.DeepEqual(done.args[:3], want) {
			t.Errorf("Completed carries %v", done.args)
		}
		removed := with(notes, "JobRemoved")[0]
		if want := []any{uint32(42), dbus.ObjectPath("/org/davbus/Sync1/job/42"), "sync", dbus.ObjectPath("/org/davbus/Sync1/group/home"), "partial"}; !reflect.DeepEqual(removed.args, want) {
			t.Errorf("JobRemoved carries %v", removed.args)
		}
	})
}

func TestExactlyWhatChangedIsTold(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		h.account("work", func(a *engine.AccountState) { a.State, a.LastAttempt = "syncing", time.UnixMicro(77) })
		h.account("work", func(a *engine.AccountState) {})
		h.account("new", func(a *engine.AccountState) { a.ID = "new" })
		h.publish(engine.AccountGone{ID: "local"})
		synctest.Wait()
		notes := r.take()
		want := []string{
			"changed /account/work LastAttemptUSec State",
			"put /account/new", "changed / Accounts",
			"drop /account/local/cal", "drop /account/local", "changed / Accounts",
		}
		if got := whats(notes); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if v := notes[0].vals["LastAttemptUSec"]; v != uint64(77) {
			t.Errorf("LastAttemptUSec is %v, want microseconds", v)
		}
	})
}

func TestAChangeOfAConstantMakesANewObject(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		h.account("work", func(a *engine.AccountState) { a.Managed, a.State = true, "error" })
		synctest.Wait()
		want := []string{"drop /account/work", "put /account/work"}
		if got := whats(r.take()); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAtMost256ConflictsHaveObjectsAndTheOldestMovesUp(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		h.publish(engine.ConflictGone{ID: "c1"})
		for n := range 260 {
			h.publish(engine.ConflictChanged{State: conflictState(fmt.Sprintf("n%03d", n), int64(1000-n))})
		}
		synctest.Wait()
		if n := len(with(r.take(), "put /conflict/")); n != 256 {
			t.Fatalf("%d objects, want 256", n)
		}
		h.publish(engine.ConflictGone{ID: "n259"}) // has none
		h.publish(engine.ConflictGone{ID: "n005"})
		synctest.Wait()
		want := []string{"drop /conflict/n005", "put /conflict/n258"}
		if got := whats(r.take()); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAwaitReturnsOnceEverythingIsTold(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		for n := range 1000 {
			h.account("work", func(a *engine.AccountState) { a.LastAttempt = time.UnixMicro(int64(n + 1)) })
			if n%100 == 99 {
				p.await(h.Seq())
				if got := p.view.accounts["work"].LastAttempt; got != time.UnixMicro(int64(n+1)) {
					t.Fatalf("await is back at %v before event %d", got, n)
				}
			}
		}
	})
}

func TestAttentionIsToldWithItsReason(t *testing.T) {
	publishing(t, func(h *fakeHost, r *recorder, p *publisher) {
		h.publish(engine.Attention{Account: "work", Failure: engine.Failure{Kind: engine.AuthFailed, Message: "no", Set: true}, Status: 401, URL: "https://h/"})
		h.publish(engine.Attention{Group: "home", Failure: engine.Failure{Kind: engine.NeedsConfirmation, Message: "many", Set: true}})
		synctest.Wait()
		notes := r.take()
		want := []any{dbus.ObjectPath("/org/davbus/Sync1/account/work"), "org.davbus.Sync1.Error.AuthFailed", "no",
			dict{"url": dbus.MakeVariant("https://h/"), "http-status": dbus.MakeVariant(uint32(401))}}
		if len(notes) != 2 || !reflect.DeepEqual(notes[0].args, want) {
			t.Errorf("got %v", notes)
		}
		if len(notes) == 2 && notes[1].args[0] != dbus.ObjectPath("/org/davbus/Sync1/group/home") {
			t.Errorf("got %v", notes[1].args)
		}
	})
}
