package ledger

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// A Conflict is what a run stores of an item that members changed in different
// ways.
type Conflict struct {
	ID        string // given by the ledger
	Key       string
	UID       engine.UID
	Item      string
	Component string
	Kind      string
	Summary   string
	Sides     []Side
	Base      TextID
	Proposal  TextID
	Clashes   []string
	Skipped   bool // a person wants it left alone while nobody moves
	Revision  string
}

// A Side is one member's copy in a conflict.
type Side struct {
	Member engine.MemberID
	Text   TextID
	Gone   bool
}

// Revise gives a conflict the revision that differs once a member has moved.
func (c *Conflict) Revise() {
	h := sha256.New()
	for _, s := range c.Sides {
		h.Write([]byte(string(s.Member) + "\x00" + strconv.FormatInt(int64(s.Text), 10) + strconv.FormatBool(s.Gone) + "\x00"))
	}
	c.Revision = hex.EncodeToString(h.Sum(nil)[:8])
}

// PutConflict stores a conflict. One that is known keeps its id and its age; one
// that was skipped stays so until somebody moves.
func (c *Change) PutConflict(f *Conflict) error {
	f.Revise()
	var id int64
	var revision string
	found, err := c.one([]any{&id, &revision}, `SELECT id, revision FROM conflicts WHERE set_id = ? AND key = ?`, c.set, bytesOf(f.Key))
	if err != nil {
		return err
	}
	if !found {
		id, err = c.insert(`INSERT INTO conflicts (set_id, key, uid, item, component, kind, detected, skipped, revision, base, proposal, clashes, summary)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.set, bytesOf(f.Key), bytesOf(f.UID), bytesOf(f.Item), f.Component, f.Kind, micros(c.now),
			f.Skipped, f.Revision, f.Base, f.Proposal, strings.Join(f.Clashes, ","), f.Summary)
	} else if revision != f.Revision {
		err = c.exec(`UPDATE conflicts SET uid = ?, item = ?, component = ?, kind = ?, skipped = ?, revision = ?, base = ?, proposal = ?, clashes = ?, summary = ? WHERE id = ?`,
			bytesOf(f.UID), bytesOf(f.Item), f.Component, f.Kind, f.Skipped, f.Revision, f.Base, f.Proposal, strings.Join(f.Clashes, ","), f.Summary, id)
	} else {
		return nil
	}
	if err != nil {
		return err
	}
	f.ID = conflictName(id)
	return c.putSides(id, f.Sides)
}

func (c *Change) putSides(id int64, sides []Side) error {
	if err := c.exec(`DELETE FROM conflict_sides WHERE conflict_id = ?`, id); err != nil {
		return err
	}
	for i, s := range sides {
		if err := c.exec(`INSERT INTO conflict_sides (conflict_id, place, member, gone, text) VALUES (?, ?, ?, ?, ?)`, id, i, bytesOf(s.Member), s.Gone, s.Text); err != nil {
			return err
		}
	}
	return nil
}

// SkipConflict leaves a conflict alone until a member moves.
func (c *Change) SkipConflict(id string) error {
	return c.exec(`UPDATE conflicts SET skipped = 1 WHERE id = ?`, conflictNumber(id))
}

// DropConflict closes the conflict about a key.
func (c *Change) DropConflict(key string) error {
	return c.exec(`DELETE FROM conflicts WHERE set_id = ? AND key = ?`, c.set, bytesOf(key))
}

// Conflicts gives what the set has, skipped ones too.
func (s *Set) Conflicts() ([]Conflict, error) {
	var all []Conflict
	err := s.ledger.conflicts(`WHERE s.grp = ? AND s.name = ? AND s.kind = ?`, func(c Conflict, _ engine.ConflictState) bool {
		all = append(all, c)
		return true
	}, bytesOf(s.key.Group), bytesOf(s.key.ID), s.key.Kind)
	return all, err
}

func conflictName(id int64) string { return "c" + strconv.FormatInt(id, 10) }

// conflictNumber is -1 for what is no id of ours.
func conflictNumber(id string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(id, "c"), 10, 64)
	if err != nil || conflictName(n) != id {
		return -1
	}
	return n
}

// Conflicts, Problems and Held page through what is open, oldest first.
// match may be nil.
func (l *Ledger) Conflicts(match func(engine.ConflictState) bool, offset, limit int) ([]engine.ConflictState, error) {
	var all []engine.ConflictState
	err := l.conflicts(`WHERE c.skipped = 0`, func(_ Conflict, s engine.ConflictState) bool {
		if match != nil && !match(s) {
			return true
		}
		if offset--; offset < 0 && limit > 0 {
			limit--
			all = append(all, s)
		}
		return limit > 0
	})
	return all, err
}

func (l *Ledger) conflicts(where string, take func(Conflict, engine.ConflictState) bool, args ...any) error {
	rows, err := l.read.Query(`SELECT c.id, s.grp, s.name, c.key, c.uid, c.item, c.component, c.kind, c.detected, c.skipped, c.revision, c.base, c.proposal, c.clashes, c.summary,
		d.member, d.gone, d.text
		FROM conflicts c JOIN sets s ON s.id = c.set_id LEFT JOIN conflict_sides d ON d.conflict_id = c.id `+where+` ORDER BY c.id, d.place`, args...)
	if err != nil {
		return fail("read conflicts in", err)
	}
	defer rows.Close()
	var c Conflict
	var st engine.ConflictState
	var last int64
	for rows.Next() {
		var id, at int64
		var clashes string
		var member []byte
		var gone sql.NullBool
		var text sql.NullInt64
		var next Conflict
		next2 := engine.ConflictState{State: "open"}
		if err := rows.Scan(&id, &next2.Group, &next2.Set, &next.Key, &next.UID, &next.Item, &next.Component, &next.Kind, &at, &next.Skipped, &next.Revision,
			&next.Base, &next.Proposal, &clashes, &next.Summary, &member, &gone, &text); err != nil {
			return fail("read conflicts in", err)
		}
		if id != last {
			if last != 0 && !take(c, st) {
				return nil
			}
			last, c, st = id, next, next2
			c.ID = conflictName(id)
			if clashes != "" {
				c.Clashes = strings.Split(clashes, ",")
			}
			st.ID, st.UID, st.ItemName, st.Component, st.Kind, st.Detected = c.ID, c.UID, c.Item, c.Component, c.Kind, timeOf(at)
		}
		if text.Valid {
			c.Sides = append(c.Sides, Side{engine.MemberID(member), TextID(text.Int64), gone.Bool})
			st.Members = append(st.Members, engine.MemberID(member))
		}
	}
	if err := rows.Err(); err != nil {
		return fail("read conflicts in", err)
	}
	if last != 0 {
		take(c, st)
	}
	return nil
}

// ConflictTexts gives the texts of an open conflict.
func (l *Ledger) ConflictTexts(id string) (engine.ConflictTexts, error) {
	var c Conflict
	if err := l.conflicts(`WHERE c.skipped = 0 AND c.id = ?`, func(found Conflict, _ engine.ConflictState) bool {
		c = found
		return false
	}, conflictNumber(id)); err != nil {
		return engine.ConflictTexts{}, err
	}
	if c.ID == "" {
		return engine.ConflictTexts{}, engine.Fail(engine.NotFound, "read conflict", id, "it is not open (any more)")
	}
	t := engine.ConflictTexts{Members: map[engine.MemberID][]byte{}, Clashes: c.Clashes, Summary: c.Summary, Revision: c.Revision}
	var err error
	if t.Base, err = l.text(c.Base); err != nil {
		return t, err
	}
	if t.Proposal, err = l.text(c.Proposal); err != nil {
		return t, err
	}
	for _, s := range c.Sides {
		if t.Members[s.Member], err = l.text(s.Text); err != nil {
			return t, err
		}
	}
	return t, nil
}
