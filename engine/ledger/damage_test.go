package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

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

func TestScenario29SumsOfAnotherSchemeAreMadeAgain(t *testing.T) {
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

// What SQLite cannot use for another reason than its text stays where it is: here
// a folder stands where its log would be.
func TestWhatCannotBeWrittenIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.Mkdir(path+"-wal", 0o700); err != nil {
		t.Fatal(err)
	}
	l, found, err := Open(path)
	if err == nil {
		l.Close()
	}
	if err == nil || found.SetAside != "" {
		t.Errorf("%v, set aside as %q", err, found.SetAside)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
