package ledger

import (
	"database/sql"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// renewSums makes every sum again from its text if they are of another scheme.
// It may be cut off and begun again. Keys are names once given and stay.
func (l *Ledger) renewSums() error {
	var scheme int
	err := l.read.QueryRow(`SELECT value FROM facts WHERE name = 'sum-version'`).Scan(&scheme)
	if err != nil && err != sql.ErrNoRows {
		return damage(err)
	}
	if scheme == item.SumVersion {
		return nil
	}
	keys, err := l.setKeys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := l.Set(k).renewSums(); err != nil {
			return err
		}
	}
	return l.do(func(t *tx) error {
		return t.exec(`INSERT OR REPLACE INTO facts (name, value) VALUES ('sum-version', ?)`, item.SumVersion)
	})
}

func (l *Ledger) setKeys() ([]SetKey, error) {
	rows, err := l.read.Query(`SELECT grp, name, kind FROM sets`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []SetKey
	for rows.Next() {
		var k SetKey
		if err := rows.Scan(&k.Group, &k.ID, &k.Kind); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

func (s *Set) renewSums() error {
	b, err := s.Load()
	if err != nil {
		return err
	}
	known := map[TextID]engine.Sum{}
	sum := func(id TextID, old engine.Sum) (engine.Sum, error) {
		if got, ok := known[id]; ok || id == 0 {
			if id == 0 {
				return old, nil
			}
			return got, nil
		}
		text, err := s.Text(id)
		if err == nil {
			known[id] = item.Sum(text)
		}
		return known[id], err
	}
	return s.Do(func(c *Change) error { return c.renew(b, sum) })
}

func (c *Change) renew(b *Book, sum func(TextID, engine.Sum) (engine.Sum, error)) (err error) {
	for _, i := range b.Items {
		if i.Sum, err = sum(i.Text, i.Sum); err == nil {
			err = c.PutItem(&i)
		}
		if err != nil {
			return err
		}
	}
	for _, m := range b.Marks {
		if m.Sum, err = sum(m.Text, m.Sum); err == nil {
			err = c.PutMark(m)
		}
		if err != nil {
			return err
		}
	}
	for _, s := range b.Seen {
		if s.Sum, err = sum(s.Text, s.Sum); err == nil {
			err = c.PutSeen(s)
		}
		if err != nil {
			return err
		}
	}
	for _, i := range b.Intents {
		if i.Sum, err = sum(i.Text, i.Sum); err == nil {
			err = c.exec(`UPDATE intents SET sum = ? WHERE id = ?`, i.Sum[:], i.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
