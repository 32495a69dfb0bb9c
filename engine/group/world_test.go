package group_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
)

// A world is a set of members in memory, with a real ledger.
type world struct {
	t       testing.TB
	path    string
	ledger  *ledger.Ledger
	stores  []*memory.Storage // of a folder nil, of a server what is behind it
	places  []place
	servers map[int]*davtest.Server
	ctx     context.Context // of a run; nil for the test's
	real    bool            // not in memory: see places_test.go
	members []group.Member
	rules   group.Rules
	key     ledger.SetKey
	steps   []string // what the last run told
	result  group.Result
	job     engine.JobID
	phases  int
}

var key = ledger.SetKey{Group: "home", ID: "cal", Kind: engine.Calendar}

func newWorld(t testing.TB, members int) *world { return makeWorld(t, members, "") }

// newWorldOnDisk has a ledger that can be closed, opened and looked at.
func newWorldOnDisk(t testing.TB, members int) *world {
	return makeWorld(t, members, filepath.Join(t.TempDir(), "ledger"))
}

func makeWorld(t testing.TB, members int, path string) *world {
	w := &world{t: t, path: path, servers: map[int]*davtest.Server{}, key: key, rules: group.Rules{Policy: "ask", HoldItems: 10, HoldPercent: 20}}
	w.open()
	t.Cleanup(func() { w.ledger.Close() })
	for i := range members {
		s := &memory.Storage{Sum: func(text []byte) engine.Sum { return item.Sum(text) }}
		w.stores, w.places = append(w.stores, s), append(w.places, s)
		name := engine.MemberID(fmt.Sprintf("%c/cal", 'a'+i))
		w.members = append(w.members, group.Member{ID: name, Identity: "memory:" + string(name), Storage: s})
	}
	return w
}

func (w *world) open() {
	var l *ledger.Ledger
	var err error
	if w.path == "" {
		l, err = ledger.OpenMemory(time.Now)
	} else {
		l, _, err = ledger.Open(w.path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.ledger = l
}

// Phase, Total, Done and Item make a world a group.Sink.
func (w *world) Phase(string)    { w.phases++ }
func (w *world) Total(int)       {}
func (w *world) Done(int, int64) {}
func (w *world) Item(s engine.ItemStep) {
	w.steps = append(w.steps, fmt.Sprintf("%s %c %s", s.Action, s.Member[0], strings.TrimSuffix(s.Item, ".ics")))
}

func (w *world) try(opt group.Options) (group.Result, error) {
	w.t.Helper()
	w.steps = nil
	w.job++
	opt.Job = w.job
	ctx := w.ctx
	if ctx == nil {
		ctx = w.t.Context()
	}
	res, err := group.Sync(ctx, w.ledger.Set(w.key), w.members, w.rules, opt, w)
	w.result = res
	slices.Sort(w.steps)
	return res, err
}

func (w *world) sync(opts ...group.Options) group.Result {
	w.t.Helper()
	var opt group.Options
	if len(opts) > 0 {
		opt = opts[0]
	}
	res, err := w.try(opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

// event is a small calendar item.
func event(uid, summary string) []byte {
	u := "UID:" + uid + "\r\n"
	if uid == "" {
		u = ""
	}
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\n" + u + "DTSTART:20240101T120000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

// put edits an item at a member as its owner would: under the name it has.
func (w *world) put(member int, uid, summary string) {
	ref := engine.Ref(uid)
	for r, text := range w.places[member].Texts() {
		if item.Read([]byte(text)).UID == engine.UID(uid) {
			ref = r
		}
	}
	w.places[member].Put(ref, event(uid, summary))
}

func (w *world) remove(member int, uid string) {
	for r, text := range w.places[member].Texts() {
		if item.Read([]byte(text)).UID == engine.UID(uid) {
			w.places[member].Remove(r)
		}
	}
}

// touch gives an item a new etag over the same text.
func (w *world) touch(member int, uid string) {
	for r, text := range w.places[member].Texts() {
		if item.Read([]byte(text)).UID == engine.UID(uid) {
			w.places[member].Touch(r)
		}
	}
}

// has gives "uid=summary" of each item, sorted.
func (w *world) has(member int) string {
	var all []string
	for _, text := range w.places[member].Texts() {
		i := item.Read([]byte(text))
		all = append(all, string(i.UID)+"="+i.Summary)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (w *world) want(member int, items string) {
	w.t.Helper()
	if got := w.has(member); got != items {
		w.t.Errorf("%s has %q, want %q", w.members[member].ID, got, items)
	}
}

func (w *world) all(items string) {
	w.t.Helper()
	for i := range w.places {
		w.want(i, items)
	}
}

func (w *world) writes() int {
	n := 0
	for _, p := range w.places {
		n += p.Counts().Writes()
	}
	return n
}

func (w *world) reset() {
	for _, p := range w.places {
		p.ResetCounts()
	}
}

// quiet says that another run does nothing, and the one after it does not even ask.
func (w *world) quiet() {
	w.t.Helper()
	w.rest()
	w.reset()
	w.sync()
	for i, p := range w.places {
		if c := p.Counts(); c.Writes() > 0 || c.Fetched > 0 {
			w.t.Errorf("a second run did something at %s: %+v (%v)", w.members[i].ID, c, w.steps)
		}
	}
}

func (w *world) conflicts() []string {
	w.t.Helper()
	all, err := w.ledger.Conflicts(nil, 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, c := range all {
		ids = append(ids, fmt.Sprintf("%s %s", c.UID, c.Kind))
	}
	return ids
}

func (w *world) problems() []engine.Problem {
	w.t.Helper()
	all, err := w.ledger.Problems(nil, 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) history() []string {
	w.t.Helper()
	var all []string
	for _, m := range w.members {
		versions, err := w.ledger.Versions(m.ID, "", 0, 10000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range versions {
			text, err := w.ledger.VersionText(v.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%c %s %s", m.ID[0], v.Reason, item.Read(text).Summary))
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) book() *ledger.Book {
	w.t.Helper()
	b, err := w.ledger.Set(w.key).Load()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) conflictID() string {
	w.t.Helper()
	all, err := w.ledger.Conflicts(nil, 0, 10)
	if err != nil || len(all) != 1 {
		w.t.Fatalf("conflicts %+v, %v", all, err)
	}
	return all[0].ID
}

func (w *world) text(member int, uid string) []byte {
	for _, text := range w.places[member].Texts() {
		if item.Read([]byte(text)).UID == engine.UID(uid) {
			return []byte(text)
		}
	}
	return nil
}
