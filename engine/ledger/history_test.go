package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"davbus.org/davbus/engine"
)

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
