package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"

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
