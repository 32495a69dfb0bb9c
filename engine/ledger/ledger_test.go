package ledger

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// odd is a name as servers and folders give them: no text at all.
const odd = "\xe9\x00'\";--\n"

var cal = SetKey{"home", "cal" + odd, engine.Calendar}

func fresh(t testing.TB) (*Ledger, string) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, found := reopen(t, path)
	if !found.Fresh || found.SetAside != "" {
		t.Fatalf("found %+v", found)
	}
	return l, path
}

func reopen(t testing.TB, path string) (*Ledger, Opened) {
	t.Helper()
	l, found, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, found
}

func do(t testing.TB, s *Set, change func(*Change) error) {
	t.Helper()
	if err := s.Do(change); err != nil {
		t.Fatal(err)
	}
}

func event(uid, more string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTART:20240101T120000Z\r\nSUMMARY:Weekly meeting " + more + "\r\nLOCATION:Room 5\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

// fill stores items with marks at two members, one thing seen, and one intent.
func fill(t testing.TB, s *Set, items int) {
	t.Helper()
	do(t, s, func(c *Change) error {
		a, err := c.Member("work/cal"+odd, "id-a")
		if err != nil {
			return err
		}
		b, err := c.Member("local/cal", "id-b"+odd)
		if err != nil {
			return err
		}
		var last TextID
		for i := range items {
			text := event(fmt.Sprint(i), "")
			if last, err = c.Text(text); err != nil {
				return err
			}
			it := Item{Key: fmt.Sprint("u:", i, odd), UID: engine.UID(fmt.Sprint(i, odd)), Version: 1, Sum: item.Sum(text), Text: last, Components: "VEVENT", Job: 7, Origin: "work/cal"}
			if err := c.PutItem(&it); err != nil {
				return err
			}
			for _, m := range []int64{a, b} {
				if err := c.PutMark(Mark{Item: it.ID, Member: m, Ref: engine.Ref(fmt.Sprint(i, odd, ".ics")), Etag: `W/"1"`, Sum: it.Sum, Version: 1, Text: last, UID: it.UID, Gone: i == 0}); err != nil {
					return err
				}
			}
		}
		if err := c.PutSeen(Seen{Member: a, Ref: "seen" + odd, Etag: "2", Sum: engine.Sum{1}, UID: "x" + odd, Components: "VTODO", Status: Pending}); err != nil {
			return err
		}
		if err := c.Intend(&Intent{Member: b, Key: "u:0", Verb: engine.Replace, Version: 2, Old: engine.Head{Ref: "r", Etag: "e"}, Sum: engine.Sum{2}, Text: last, Was: last, Job: 9},
			engine.Version{Member: "local/cal", UID: "0", Item: "r", Job: 9, Reason: "overwritten"}); err != nil {
			return err
		}
		return c.Surveyed(a, "token"+odd, "state"+odd)
	})
}

func load(t testing.TB, s *Set) *Book {
	t.Helper()
	b, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatWasWrittenIsThereAgain(t *testing.T) {
	l, path := fresh(t)
	fill(t, l.Set(cal), 3)
	before := load(t, l.Set(cal))
	l.Close()
	l, found := reopen(t, path)
	if found.Fresh {
		t.Error("it is not fresh")
	}
	after := load(t, l.Set(cal))
	if !reflect.DeepEqual(before, after) {
		t.Errorf("\n%+v\n%+v", before, after)
	}
	if len(after.Members) != 2 || len(after.Items) != 3 || len(after.Marks) != 6 || len(after.Seen) != 1 || len(after.Intents) != 1 {
		t.Errorf("%+v", after)
	}
	m := after.Members[0]
	if m.Name != "work/cal"+odd || m.Identity != "id-a" || m.Token != "token"+odd || m.State != "state"+odd || m.Surveyed.IsZero() || !after.Members[1].Surveyed.IsZero() {
		t.Errorf("%+v", after.Members)
	}
	if k := after.Marks[0]; k.Ref != "0"+odd+".ics" || k.Etag != `W/"1"` || !k.Gone || after.Items[2].UID != "2"+odd {
		t.Errorf("%+v", k)
	}
	text, err := l.Set(cal).Text(after.Items[1].Text)
	if err != nil || !bytes.Equal(text, event("1", "")) {
		t.Errorf("%q %v", text, err)
	}
	if other := load(t, l.Set(SetKey{"home", "other", engine.Calendar})); len(other.Members)+len(other.Items) > 0 {
		t.Errorf("another set has %+v", other)
	}
}

func TestAForgottenItemTakesItsMarksAlong(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	fill(t, s, 2)
	b := load(t, s)
	do(t, s, func(c *Change) error {
		if err := c.DropSeen(b.Members[0].ID, "seen"+odd); err != nil {
			return err
		}
		if err := c.Settle(b.Intents[0], false); err != nil {
			return err
		}
		return c.ForgetItem(b.Items[0].ID)
	})
	if b = load(t, s); len(b.Items) != 1 || len(b.Marks) != 2 || len(b.Seen) != 0 || len(b.Intents) != 0 {
		t.Errorf("%+v", b)
	}
	if v, err := l.Versions("local/cal", "", 0, 10); err != nil || len(v) != 0 {
		t.Errorf("a write that was not made is in history: %+v %v", v, err)
	}
}

func TestAMadeWriteStaysInHistory(t *testing.T) {
	l, _ := fresh(t)
	fill(t, l.Set(cal), 1)
	do(t, l.Set(cal), func(c *Change) error { return c.Settle(load(t, l.Set(cal)).Intents[0], true) })
	for _, what := range []string{"", "r", "0"} {
		v, err := l.Versions("local/cal", what, 0, 10)
		if err != nil || len(v) != 1 || v[0].Reason != "overwritten" || v[0].Job != 9 || v[0].Replaced.IsZero() {
			t.Fatalf("%q: %+v %v", what, v, err)
		}
		if text, err := l.VersionText(v[0].ID); err != nil || !bytes.Equal(text, event("0", "")) {
			t.Errorf("%q %v", text, err)
		}
	}
	if v, _ := l.Versions("local/cal", "another", 0, 10); len(v) != 0 {
		t.Errorf("%+v", v)
	}
	if v, err := l.JobVersions(9, ""); err != nil || len(v) != 1 {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := l.VersionText(99); !engine.IsKind(err, engine.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestTextsAreKeptOnceAndPacked(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	long := bytes.Repeat(event("1", "again "), 100)
	random := make([]byte, 1000)
	for i := range random {
		random[i] = byte(rand.IntN(256))
	}
	for _, text := range [][]byte{{}, []byte("x"), event("1", ""), long, random} {
		var a, b TextID
		do(t, s, func(c *Change) (err error) {
			if a, err = c.Text(text); err == nil {
				b, err = c.Text(bytes.Clone(text))
			}
			return err
		})
		got, err := s.Text(a)
		if a != b || err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: ids %d and %d, %v", len(text), a, b, err)
		}
	}
	var n, size int
	if err := l.read.QueryRow(`SELECT count(*), sum(length(data)) FROM texts`).Scan(&n, &size); err != nil || n != 5 || size > 1000+len(long)/10+400 {
		t.Errorf("%d texts, %d bytes, %v", n, size, err)
	}
	if text, err := s.Text(0); text != nil || err != nil {
		t.Errorf("no text is %q %v", text, err)
	}
}

func TestATextThatWasDamagedIsNotGivenOut(t *testing.T) {
	l, path := fresh(t)
	s := l.Set(cal)
	fill(t, s, 1)
	do(t, s, func(c *Change) error {
		return c.exec(`UPDATE texts SET data = ?, packed = 0`, []byte("something else"))
	})
	if _, err := s.Text(load(t, s).Items[0].Text); !engine.IsKind(err, engine.StorageError) || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("got %v", err)
	}
	l.Close()
	if _, found := reopen(t, path); !found.Fresh || found.SetAside == "" {
		t.Errorf("found %+v", found)
	}
}

func TestADamagedMarkOrItemIsNoticed(t *testing.T) {
	for _, query := range []string{
		`UPDATE marks SET ref = x'00' WHERE rowid IN (SELECT 1) OR 1`, `UPDATE marks SET etag = x'00'`, `UPDATE marks SET sum = zeroblob(32)`,
		`UPDATE marks SET version = 5`, `UPDATE marks SET text = 5`, `UPDATE marks SET uid = x'00'`, `UPDATE marks SET gone = 1 - gone`,
		`UPDATE items SET key = x'00'`, `UPDATE items SET uid = x'00'`, `UPDATE items SET sum = zeroblob(32)`, `UPDATE items SET version = 5`, `UPDATE items SET text = 5`,
	} {
		l, path := fresh(t)
		s := l.Set(cal)
		fill(t, s, 1)
		query = strings.TrimSuffix(query, " WHERE rowid IN (SELECT 1) OR 1")
		do(t, s, func(c *Change) error { return c.exec(query) })
		if _, err := s.Load(); !engine.IsKind(err, engine.StorageError) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", query, err)
		}
		l.Close()
		if _, found := reopen(t, path); !found.Fresh {
			t.Errorf("%s: found %+v", query, found)
		}
	}
}

func TestADamagedFileIsSetAside(t *testing.T) {
	whole := func() []byte {
		l, path := fresh(t)
		fill(t, l.Set(cal), 200)
		l.Close()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}()
	damages := map[string]func([]byte) []byte{
		"no database":      func([]byte) []byte { return []byte(strings.Repeat("not a database at all. ", 100)) },
		"zeros":            func(d []byte) []byte { return make([]byte, len(d)) },
		"first page":       func(d []byte) []byte { copy(d[100:], bytes.Repeat([]byte{0xff}, 3000)); return d },
		"a page within":    func(d []byte) []byte { copy(d[5*4096:], bytes.Repeat([]byte{0xff}, 4096)); return d },
		"cut to half":      func(d []byte) []byte { return d[:len(d)/2] },
		"cut within pages": func(d []byte) []byte { return d[:len(d)-100] },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger")
			data := damage(bytes.Clone(whole))
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			l, found := reopen(t, path)
			if !found.Fresh || !strings.HasPrefix(found.SetAside, path+".bad-") {
				t.Fatalf("found %+v", found)
			}
			if kept, err := os.ReadFile(found.SetAside); err != nil || !bytes.Equal(kept, data) {
				t.Errorf("what was set aside is not the file: %d bytes, %v", len(kept), err)
			}
			if b := load(t, l.Set(cal)); len(b.Items) > 0 {
				t.Errorf("it still has %d items", len(b.Items))
			}
			l.Close()
			if err := os.WriteFile(path, []byte(strings.Repeat("again", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, again := reopen(t, path); again.SetAside == found.SetAside || again.SetAside == "" {
				t.Errorf("the second one went to %q", again.SetAside)
			}
		})
	}
}

func TestAnEmptyFileIsFresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, found := reopen(t, path)
	if found.SetAside != "" || !found.Fresh {
		t.Errorf("found %+v", found)
	}
	fill(t, l.Set(cal), 1)
}

func TestANewerSchemaIsRefusedAndKept(t *testing.T) {
	l, path := fresh(t)
	fill(t, l.Set(cal), 1)
	if err := l.do(func(t *tx) error { return t.w.run(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1)) }); err != nil {
		t.Fatal(err)
	}
	l.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Open(path)
	if !engine.IsKind(err, engine.StorageError) || !strings.Contains(err.Error(), "newer davbus") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("it was touched (%v)", err)
	}
}

func TestAFolderThatIsMissingIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "ledger")
	if _, found, err := Open(path); !engine.IsKind(err, engine.StorageError) || found.SetAside != "" {
		t.Errorf("got %+v %v", found, err)
	}
}

func TestSumsOfAnotherSchemeAreMadeAgain(t *testing.T) {
	l, path := fresh(t)
	s := l.Set(cal)
	fill(t, s, 3)
	var a TextID
	do(t, s, func(c *Change) (err error) {
		if a, err = c.Text(event("seen", "")); err != nil {
			return err
		}
		b := load(t, s)
		return c.PutSeen(Seen{Member: b.Members[0].ID, Ref: "s", Text: a})
	})
	want := load(t, s)
	do(t, s, func(c *Change) error {
		b := load(t, s)
		for _, i := range b.Items {
			i.Sum = engine.Sum{42}
			if err := c.PutItem(&i); err != nil {
				return err
			}
		}
		for _, m := range b.Marks {
			m.Sum = engine.Sum{42}
			if err := c.PutMark(m); err != nil {
				return err
			}
		}
		return c.exec(`UPDATE facts SET value = 0 WHERE name = 'sum-version'`)
	})
	l.Close()
	l, _ = reopen(t, path)
	got := load(t, l.Set(cal))
	for i := range got.Items {
		if got.Items[i].Sum != want.Items[i].Sum {
			t.Errorf("item %d", i)
		}
	}
	for i := range got.Marks {
		if got.Marks[i].Sum != want.Marks[i].Sum {
			t.Errorf("mark %d", i)
		}
	}
	for _, seen := range got.Seen {
		if seen.Ref == "s" && seen.Sum != item.Sum(event("seen", "")) {
			t.Error("what was seen")
		}
	}
	if got.Intents[0].Sum != item.Sum(event("2", "")) {
		t.Error("the intent")
	}
}

