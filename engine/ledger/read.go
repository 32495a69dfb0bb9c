package ledger

import (
	"database/sql"
	"sync"
)

// A reader is the connections that read. What comes again and again is prepared
// once for each: SQLite takes longer to understand a query than to answer it.
type reader struct {
	db *sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func newReader(db *sql.DB) *reader {
	db.SetMaxOpenConns(4)
	return &reader{db: db, statements: map[string]*sql.Stmt{}}
}

func (r *reader) statement(query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.statements[query]; s != nil {
		return s, nil
	}
	s, err := r.db.Prepare(query)
	if err == nil {
		r.statements[query] = s
	}
	return s, err
}

func (r *reader) Query(query string, args ...any) (*sql.Rows, error) {
	s, err := r.statement(query)
	if err != nil {
		return nil, err
	}
	return s.Query(args...)
}

func (r *reader) QueryRow(query string, args ...any) *sql.Row {
	s, err := r.statement(query)
	if err != nil {
		return r.db.QueryRow(query, args...) // which says the same
	}
	return s.QueryRow(args...)
}

// A view is the ledger at one moment.
type view struct {
	*sql.Tx
	statements map[string]*sql.Stmt
}

// begin gives a view for some queries. They are prepared before it takes a
// connection: views that waited for a second one would wait for each other.
func (r *reader) begin(queries ...string) (*view, error) {
	v := &view{statements: map[string]*sql.Stmt{}}
	for _, q := range queries {
		s, err := r.statement(q)
		if err != nil {
			return nil, err
		}
		v.statements[q] = s
	}
	tx, err := r.db.Begin()
	v.Tx = tx
	return v, err
}

func (v *view) query(query string, arg any) (*sql.Rows, error) {
	return v.Stmt(v.statements[query]).Query(arg)
}

func (v *view) queryRow(query string, args ...any) *sql.Row {
	return v.Stmt(v.statements[query]).QueryRow(args...)
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.statements {
		s.Close()
	}
	return r.db.Close()
}
