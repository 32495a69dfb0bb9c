// Package ledger keeps what the members of a set agreed on, and everything else
// that must survive the process: intents, history, conflicts, problems, job
// numbers and reports.
//
// It is one SQLite file. What is written is durable when the call returns;
// writers that arrive together share one commit. Texts are kept once for each
// sequence of bytes, and read only when somebody asks for one.
package ledger

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"davbus.org/davbus/engine"
)

// A Ledger is one SQLite file. It is safe for concurrent use.
type Ledger struct {
	// Before is asked before every commit, if it is set; an error is what came of
	// the commit, and nothing of it is kept. Tests set it before use.
	Before func() error

	read  *reader
	write *writer

	mu   sync.Mutex
	sets map[SetKey]*Set

	dsn   string
	now   func() time.Time
	fresh bool // made just now
}

// Opened tells how a ledger was found.
type Opened struct {
	Fresh    bool   // there was none: every set's first sync compares everything
	SetAside string // where a damaged file was moved; Fresh too then
}

// SetKey names one set.
type SetKey struct {
	Group engine.GroupID
	ID    string // the collections' common id, or "" in a group of collections
	Kind  string // engine.Calendar or engine.AddressBook
}

// Set is the part of the ledger that belongs to one set.
type Set struct {
	ledger *Ledger
	key    SetKey
}

// Key names the set.
func (s *Set) Key() SetKey { return s.key }

// Now is the ledger's clock. It may jump: nothing is ordered by it.
func (s *Set) Now() time.Time { return s.ledger.now() }

// Open opens the ledger in a file. A newer schema is an error of kind
// StorageError that says so; a damaged file is set aside.
func Open(path string) (*Ledger, Opened, error) { return open(path, time.Now) }

// Close waits for what is being written.
func (l *Ledger) Close() error {
	err := l.write.close()
	if e := l.read.Close(); err == nil {
		err = e
	}
	return fail("close", err)
}

// Set gives the part of one set. Two handles of one set must not run at once.
func (l *Ledger) Set(key SetKey) *Set {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sets[key]
	if s == nil {
		s = &Set{ledger: l, key: key}
		l.sets[key] = s
	}
	return s
}

// Do carries out changes, all of them or none. They are durable when it returns.
func (s *Set) Do(change func(*Change) error) error {
	return fail("write", s.ledger.do(func(t *tx) error {
		id, err := t.setID(s.key)
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE sets SET rest = x'' WHERE id = ? AND rest != x''`, id); err != nil {
			return err
		}
		return change(&Change{tx: t, set: id, key: s.key})
	}))
}

// A Change is what a Set.Do is doing. Its methods are in change.go.
type Change struct {
	*tx
	set int64
	key SetKey
}

// tx is one transaction, for as long as it runs.
type tx struct {
	w   *writer
	now time.Time
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.insert(query, args...)
	return err
}

// insert gives the id of the new row.
func (t *tx) insert(query string, args ...any) (int64, error) {
	stmt, err := t.w.statement(query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// one reads one row; false if there is none.
func (t *tx) one(into []any, query string, args ...any) (bool, error) {
	stmt, err := t.w.statement(query)
	if err != nil {
		return false, err
	}
	err = stmt.QueryRowContext(context.Background(), args...).Scan(into...)
	if err == sql.ErrNoRows {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) setID(k SetKey) (int64, error) {
	var id int64
	found, err := t.one([]any{&id}, `SELECT id FROM sets WHERE grp = ? AND name = ? AND kind = ?`, bytesOf(k.Group), bytesOf(k.ID), k.Kind)
	if err != nil || found {
		return id, err
	}
	return t.insert(`INSERT INTO sets (grp, name, kind) VALUES (?, ?, ?)`, bytesOf(k.Group), bytesOf(k.ID), k.Kind)
}

// do runs one transaction, which may share its commit with others.
func (l *Ledger) do(change func(*tx) error) error {
	if l.Before != nil {
		if err := l.Before(); err != nil {
			return err
		}
	}
	return l.write.do(func(w *writer) error { return change(&tx{w, l.now()}) })
}

// fail gives an error of SQLite the kind that callers act on.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*engine.Error); ok {
		return err
	}
	return engine.Fail(engine.StorageError, op+" the ledger", "", "%w", err)
}

// bytesOf is how names are stored: they may be any bytes, and SQLite's own text
// may not.
func bytesOf[S ~string](s S) []byte { return append([]byte{}, s...) }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}