func TestAChangeThatFailsLeavesNothingAndHarmsNoOther(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	oops := errors.New("oops")
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			err := s.Do(func(c *Change) error {
				if _, err := c.Member(engine.MemberID(fmt.Sprint("m/", i)), ""); err != nil {
					return err
				}
				if i%5 == 0 {
					return oops
				}
				return nil
			})
			if errors.Is(err, oops) {
				failed.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b := load(t, s); len(b.Members) != 40 || failed.Load() != 10 {
		t.Errorf("%d members, %d failed", len(b.Members), failed.Load())
	}
}

// Writers that arrive while another is committing share the next commit.
func TestWritersThatWaitShareACommit(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	before := l.write.commits.Load()
	enter, leave := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		do(t, s, func(*Change) error { close(enter); <-leave; return nil })
	})
	<-enter
	var commits []int64
	for i := range 20 {
		wg.Go(func() {
			do(t, s, func(c *Change) error {
				var inside int64
				_, err := c.one([]any{&inside}, `SELECT count(*) FROM members`)
				commits = append(commits, inside) // one at a time: all in one transaction
				if err == nil {
					_, err = c.Member(engine.MemberID(fmt.Sprint("m/", i)), "")
				}
				return err
			})
		})
	}
	for {
		l.write.mu.Lock()
		n := len(l.write.queue)
		l.write.mu.Unlock()
		if n == 20 {
			break
		}
		runtime.Gosched() // let them queue
	}
	close(leave)
	wg.Wait()
	if len(commits) != 20 || l.write.commits.Load()-before != 2 { // the first, and all others
		t.Errorf("%d changes in %d commits", len(commits), l.write.commits.Load()-before)
	}
}

