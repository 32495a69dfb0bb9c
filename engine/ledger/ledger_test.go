package ledger

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

func fresh(t testing.TB) *Ledger {
	l, _, err := Open(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestSmoke(t *testing.T) {
	l := fresh(t)
	s := l.Set(SetKey{"home", "cal", engine.Calendar})
	start := time.Now()
	err := s.Do(func(c *Change) error {
		a, err := c.Member("work/cal", "x")
		if err != nil {
			return err
		}
		b, err := c.Member("local/cal", "y")
		if err != nil {
			return err
		}
		for i := range 10000 {
			text := fmt.Appendf(nil, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:%d\r\nSUMMARY:Meeting about things\r\nDTSTART:20240101T120000Z\r\nDTEND:20240101T130000Z\r\nLOCATION:Room 5\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", i)
			id, err := c.Text(text)
			if err != nil {
				return err
			}
			it := Item{Key: fmt.Sprint("u:", i), UID: engine.UID(fmt.Sprint(i)), Version: 1, Sum: item.Sum(text), Text: id}
			if err := c.PutItem(&it); err != nil {
				return err
			}
			for _, m := range []int64{a, b} {
				if err := c.PutMark(Mark{Item: it.ID, Member: m, Ref: engine.Ref(fmt.Sprint(i, ".ics")), Etag: "1", Sum: it.Sum, Version: 1, Text: id}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("write", time.Since(start))
	start = time.Now()
	b, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	t.Log("load", time.Since(start), len(b.Marks))
	start = time.Now()
	b, err = s.Load()
	t.Log("load", time.Since(start), len(b.Marks))
	text, err := s.Text(b.Items[77].Text)
	t.Logf("%s %v", text, err)
}
