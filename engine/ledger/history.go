package ledger

import (
	"database/sql"
	"time"

	"davbus.org/davbus/engine"
)

// Keep puts a text into history.
func (t *tx) Keep(v engine.Version, text TextID) (int64, error) {
	if v.Replaced.IsZero() {
		v.Replaced = t.now
	}
	return t.insert(`INSERT INTO history (member, uid, item, at, job, reason, text, size)
		SELECT ?, ?, ?, ?, ?, ?, id, length(data) FROM texts WHERE id = ?`,
		bytesOf(v.Member), bytesOf(v.UID), bytesOf(v.Item), micros(v.Replaced), v.Job, v.Reason, text)
}

// Unkeep takes a version out of history: what it was about was not overwritten.
func (t *tx) Unkeep(version int64) error {
	return t.exec(`DELETE FROM history WHERE id = ?`, version)
}

// Keep puts a text into history before something outside a run overwrites it.
func (l *Ledger) Keep(v engine.Version, text []byte) error {
	return fail("keep a version in", l.do(func(t *tx) error {
		id, err := t.Text(text)
		if err == nil {
			_, err = t.Keep(v, id)
		}
		return err
	}))
}

const versionColumns = `id, member, uid, item, at, job, reason`

// Versions lists history, newest first. item is a name or UID, or "" for all.
func (l *Ledger) Versions(m engine.MemberID, item string, offset, limit int) ([]engine.Version, error) {
	return l.versions(`SELECT `+versionColumns+` FROM history WHERE member = ? AND (? = x'' OR item = ? OR uid = ?) ORDER BY id DESC LIMIT ? OFFSET ?`,
		bytesOf(m), bytesOf(item), bytesOf(item), bytesOf(item), limit, offset)
}

// JobVersions lists what one job overwrote or deleted, oldest first; m is "" for
// every member.
func (l *Ledger) JobVersions(job engine.JobID, m engine.MemberID) ([]engine.Version, error) {
	return l.versions(`SELECT `+versionColumns+` FROM history WHERE job = ? AND (? = x'' OR member = ?) ORDER BY id`, job, bytesOf(m), bytesOf(m))
}

func (l *Ledger) versions(query string, args ...any) ([]engine.Version, error) {
	rows, err := l.read.Query(query, args...)
	if err != nil {
		return nil, fail("read the history in", err)
	}
	defer rows.Close()
	var all []engine.Version
	for rows.Next() {
		var v engine.Version
		var at int64
		if err := rows.Scan(&v.ID, &v.Member, &v.UID, &v.Item, &at, &v.Job, &v.Reason); err != nil {
			return nil, fail("read the history in", err)
		}
		v.Replaced = timeOf(at)
		all = append(all, v)
	}
	return all, fail("read the history in", rows.Err())
}

// VersionText gives the text of one version.
func (l *Ledger) VersionText(id uint64) ([]byte, error) {
	var text TextID
	err := l.read.QueryRow(`SELECT text FROM history WHERE id = ?`, id).Scan(&text)
	if err == sql.ErrNoRows {
		return nil, engine.Fail(engine.NotFound, "read version", "", "history has no version %d (any more)", id)
	}
	if err != nil {
		return nil, fail("read the history in", err)
	}
	return l.text(text)
}

// Prune bounds what is kept: history older than age or beyond size bytes, the
// oldest first; reports beyond a number; and the texts that nobody names any
// more.
func (l *Ledger) Prune(age time.Duration, size int64, reports int) error {
	return fail("prune", l.do(func(t *tx) error {
		if err := t.exec(`DELETE FROM history WHERE at < ? AND id NOT IN (SELECT history FROM intents)`, micros(t.now.Add(-age))); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM history WHERE id NOT IN (SELECT history FROM intents) AND id IN
			(SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id DESC) AS upto FROM history) WHERE upto > ?)`, size); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM reports WHERE job <= (SELECT job FROM reports ORDER BY job DESC LIMIT 1 OFFSET ?)`, reports); err != nil {
			return err
		}
		return t.exec(`DELETE FROM texts WHERE id NOT IN (
			SELECT text FROM items UNION SELECT text FROM marks UNION SELECT text FROM seen UNION SELECT text FROM intents
			UNION SELECT text FROM history UNION SELECT base FROM conflicts UNION SELECT proposal FROM conflicts UNION SELECT text FROM conflict_sides)`)
	}))
}
