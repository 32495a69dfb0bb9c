// Package store keeps items in a database of its own, for people who want their
// calendars in step but no folders. It is the only place where these items are,
// so a damaged file is an error and is left as it is.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// schema holds names and refs as blobs: they may be any bytes. Each change in a
// collection gets the next serial; an item without a text was removed.
const schema = `
CREATE TABLE collection(id INTEGER PRIMARY KEY, identity TEXT UNIQUE, name BLOB UNIQUE, kind TEXT, components TEXT,
	serial INTEGER DEFAULT 0, oldest INTEGER DEFAULT 0);
CREATE TABLE item(collection INTEGER, ref BLOB, serial INTEGER, text BLOB, PRIMARY KEY(collection, ref)) WITHOUT ROWID;
CREATE INDEX moved ON item(collection, serial);
CREATE INDEX removed ON item(collection, serial) WHERE text IS NULL;
CREATE TABLE meta(collection INTEGER, key TEXT, value TEXT, PRIMARY KEY(collection, key)) WITHOUT ROWID;
PRAGMA user_version = 1`

const version = 1

// A Source is one database with many collections. One connection serves all
// storages, one call after the other.
type Source struct{ db *sql.DB }

var _ engine.Source = (*Source)(nil)

// Open opens the database in a file, or makes it. The folder must be there.
func Open(path string) (*Source, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // sqlite would let others read it
	if err != nil {
		return nil, engine.Fail(engine.StorageError, "open", path, "%w", err)
	}
	f.Close()
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(),
		RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fail("open", path, err)
	}
	db.SetMaxOpenConns(1)
	s := &Source{db}
	if err := s.prepare(path); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) prepare(path string) error {
	return s.within(context.Background(), "open", path, func(tx *sql.Tx) error {
		var found int
		if err := tx.QueryRow("PRAGMA user_version").Scan(&found); err != nil {
			return err
		}
		switch found {
		case version:
			return nil
		case 0:
			_, err := tx.Exec(schema)
			return err
		}
		return engine.Fail(engine.StorageError, "open", path, "it was written by a newer davbus (format %d, this one knows %d)", found, version)
	})
}

// within does something in one transaction, that is on the disk when it returns.
func (s *Source) within(ctx context.Context, op, on string, do func(*sql.Tx) error) error {
	if ctx.Err() != nil {
		return engine.Fail(engine.Cancelled, op, on, "%w", ctx.Err())
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err == nil {
		if err = do(tx); err == nil {
			err = tx.Commit()
		} else {
			tx.Rollback()
		}
	}
	if err != nil && ctx.Err() != nil {
		return engine.Fail(engine.Cancelled, op, on, "%w", ctx.Err())
	}
	return fail(op, on, err)
}

// fail makes an error of what the database said.
func fail(op, on string, err error) error {
	if _, ok := errors.AsType[*engine.Error](err); ok || err == nil {
		return err
	}
	kind := engine.StorageError
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case lib.SQLITE_FULL:
			kind = engine.QuotaExceeded
		case lib.SQLITE_READONLY:
			kind = engine.ReadOnly
		case lib.SQLITE_BUSY:
			kind = engine.Busy
		}
	}
	return engine.Fail(kind, op, on, "%w", err)
}

// Look lists the collections.
func (s *Source) Look(ctx context.Context, fresh bool) (found []engine.Collection, err error) {
	err = s.within(ctx, "list", "the collections", func(tx *sql.Tx) error {
		found, err = look(tx, "")
		return err
	})
	return found, err
}

// look lists the collections, or the one of an identity.
func look(tx *sql.Tx, identity string) ([]engine.Collection, error) {
	rows, err := tx.Query("SELECT identity, name, kind, components, serial FROM collection WHERE ?1 IN ('', identity) ORDER BY id", identity)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []engine.Collection
	for rows.Next() {
		c := engine.Collection{Writable: true}
		var components string
		var serial int64
		if err := rows.Scan(&c.Identity, &c.Name, &c.Kind, &components, &serial); err != nil {
			return nil, err
		}
		if components != "" {
			c.Components = strings.Split(components, ",")
		}
		c.State = strconv.FormatInt(serial, 10)
		found = append(found, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].Meta, err = readMeta(tx, found[i].Identity); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Open gives the storage of a collection.
func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	return &Storage{source: s, identity: c.Identity, name: c.Name}, nil
}

// Make makes a collection. Any name will do that is not taken.
func (s *Source) Make(ctx context.Context, c engine.Collection) (made engine.Collection, err error) {
	identity := "store:" + rand.Text()
	err = s.within(ctx, "make", c.Name, func(tx *sql.Tx) error {
		var taken int
		if err := tx.QueryRow("SELECT count(*) FROM collection WHERE name = ?", []byte(c.Name)).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return engine.Fail(engine.AlreadyExists, "make", c.Name, "a collection of this name is there")
		}
		_, err := tx.Exec("INSERT INTO collection(identity, name, kind, components) VALUES(?, ?, ?, ?)",
			identity, []byte(c.Name), c.Kind, strings.Join(c.Components, ","))
		if err != nil {
			return err
		}
		for key, value := range c.Meta {
			if err := writeMeta(tx, identity, key, value, true); err != nil && !engine.IsKind(err, engine.NotSupported) {
				return err
			}
		}
		found, err := look(tx, identity)
		if err == nil {
			made = found[0]
		}
		return err
	})
	made.ID = c.ID
	return made, err
}

// Capabilities is empty: databases have none that differ.
func (s *Source) Capabilities() []string { return nil }

// Close waits for what is under way.
func (s *Source) Close() error { return s.db.Close() }
