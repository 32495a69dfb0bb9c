package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"davbus.org/davbus/engine"
)

// remembered is how many removed items a collection remembers, at least; twice
// as many at most. A token from before is answered with everything.
const remembered = 1000

// forget drops the older removed items when there are too many.
func forget(tx *sql.Tx, id int64) error {
	var n, limit int64
	err := tx.QueryRow("SELECT count(*) FROM item WHERE collection = ? AND text IS NULL", id).Scan(&n)
	if err != nil || n <= 2*remembered {
		return err
	}
	err = tx.QueryRow("SELECT serial FROM item WHERE collection = ? AND text IS NULL ORDER BY serial DESC LIMIT 1 OFFSET ?", id, remembered).Scan(&limit)
	if err != nil {
		return err
	}
	if _, err = tx.Exec("DELETE FROM item WHERE collection = ? AND text IS NULL AND serial <= ?", id, limit); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE collection SET oldest = ? WHERE id = ?", limit, id)
	return err
}

// Changes knows every token that it gave since the oldest removal it remembers.
func (s *Storage) Changes(ctx context.Context, since engine.Token) (d engine.Delta, err error) {
	err = s.within(ctx, "list changes", func(tx *sql.Tx, id int64) error {
		var serial, oldest int64
		err := tx.QueryRow("SELECT serial, oldest FROM collection WHERE id = ?", id).Scan(&serial, &oldest)
		if err != nil {
			return err
		}
		from, err := strconv.ParseInt(string(since), 10, 64)
		if err != nil || from < oldest || from > serial {
			d.Full, from = true, -1
		}
		d.Token = engine.Token(etag(serial))
		d.Changed, d.Gone, err = readHeads(tx, id, from)
		if d.Full {
			d.Gone = nil
		}
		return err
	})
	return d, err
}

// Meta reads all four properties.
func (s *Storage) Meta(ctx context.Context) (m engine.Meta, err error) {
	err = s.within(ctx, "read metadata of", func(tx *sql.Tx, _ int64) error {
		m, err = readMeta(tx, s.identity)
		return err
	})
	return m, err
}

func readMeta(tx *sql.Tx, identity string) (engine.Meta, error) {
	rows, err := tx.Query("SELECT key, value FROM meta JOIN collection ON collection = id WHERE identity = ?", identity)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := engine.Meta{}
	for rows.Next() {
		var key engine.MetaKey
		var value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		m[key] = value
	}
	return m, rows.Err()
}

// SetMeta keeps any value of the four properties.
func (s *Storage) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	return s.within(ctx, "set the "+string(key)+" of", func(tx *sql.Tx, _ int64) error {
		return writeMeta(tx, s.identity, key, value, set)
	})
}

func writeMeta(tx *sql.Tx, identity string, key engine.MetaKey, value string, set bool) error {
	if !slices.Contains(engine.MetaKeys[:], key) {
		return engine.Fail(engine.NotSupported, "set", string(key), "it is none of the four properties that are kept")
	}
	const row = "(SELECT id FROM collection WHERE identity = ?)"
	_, err := tx.Exec("DELETE FROM meta WHERE collection = "+row+" AND key = ?", identity, key)
	if err == nil && set {
		_, err = tx.Exec("INSERT INTO meta VALUES("+row+", ?, ?)", identity, key, value)
	}
	if err == nil {
		_, err = tx.Exec("UPDATE collection SET serial = serial + 1 WHERE identity = ?", identity)
	}
	return err
}
