package ledger

import "database/sql"

// AtRest tells that the set came to rest: everything was in step, nothing was
// open, under the circumstances that a caller put into how. Then only the
// members, which are few, need be looked at. It is "" once anything was changed.
func (s *Set) AtRest() (how string, members []Member, err error) {
	var set int64
	var rest []byte
	err = s.ledger.read.QueryRow(`SELECT id, rest FROM sets WHERE grp = ? AND name = ? AND kind = ?`, bytesOf(s.key.Group), bytesOf(s.key.ID), s.key.Kind).Scan(&set, &rest)
	if err == sql.ErrNoRows || err == nil && len(rest) == 0 {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fail("read", err)
	}
	tx, err := s.ledger.read.begin(membersQuery)
	if err != nil {
		return "", nil, fail("read", err)
	}
	defer tx.Rollback()
	var b Book
	_, err = b.members(tx, set)
	return string(rest), b.Members, fail("read", err)
}

// ComeToRest records that the set is at rest, and how many items each member has.
func (s *Set) ComeToRest(how string, items map[int64]int) error {
	return fail("write", s.ledger.do(func(t *tx) error {
		id, err := t.setID(s.key)
		if err != nil {
			return err
		}
		for member, n := range items {
			if err := t.exec(`UPDATE members SET items = ? WHERE id = ?`, n, member); err != nil {
				return err
			}
		}
		return t.exec(`UPDATE sets SET rest = ? WHERE id = ?`, bytesOf(how), id)
	}))
}
