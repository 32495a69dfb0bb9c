package ledger

import (
	"compress/flate"
	"context"
	"database/sql"
	"sync"
	"sync/atomic"

	"davbus.org/davbus/engine/turn"
)

// A writer is the one connection that writes. Changes that arrive while it is
// committing are committed together next: one sync to the disk serves them all.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	mu     sync.Mutex
	queue  []waiting
	busy   bool
	closed bool
	idle   sync.Cond

	commits atomic.Int64 // made so far, for whoever wonders

	// Of whoever is committing:
	statements map[string]*sql.Stmt
	packer     *flate.Writer
	turn       turn.Turn
}

type waiting struct {
	change func(*writer) error
	done   chan error
}

func newWriter(db *sql.DB) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, statements: map[string]*sql.Stmt{}}
	w.idle.L = &w.mu
	return w, nil
}

// do runs a change and returns when it is durable, or when it failed and nothing
// of it is left.
func (w *writer) do(change func(*writer) error) error {
	mine := waiting{change, make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return sql.ErrConnDone
	}
	w.queue = append(w.queue, mine)
	lead := !w.busy
	w.busy = true
	w.mu.Unlock()
	if lead {
		w.lead()
	}
	return <-mine.done
}

// lead commits until nobody waits.
func (w *writer) lead() {
	for {
		w.mu.Lock()
		batch := w.queue
		w.queue = nil
		if len(batch) == 0 {
			w.busy = false
			w.idle.Broadcast()
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		errs := w.commit(batch)
		for i, p := range batch {
			p.done <- errs[i]
		}
	}
}

// commit carries out a batch in one transaction. A change that fails is undone
// alone.
func (w *writer) commit(batch []waiting) []error {
	errs := make([]error, len(batch))
	all := func(err error) []error {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
		return errs
	}
	if err := w.step("BEGIN IMMEDIATE"); err != nil {
		return all(err)
	}
	for i, p := range batch {
		if err := w.step("SAVEPOINT one"); err != nil {
			w.step("ROLLBACK")
			return all(err)
		}
		if errs[i] = p.change(w); errs[i] != nil {
			w.step("ROLLBACK TO one")
		}
		if err := w.step("RELEASE one"); err != nil {
			w.step("ROLLBACK")
			return all(err)
		}
	}
	if err := w.step("COMMIT"); err != nil {
		w.step("ROLLBACK")
		return all(err)
	}
	w.commits.Add(1)
	return errs
}

// run runs what needs no arguments; statement prepares what comes again and again.
func (w *writer) run(query string) error {
	_, err := w.conn.ExecContext(context.Background(), query)
	return err
}

// step is one of the few statements that make up every commit.
func (w *writer) step(query string) error {
	s, err := w.statement(query)
	if err == nil {
		_, err = s.ExecContext(context.Background())
	}
	return err
}

func (w *writer) statement(query string) (*sql.Stmt, error) {
	w.turn.Pass()
	if s := w.statements[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.statements[query] = s
	}
	return s, err
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	for w.busy {
		w.idle.Wait()
	}
	w.mu.Unlock()
	for _, s := range w.statements {
		s.Close()
	}
	w.run("PRAGMA wal_checkpoint(TRUNCATE)")
	err := w.conn.Close()
	if e := w.db.Close(); err == nil {
		err = e
	}
	return err
}
