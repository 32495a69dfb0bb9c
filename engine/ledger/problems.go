package ledger

import (
	"errors"

	"davbus.org/davbus/engine"
)

// A Problem is one item that could not be synced, as a run stores it; with Held,
// an op that waits for a person.
type Problem struct {
	engine.Problem
	Key     string
	Verb    engine.Verb // of the op that failed, or is held
	Version uint64      // of the item when it was held
	Sum     engine.Sum  // of the text that could not be written, or would be lost
}

// PutProblem stores a problem in the place of an earlier one with the same item.
func (c *Change) PutProblem(p Problem) error {
	if p.Since.IsZero() {
		p.Since = c.now
	}
	return c.exec(`INSERT OR REPLACE INTO problems (set_id, member, key, held, item, uid, kind, message, since, tries, next, verb, version, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.set, bytesOf(p.Member), bytesOf(p.Key), p.Held, bytesOf(p.Item), bytesOf(p.UID), p.Failure.Kind.String(), bytesOf(p.Failure.Message),
		micros(p.Since), p.Tries, micros(p.NextTry), p.Verb, p.Version, p.Sum[:])
}

// DropProblem forgets one.
func (c *Change) DropProblem(member engine.MemberID, key string, held bool) error {
	return c.exec(`DELETE FROM problems WHERE set_id = ? AND member = ? AND key = ? AND held = ?`, c.set, bytesOf(member), bytesOf(key), held)
}

// Problems gives what the set has.
func (s *Set) Problems() ([]Problem, error) {
	var all []Problem
	err := s.ledger.problems(`WHERE s.grp = ? AND s.name = ? AND s.kind = ?`, func(p Problem) bool {
		all = append(all, p)
		return true
	}, bytesOf(s.key.Group), bytesOf(s.key.ID), s.key.Kind)
	return all, err
}

func (l *Ledger) Problems(match func(engine.Problem) bool, offset, limit int) ([]engine.Problem, error) {
	var all []engine.Problem
	err := l.problems(``, func(p Problem) bool {
		if match != nil && !match(p.Problem) {
			return true
		}
		if offset--; offset < 0 && limit > 0 {
			limit--
			all = append(all, p.Problem)
		}
		return limit > 0
	})
	return all, err
}

func (l *Ledger) problems(where string, take func(Problem) bool, args ...any) error {
	rows, err := l.read.Query(`SELECT s.grp, p.member, p.key, p.held, p.item, p.uid, p.kind, p.message, p.since, p.tries, p.next, p.verb, p.version, p.sum
		FROM problems p JOIN sets s ON s.id = p.set_id `+where+` ORDER BY p.since, p.id`, args...)
	if err != nil {
		return fail("read problems in", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Problem
		var kind string
		var since, next int64
		var sum []byte
		if err := rows.Scan(&p.Group, &p.Member, &p.Key, &p.Held, &p.Item, &p.UID, &kind, &p.Failure.Message, &since, &p.Tries, &next, &p.Verb, &p.Version, &sum); err != nil {
			return fail("read problems in", err)
		}
		p.Failure.Kind, p.Failure.Set = kindOf(kind), true
		p.Since, p.NextTry = timeOf(since), timeOf(next)
		copy(p.Sum[:], sum)
		if !take(p) {
			return nil
		}
	}
	return fail("read problems in", rows.Err())
}

// kindOf reads a kind by its name, which stays when numbers move.
func kindOf(name string) engine.Kind {
	for k := range engine.KindCount {
		if k.String() == name {
			return k
		}
	}
	return engine.Internal
}

// Counts tells how much is open in one group.
func (l *Ledger) Counts(g engine.GroupID) (conflicts, problems, held int, err error) {
	err = l.read.QueryRow(`SELECT
		(SELECT count(*) FROM conflicts c JOIN sets s ON s.id = c.set_id WHERE s.grp = ?1 AND c.skipped = 0),
		(SELECT count(*) FROM problems p JOIN sets s ON s.id = p.set_id WHERE s.grp = ?1 AND p.held = 0),
		(SELECT count(*) FROM problems p JOIN sets s ON s.id = p.set_id WHERE s.grp = ?1 AND p.held = 1)`, bytesOf(g)).Scan(&conflicts, &problems, &held)
	return conflicts, problems, held, fail("count in", err)
}

// A Meta is one property of a collection, as a member had it when it last was in
// step. The member "" stands for what was agreed.
type Meta struct {
	Member   engine.MemberID
	Identity string
	Key      engine.MetaKey
	Present  bool
	Value    string
	Unkept   bool // the member cannot keep it: it is not asked again
}

// Metas gives what the set knows of its members' properties.
func (s *Set) Metas() ([]Meta, error) {
	rows, err := s.ledger.read.Query(`SELECT member, identity, m.name, present, value, unkept FROM metas m JOIN sets s ON s.id = m.set_id
		WHERE s.grp = ? AND s.name = ? AND s.kind = ?`, bytesOf(s.key.Group), bytesOf(s.key.ID), s.key.Kind)
	if err != nil {
		return nil, fail("read properties in", err)
	}
	defer rows.Close()
	var all []Meta
	for rows.Next() {
		var m Meta
		if err := rows.Scan(&m.Member, &m.Identity, &m.Key, &m.Present, &m.Value, &m.Unkept); err != nil {
			return nil, fail("read properties in", err)
		}
		all = append(all, m)
	}
	return all, fail("read properties in", rows.Err())
}

// PutMeta stores one property.
func (c *Change) PutMeta(m Meta) error {
	return c.exec(`INSERT OR REPLACE INTO metas (set_id, member, identity, name, present, value, unkept) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		c.set, bytesOf(m.Member), bytesOf(m.Identity), string(m.Key), m.Present, bytesOf(m.Value), m.Unkept)
}

// ErrNotOpen is the cause when a conflict is settled that is not there.
var ErrNotOpen = errors.New("the conflict is not open (any more)")
