package ledger

import (
	"bytes"
	"database/sql"
	"encoding/gob"
	"encoding/json"

	"davbus.org/davbus/engine"
)

// NextJob gives a job number that was never used.
func (l *Ledger) NextJob() (engine.JobID, error) {
	var job int64
	err := l.do(func(t *tx) error {
		if _, err := t.one([]any{&job}, `SELECT value FROM facts WHERE name = 'job'`); err != nil {
			return err
		}
		job++
		return t.exec(`INSERT OR REPLACE INTO facts (name, value) VALUES ('job', ?)`, job)
	})
	return engine.JobID(job), fail("number a job in", err)
}

// FinishJob keeps the report of a job.
func (l *Ledger) FinishJob(r engine.Report) error {
	data, err := encode(r)
	if err != nil {
		return fail("keep a report in", err)
	}
	return fail("keep a report in", l.do(func(t *tx) error {
		return t.exec(`INSERT OR REPLACE INTO reports (job, data) VALUES (?, ?)`, r.Job, data)
	}))
}

// History gives reports, newest first. match may be nil.
func (l *Ledger) History(match func(engine.Report) bool, offset, limit int) ([]engine.Report, error) {
	rows, err := l.read.Query(`SELECT data FROM reports ORDER BY job DESC`)
	if err != nil {
		return nil, fail("read reports in", err)
	}
	defer rows.Close()
	var all []engine.Report
	for limit > 0 && rows.Next() {
		var data sql.RawBytes
		var r engine.Report
		if err := rows.Scan(&data); err != nil {
			return nil, fail("read reports in", err)
		}
		if decode(data, &r) != nil || match != nil && !match(r) {
			continue // one that cannot be read is not worth a failure
		}
		if offset--; offset < 0 {
			limit--
			all = append(all, r)
		}
	}
	return all, fail("read reports in", rows.Err())
}

// Report gives the report of one job; false if it is not kept.
func (l *Ledger) Report(job engine.JobID) (engine.Report, bool, error) {
	var data []byte
	var r engine.Report
	err := l.read.QueryRow(`SELECT data FROM reports WHERE job = ?`, job).Scan(&data)
	if err == sql.ErrNoRows {
		return r, false, nil
	}
	if err == nil {
		err = decode(data, &r)
	}
	return r, err == nil, fail("read a report in", err)
}

// A KnownCollection is what is remembered of a collection, found or not.
type KnownCollection struct {
	ID         string
	Collection engine.Collection // as last seen
	Gone       bool              // it was not there at the last look
}

// CollectionIDs are the ids once given to collections of an account, by identity.
func (l *Ledger) CollectionIDs(a engine.AccountID) (map[string]KnownCollection, error) {
	rows, err := l.read.Query(`SELECT identity, gone, data FROM collections WHERE account = ?`, bytesOf(a))
	if err != nil {
		return nil, fail("read collections in", err)
	}
	defer rows.Close()
	known := map[string]KnownCollection{}
	for rows.Next() {
		var identity string
		var k KnownCollection
		var data []byte
		if err := rows.Scan(&identity, &k.Gone, &data); err != nil {
			return nil, fail("read collections in", err)
		}
		if err := decode(data, &k.Collection); err != nil {
			return nil, l.condemn("what is known of a collection")
		}
		k.ID = k.Collection.ID
		known[identity] = k
	}
	return known, fail("read collections in", rows.Err())
}

// KeepCollection remembers a collection; ForgetCollection lets it go.
func (l *Ledger) KeepCollection(a engine.AccountID, identity string, k KnownCollection) error {
	k.Collection.ID = k.ID
	data, err := encode(k.Collection)
	if err != nil {
		return fail("keep a collection in", err)
	}
	return fail("keep a collection in", l.do(func(t *tx) error {
		return t.exec(`INSERT OR REPLACE INTO collections (account, identity, gone, data) VALUES (?, ?, ?, ?)`, bytesOf(a), bytesOf(identity), k.Gone, data)
	}))
}

func (l *Ledger) ForgetCollection(a engine.AccountID, identity string) error {
	return fail("forget a collection in", l.do(func(t *tx) error {
		return t.exec(`DELETE FROM collections WHERE account = ? AND identity = ?`, bytesOf(a), bytesOf(identity))
	}))
}

// Note and Noted keep small facts of the keeper by name, as JSON.
func (l *Ledger) Note(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fail("keep a note in", err)
	}
	return fail("keep a note in", l.do(func(t *tx) error {
		return t.exec(`INSERT OR REPLACE INTO notes (name, value) VALUES (?, ?)`, bytesOf(name), data)
	}))
}

func (l *Ledger) Noted(name string, into any) (bool, error) {
	var data []byte
	err := l.read.QueryRow(`SELECT value FROM notes WHERE name = ?`, bytesOf(name)).Scan(&data)
	if err == sql.ErrNoRows {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return err == nil, fail("read a note in", err)
}

func (l *Ledger) ForgetNotes(prefix string) error {
	return fail("forget notes in", l.do(func(t *tx) error {
		return t.exec(`DELETE FROM notes WHERE substr(name, 1, ?) = ?`, len(prefix), bytesOf(prefix))
	}))
}

// ResetGroup forgets what was in step: the next sync compares everything.
// DropGroup and DropAccount forget a group or an account wholly. None of them
// forgets history.
func (l *Ledger) ResetGroup(g engine.GroupID) error { return l.DropGroup(g) }

func (l *Ledger) DropGroup(g engine.GroupID) error {
	return fail("forget a group in", l.do(func(t *tx) error {
		return t.exec(`DELETE FROM sets WHERE grp = ?`, bytesOf(g))
	}))
}

func (l *Ledger) DropAccount(a engine.AccountID) error {
	prefix := bytesOf(string(a) + "/")
	return fail("forget an account in", l.do(func(t *tx) error {
		for _, query := range []string{
			`DELETE FROM members WHERE substr(member, 1, ?) = ?`,
			`DELETE FROM metas WHERE substr(member, 1, ?) = ?`,
			`DELETE FROM problems WHERE substr(member, 1, ?) = ?`,
			`DELETE FROM conflicts WHERE id IN (SELECT conflict_id FROM conflict_sides WHERE substr(member, 1, ?) = ?)`,
		} {
			if err := t.exec(query, len(prefix), prefix); err != nil {
				return err
			}
		}
		return t.exec(`DELETE FROM collections WHERE account = ?`, bytesOf(a))
	}))
}

// encode keeps every byte of names that are no text, which JSON would not.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(v)
	return buf.Bytes(), err
}

func decode(data []byte, into any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(into) }
