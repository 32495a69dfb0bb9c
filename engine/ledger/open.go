package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"davbus.org/davbus/engine"
)

var errDamaged = errors.New("the file is damaged")

func open(path string, now func() time.Time) (*Ledger, Opened, error) {
	var found Opened
	l, err := tryPrivate(path, now)
	if errors.Is(err, errDamaged) {
		if found.SetAside, err = setAside(path, now()); err != nil {
			return nil, found, fail("set aside", err)
		}
		l, err = tryPrivate(path, now)
	}
	if err != nil {
		return nil, found, fail("open", err)
	}
	found.Fresh = l.fresh
	return l, found, nil
}

// tryPrivate makes the file, where there is none, so that nobody else may read it:
// it holds the texts of all items. What SQLite makes beside it has the same mode.
func tryPrivate(path string, now func() time.Time) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, err
	}
	return try(fileDSN(path), now)
}

// OpenMemory opens a ledger that lives and dies with the process. now is its
// clock.
func OpenMemory(now func() time.Time) (*Ledger, error) {
	l, err := try("file:/"+rand.Text()+"?vfs=memdb&", now)
	return l, fail("open", err)
}

// Revive opens once more what a ledger of OpenMemory holds, as a process does
// that follows a killed one, and ends the old handle.
func (l *Ledger) Revive() (*Ledger, error) {
	next, err := try(l.dsn, l.now)
	if err != nil {
		return nil, fail("open", err)
	}
	next.Before = l.Before
	return next, l.Close()
}

// try opens a file as it is, and makes one that is not there.
func try(plain string, now func() time.Time) (*Ledger, error) {
	dsn := plain + "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w, err := newWriter(db)
	if err != nil {
		db.Close()
		return nil, damage(err)
	}
	l := &Ledger{write: w, sets: map[SetKey]*Set{}, dsn: plain, now: now}
	if err := l.prepare(); err != nil {
		w.close()
		return nil, err
	}
	read, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		w.close()
		return nil, err
	}
	l.read = newReader(read)
	if err := l.renewSums(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// fileDSN asks for full durability: a commit is on the disk when it returns.
func fileDSN(path string) string {
	u := url.URL{Scheme: "file", Path: path}
	if path != "" && path[0] != '/' {
		u.Path, u.Opaque = "", (&url.URL{Path: path}).EscapedPath()
	}
	return u.String() + "?_pragma=journal_mode(wal)&_pragma=synchronous(full)&"
}

// prepare checks the file and brings its schema up to date.
func (l *Ledger) prepare() error {
	var version int
	if err := l.scan(&version, "PRAGMA user_version"); err != nil {
		return damage(err)
	}
	switch {
	case version == condemned:
		return errDamaged
	case version > schemaVersion:
		return engine.Fail(engine.StorageError, "open the ledger", "",
			"it was written by a newer davbus (format %d, this one knows %d): install that version again, or move the file away to start afresh", version, schemaVersion)
	case version == 0:
		return l.create()
	}
	var verdict string
	if err := l.scan(&verdict, "PRAGMA quick_check(1)"); err != nil || verdict != "ok" {
		return damage(cmpErr(err, fmt.Errorf("quick check: %s", verdict)))
	}
	return nil
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (l *Ledger) scan(into any, query string) error {
	return l.write.conn.QueryRowContext(context.Background(), query).Scan(into)
}

func (l *Ledger) create() error {
	var tables int
	if err := l.scan(&tables, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return damage(err)
	}
	if tables > 0 {
		return errDamaged // tables without a version: not a file that we left whole
	}
	l.fresh = true
	return l.do(func(t *tx) error {
		if err := t.w.run(schema); err != nil {
			return err
		}
		return t.w.run(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	})
}

// damage tells what SQLite says of a damaged file from what it says of a full
// disk or a missing folder: those must not cost anybody a ledger.
func damage(err error) error {
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	const corrupt, notADatabase = 11, 26
	if code := coded.Code() & 0xff; code == corrupt || code == notADatabase {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// setAside keeps a damaged file for whoever can mend it.
func setAside(path string, now time.Time) (string, error) {
	base := path + ".bad-" + now.UTC().Format("2006-01-02")
	to := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s-%d", base, n)
	}
	// The log of a damaged file belongs to it.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return to, os.Rename(path, to)
}

// condemn makes the next Open set the file aside: a part of it was found damaged.
func (l *Ledger) condemn(what string) error {
	err := l.do(func(t *tx) error { return t.w.run(fmt.Sprintf("PRAGMA user_version = %d", condemned)) })
	if err != nil {
		return fail("condemn", err)
	}
	return engine.Fail(engine.StorageError, "read the ledger", "",
		"%s is damaged; the file is set aside at the next start, and the next sync compares everything", what)
}
