package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A Storage is one collection in the database.
type Storage struct {
	source         *Source
	identity, name string
}

var (
	_ engine.Tracker     = (*Storage)(nil)
	_ engine.MetaStorage = (*Storage)(nil)
)

// batch is how many writes share a transaction.
const batch = 512

// within is Source.within, with the row of the collection.
func (s *Storage) within(ctx context.Context, op string, do func(tx *sql.Tx, id int64) error) error {
	return s.source.within(ctx, op, s.name, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRow("SELECT id FROM collection WHERE identity = ?", s.identity).Scan(&id)
		if err == sql.ErrNoRows {
			return engine.Fail(engine.CollectionGone, op, s.name, "the database has no such collection")
		}
		if err != nil {
			return err
		}
		return do(tx, id)
	})
}

// List reads all heads before it gives the first: the connection is not held
// while the caller works.
func (s *Storage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		var heads []engine.Head
		err := s.within(ctx, "list", func(tx *sql.Tx, id int64) (err error) {
			heads, _, err = readHeads(tx, id, -1)
			return err
		})
		for _, h := range heads {
			if !yield(h, nil) {
				return
			}
		}
		if err != nil {
			yield(engine.Head{}, err)
		}
	}
}

// readHeads gives what changed after a serial, and what was removed.
func readHeads(tx *sql.Tx, id, since int64) (heads []engine.Head, gone []engine.Ref, err error) {
	rows, err := tx.Query("SELECT ref, serial, text IS NULL FROM item WHERE collection = ? AND serial > ? ORDER BY ref", id, since)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var ref []byte
		var serial int64
		var removed bool
		if err := rows.Scan(&ref, &serial, &removed); err != nil {
			return nil, nil, err
		}
		if removed {
			gone = append(gone, engine.Ref(ref))
		} else {
			heads = append(heads, engine.Head{Ref: engine.Ref(ref), Etag: etag(serial)})
		}
	}
	return heads, gone, rows.Err()
}

func etag(serial int64) engine.Etag { return engine.Etag(strconv.FormatInt(serial, 10)) }

// Fetch reads items one by one.
func (s *Storage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		for _, ref := range refs {
			var it engine.Item
			found := false
			err := s.within(ctx, "fetch", func(tx *sql.Tx, id int64) (err error) {
				it, found, err = read(tx, id, ref)
				return err
			})
			if err != nil {
				yield(engine.Item{}, err)
				return
			}
			if found && !yield(it, nil) {
				return
			}
		}
	}
}

func read(tx *sql.Tx, id int64, ref engine.Ref) (engine.Item, bool, error) {
	it := engine.Item{Head: engine.Head{Ref: ref}}
	var serial int64
	err := tx.QueryRow("SELECT serial, text FROM item WHERE collection = ? AND ref = ? AND text IS NOT NULL", id, []byte(ref)).Scan(&serial, &it.Text)
	if err == sql.ErrNoRows {
		return it, false, nil
	}
	it.Etag = etag(serial)
	return it, err == nil, err
}

// Apply writes many items in one transaction.
func (s *Storage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for start := 0; start < len(writes); start += batch {
			part := writes[start:min(start+batch, len(writes))]
			outs := make([]engine.Outcome, len(part))
			err := s.within(ctx, "write", func(tx *sql.Tx, id int64) (err error) {
				for i, w := range part {
					if outs[i], err = write(tx, id, w); err != nil {
						return err
					}
				}
				return forget(tx, id)
			})
			if err != nil {
				yield(-1, engine.Outcome{Err: err})
				return
			}
			for i, out := range outs {
				if !yield(start+i, out) {
					return
				}
			}
		}
	}
}

// write carries out one write; its error is that of the whole.
func write(tx *sql.Tx, id int64, w engine.Write) (engine.Outcome, error) {
	ref := w.Old.Ref
	var err error
	if w.Verb == engine.Create {
		if ref, err = free(tx, id, w); err != nil {
			return engine.Outcome{}, err
		}
	} else if old, ok, err := read(tx, id, ref); err != nil {
		return engine.Outcome{}, err
	} else if !ok || old.Etag != w.Old.Etag {
		return engine.Outcome{Err: engine.Fail(engine.Changed, w.Verb.String(), string(ref), "another version is stored, or none")}, nil
	}
	serial, err := next(tx, id)
	if err != nil {
		return engine.Outcome{}, err
	}
	out, text := engine.Outcome{}, []byte(nil) // a removed item has no text
	if w.Verb != engine.Delete {
		out = engine.Outcome{Head: engine.Head{Ref: ref, Etag: etag(serial)}, Kept: true}
		text = append([]byte{}, w.Text...)
	}
	_, err = tx.Exec("INSERT OR REPLACE INTO item VALUES(?, ?, ?, ?)", id, []byte(ref), serial, text)
	return out, err
}

// next is the serial of the next change.
func next(tx *sql.Tx, id int64) (serial int64, err error) {
	err = tx.QueryRow("UPDATE collection SET serial = serial + 1 WHERE id = ? RETURNING serial", id).Scan(&serial)
	return serial, err
}

// free is a ref that no item has: the suggested one, one made from the UID, or
// any.
func free(tx *sql.Tx, id int64, w engine.Write) (engine.Ref, error) {
	ext := ".ics"
	if bytes.Contains(bytes.ToUpper(w.Text), []byte("BEGIN:VCARD")) {
		ext = ".vcf"
	}
	sum := sha256.Sum256([]byte(w.UID))
	if w.UID == "" {
		sum = item.Sum(w.Text)
	}
	base := hex.EncodeToString(sum[:16])
	names := []string{string(w.Old.Ref), string(w.UID) + ext, base + ext}
	for n := 0; ; n++ {
		name := fmt.Sprint(base, "-", n, ext)
		if n < len(names) {
			if name = names[n]; !good(name) {
				continue
			}
		}
		if _, taken, err := read(tx, id, engine.Ref(name)); err != nil || !taken {
			return engine.Ref(name), err
		}
	}
}

// good reports whether a name can be the last part of a path anywhere.
func good(name string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }
	return name != "" && name[0] != '.' && len(name) <= 200 && utf8.ValidString(name) && strings.IndexFunc(name, control) < 0
}