func TestJobNumbersAreNeverUsedAgain(t *testing.T) {
	l, path := fresh(t)
	seen := map[engine.JobID]bool{}
	next := func() {
		job, err := l.NextJob()
		if err != nil || seen[job] || job == 0 {
			t.Fatalf("job %d, %v", job, err)
		}
		seen[job] = true
	}
	for range 3 {
		next()
	}
	l.Close()
	l, _ = reopen(t, path)
	next()
}

func TestReports(t *testing.T) {
	l, path := fresh(t)
	for job := range engine.JobID(10) {
		r := engine.Report{Job: job, Kind: "sync", Target: engine.Target{Group: "g" + odd}, Result: engine.Partial, Started: time.UnixMicro(5), Counts: engine.Counts{Added: 3},
			Failure: engine.FailureOf(engine.Fail(engine.Offline, "x", odd, "")), Sets: []engine.PartReport{{ID: odd}}, Lines: []string{"a"},
			Extra: map[string]any{"capabilities": []string{"x"}, "collections": uint32(7)}}
		if err := l.FinishJob(r); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	l, _ = reopen(t, path)
	even := func(r engine.Report) bool { return r.Job%2 == 0 }
	all, err := l.History(even, 1, 3)
	if err != nil || len(all) != 3 || all[0].Job != 6 || all[2].Job != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	r := all[0]
	if r.Target.Group != "g"+odd || r.Sets[0].ID != odd || !r.Started.Equal(time.UnixMicro(5)) || r.Extra["collections"] != uint32(7) || !slices.Equal(r.Extra["capabilities"].([]string), []string{"x"}) || r.Failure.Kind != engine.Offline {
		t.Errorf("%+v", r)
	}
	if r, found, err := l.Report(4); err != nil || !found || r.Job != 4 {
		t.Errorf("%+v %v", r, err)
	}
	if _, found, err := l.Report(99); err != nil || found {
		t.Errorf("found %v %v", found, err)
	}
	if err := l.Prune(time.Hour, 1, 4); err != nil {
		t.Fatal(err)
	}
	if all, _ := l.History(nil, 0, 100); len(all) != 4 || all[3].Job != 6 {
		t.Errorf("after pruning: %+v", all)
	}
}

func TestCollections(t *testing.T) {
	l, path := fresh(t)
	k := KnownCollection{ID: "cal", Gone: true, Collection: engine.Collection{Name: odd, Kind: engine.Calendar, Components: []string{"VTODO"}, Meta: engine.Meta{engine.MetaName: odd}, Identity: odd, Writable: true}}
	if err := l.KeepCollection("work", odd, k); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l, _ = reopen(t, path)
	k.Collection.ID = "cal"
	known, err := l.CollectionIDs("work")
	if err != nil || len(known) != 1 || !reflect.DeepEqual(known[odd], k) {
		t.Fatalf("%+v %v", known, err)
	}
	if known, _ := l.CollectionIDs("other"); len(known) > 0 {
		t.Errorf("%+v", known)
	}
	if err := l.ForgetCollection("work", odd); err != nil {
		t.Fatal(err)
	}
	if known, _ := l.CollectionIDs("work"); len(known) > 0 {
		t.Errorf("%+v", known)
	}
}

func TestNotes(t *testing.T) {
	l, _ := fresh(t)
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		if err := l.Note(name, map[string]int{name: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var got map[string]int
	if found, err := l.Noted("a/2", &got); !found || err != nil || got["a/2"] != 1 {
		t.Errorf("%v %v %v", got, found, err)
	}
	if err := l.ForgetNotes("a/"); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Noted("a/2", &got); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if found, _ := l.Noted("b/1", &got); !found {
		t.Error("another is gone too")
	}
}

func TestHistoryIsBoundedByAgeAndSize(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	path := filepath.Join(t.TempDir(), "ledger")
	l, _, err := open(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	keep := func(n int) {
		text := sha256.Sum256([]byte{byte(n)})
		do(t, l.Set(cal), func(c *Change) error {
			id, err := c.Text(text[:])
			if err == nil {
				_, err = c.Keep(engine.Version{Member: "m/c", UID: engine.UID(fmt.Sprint(n)), Reason: "deleted"}, id)
			}
			return err
		})
	}
	uids := func() string {
		t.Helper()
		all, err := l.Versions("m/c", "", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, v := range all {
			s += string(v.UID)
		}
		return s
	}
	keep(1)
	now = now.Add(time.Hour)
	keep(2)
	keep(3)
	keep(4)
	if err := l.Prune(2*time.Hour, 1000, 10); err != nil || uids() != "4321" {
		t.Errorf("%s %v", uids(), err)
	}
	if err := l.Prune(30*time.Minute, 1000, 10); err != nil || uids() != "432" {
		t.Errorf("%s %v", uids(), err)
	}
	if err := l.Prune(2*time.Hour, 64, 10); err != nil || uids() != "43" {
		t.Errorf("%s %v", uids(), err)
	}
	if err := l.Prune(2*time.Hour, 63, 10); err != nil || uids() != "4" {
		t.Errorf("%s %v", uids(), err)
	}
	var texts int
	if err := l.read.QueryRow(`SELECT count(*) FROM texts`).Scan(&texts); err != nil || texts != 1 {
		t.Errorf("%d texts are left, %v", texts, err)
	}
}

// Whatever is still named survives: nothing that a set, a conflict, or a write
// under way needs is pruned.
func TestPruningTakesNothingThatIsNeeded(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	fill(t, s, 2)
	var ids []TextID
	do(t, s, func(c *Change) error {
		for i := range 5 {
			id, err := c.Text([]byte{byte(i)})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		b := load(t, s)
		if err := c.PutSeen(Seen{Member: b.Members[0].ID, Ref: "x", Text: ids[0]}); err != nil {
			return err
		}
		return c.PutConflict(&Conflict{Key: "k", Base: ids[1], Proposal: ids[2], Sides: []Side{{Member: "m/c", Text: ids[3]}}})
	})
	if err := l.Prune(0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		_, err := s.Text(id)
		if needed := i < 4; (err == nil) != needed {
			t.Errorf("text %d: %v", i, err)
		}
	}
	for _, i := range load(t, s).Items {
		if _, err := s.Text(i.Text); err != nil {
			t.Error(err)
		}
	}
	if v, _ := l.Versions("local/cal", "", 0, 10); len(v) != 1 {
		t.Errorf("history of a write under way: %+v", v)
	}
}

func TestResettingAGroupForgetsWhatWasInStepAndNoHistory(t *testing.T) {
	l, _ := fresh(t)
	fill(t, l.Set(cal), 2)
	other := SetKey{"another", "cal", engine.Calendar}
	fill(t, l.Set(other), 2)
	do(t, l.Set(cal), func(c *Change) error {
		if err := c.PutProblem(Problem{Problem: engine.Problem{Member: "work/cal"}, Key: "k"}); err != nil {
			return err
		}
		if err := c.PutMeta(Meta{Member: "work/cal", Key: engine.MetaName}); err != nil {
			return err
		}
		return c.PutConflict(&Conflict{Key: "k"})
	})
	if err := l.ResetGroup("home"); err != nil {
		t.Fatal(err)
	}
	if b := load(t, l.Set(cal)); len(b.Members)+len(b.Items)+len(b.Marks)+len(b.Seen)+len(b.Intents) > 0 {
		t.Errorf("%+v", b)
	}
	if c, p, h, err := l.Counts("home"); c+p+h != 0 || err != nil {
		t.Errorf("%d %d %d %v", c, p, h, err)
	}
	if b := load(t, l.Set(other)); len(b.Items) != 2 {
		t.Errorf("the other group has %d items", len(b.Items))
	}
	if v, _ := l.Versions("local/cal", "", 0, 10); len(v) != 2 {
		t.Errorf("history %+v", v)
	}
}

func TestDroppingAnAccountForgetsItsMarksEverywhere(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	fill(t, s, 2)
	do(t, s, func(c *Change) error {
		for _, m := range []engine.MemberID{"local/cal", "localhost/cal"} {
			if err := c.PutProblem(Problem{Problem: engine.Problem{Member: m}, Key: "k"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := l.KeepCollection("local", "x", KnownCollection{ID: "cal"}); err != nil {
		t.Fatal(err)
	}
	if err := l.DropAccount("local"); err != nil {
		t.Fatal(err)
	}
	b := load(t, s)
	if len(b.Members) != 1 || len(b.Marks) != 2 || len(b.Items) != 2 {
		t.Errorf("%+v", b)
	}
	if p, _ := l.Problems(nil, 0, 10); len(p) != 1 || p[0].Member != "localhost/cal" {
		t.Errorf("%+v", p)
	}
	if known, _ := l.CollectionIDs("local"); len(known) > 0 {
		t.Errorf("%+v", known)
	}
}

func TestConflictsKeepTheirIDsAndNeverShareThem(t *testing.T) {
	l, path := fresh(t)
	s := l.Set(cal)
	put := func(k string, text TextID) (id string) {
		f := Conflict{Key: k, UID: "u" + odd, Item: "i" + odd, Component: "VEVENT", Kind: "modified", Summary: "s", Clashes: []string{"A", "B"}, Sides: []Side{{Member: "b/c", Text: text}, {Member: "a/c", Gone: true}}}
		do(t, s, func(c *Change) error { return c.PutConflict(&f) })
		all, err := s.Conflicts()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Key == k {
				return c.ID
			}
		}
		return ""
	}
	first := put("k1", 1)
	second := put("k2", 1)
	if first == second || put("k1", 1) != first || put("k1", 2) != first {
		t.Errorf("ids %s, %s", first, second)
	}
	do(t, s, func(c *Change) error { return c.DropConflict("k2") })
	l.Close()
	l, _ = reopen(t, path)
	s = l.Set(cal)
	if third := put("k2", 1); third == second || third == first {
		t.Errorf("%s was used again", third)
	}
	all, err := l.Conflicts(func(c engine.ConflictState) bool { return c.ID == first }, 0, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	c := all[0]
	if c.UID != "u"+odd || c.ItemName != "i"+odd || c.Set != cal.ID || c.Group != "home" || !slices.Equal(c.Members, []engine.MemberID{"b/c", "a/c"}) || c.State != "open" {
		t.Errorf("%+v", c)
	}
	if all, _ := l.Conflicts(nil, 1, 10); len(all) != 1 {
		t.Errorf("the second page has %d", len(all))
	}
	if all, _ := l.Conflicts(nil, 0, 1); len(all) != 1 || all[0].ID != first {
		t.Errorf("the oldest is %+v", all)
	}
	for _, bad := range []string{"", "c", "c0x1", "c999", "1", "c-1"} {
		if _, err := l.ConflictTexts(bad); !engine.IsKind(err, engine.NotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestASkippedConflictIsNotShownUntilAMemberMoves(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	put := func(text TextID) {
		do(t, s, func(c *Change) error {
			return c.PutConflict(&Conflict{Key: "k", Sides: []Side{{Member: "a/c", Text: text}}})
		})
	}
	open := func() int {
		n, _, _, err := l.Counts("home")
		all, e := l.Conflicts(nil, 0, 10)
		if err != nil || e != nil || len(all) != n {
			t.Fatal(all, n, err, e)
		}
		return n
	}
	put(1)
	do(t, s, func(c *Change) error { return c.SkipConflict("c1") })
	put(1)
	if open() != 0 {
		t.Error("it is shown")
	}
	put(2)
	if open() != 1 {
		t.Error("it moved, and is not shown")
	}
}

func TestProblems(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	since := time.UnixMicro(1_000_000)
	do(t, s, func(c *Change) error {
		for i, held := range []bool{false, true, false} {
			p := Problem{Problem: engine.Problem{Member: "m/c", Item: "i" + odd, UID: "u", Held: held, Since: since.Add(time.Duration(i)), Tries: uint32(i), NextTry: since,
				Failure: engine.FailureOf(engine.Fail(engine.TooLarge, "x", "", "really"))}, Key: fmt.Sprint("k", i), Verb: engine.Delete, Version: 7, Sum: engine.Sum{9}}
			if err := c.PutProblem(p); err != nil {
				return err
			}
		}
		return nil
	})
	all, err := l.Problems(func(p engine.Problem) bool { return !p.Held }, 1, 10)
	if err != nil || len(all) != 1 || all[0].Tries != 2 || all[0].Failure.Kind != engine.TooLarge || all[0].Item != "i"+odd || all[0].Group != "home" || !all[0].NextTry.Equal(since) {
		t.Fatalf("%+v %v", all, err)
	}
	if _, p, h, err := l.Counts("home"); p != 2 || h != 1 || err != nil {
		t.Errorf("%d problems, %d held", p, h)
	}
	own, err := s.Problems()
	if err != nil || len(own) != 3 || own[1].Version != 7 || own[1].Sum != (engine.Sum{9}) || own[1].Verb != engine.Delete || own[1].Key != "k1" {
		t.Errorf("%+v %v", own, err)
	}
	do(t, s, func(c *Change) error { return c.DropProblem("m/c", "k1", true) })
	if _, _, h, _ := l.Counts("home"); h != 0 {
		t.Errorf("%d held", h)
	}
}

func TestReadersSeeNothingHalfDone(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	var wg sync.WaitGroup
	stop := make(chan bool)
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if b := load(t, s); len(b.Members)%2 != 0 {
				t.Errorf("%d members", len(b.Members))
			}
		}
	})
	for i := range 50 {
		do(t, s, func(c *Change) error {
			if _, err := c.Member(engine.MemberID(fmt.Sprint("a/", i)), ""); err != nil {
				return err
			}
			_, err := c.Member(engine.MemberID(fmt.Sprint("b/", i)), "")
			return err
		})
	}
	close(stop)
	wg.Wait()
}

func TestAClosedLedgerSaysSo(t *testing.T) {
	l, _ := fresh(t)
	l.Close()
	if _, err := l.NextJob(); !engine.IsKind(err, engine.StorageError) || !errors.Is(err, sql.ErrConnDone) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkLoad10000Marks(b *testing.B) {
	l, _ := fresh(b)
	fill(b, l.Set(cal), 5000)
	for b.Loop() {
		if book := load(b, l.Set(cal)); len(book.Marks) != 10000 {
			b.Fatal(len(book.Marks))
		}
	}
}

func BenchmarkStore100Of10000(b *testing.B) {
	l, _ := fresh(b)
	s := l.Set(cal)
	fill(b, s, 5000)
	marks := load(b, s).Marks[:100]
	for b.Loop() {
		do(b, s, func(c *Change) error {
			for _, m := range marks {
				m.Version++
				if err := c.PutMark(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
