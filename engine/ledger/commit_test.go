package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
)

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

// That a power cut takes nothing then is shown in power_real_test.go.
func TestACommitWaitsForTheDisk(t *testing.T) {
	l, _ := fresh(t)
	var waits, journal string
	if err := l.scan(&waits, "PRAGMA synchronous"); err != nil || waits != "2" {
		t.Errorf("synchronous is %s, want 2, which is FULL: %v", waits, err)
	}
	if err := l.scan(&journal, "PRAGMA journal_mode"); err != nil || journal != "wal" {
		t.Errorf("the journal is %s: %v", journal, err)
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

func TestASetIsAtRestUntilAnythingChanges(t *testing.T) {
	l, _ := fresh(t)
	s := l.Set(cal)
	if how, _, err := s.AtRest(); how != "" || err != nil {
		t.Errorf("a new set: %q %v", how, err)
	}
	fill(t, s, 1)
	id := load(t, s).Members[1].ID
	if err := s.ComeToRest("so\x00", map[int64]int{id: 7}); err != nil {
		t.Fatal(err)
	}
	how, members, err := s.AtRest()
	if how != "so\x00" || len(members) != 2 || members[1].Items != 7 || members[0].State != "state"+odd || err != nil {
		t.Errorf("%q %+v %v", how, members, err)
	}
	do(t, s, func(*Change) error { return nil })
	if how, _, _ := s.AtRest(); how != "" {
		t.Errorf("still at rest: %q", how)
	}
}
