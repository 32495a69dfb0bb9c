package ledger

import (
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"time"

	"davbus.org/davbus/engine"
)

// A Book is all that a set knows, but for the texts.
type Book struct {
	Members []Member
	Items   []Item
	Marks   []Mark // of one item together, in the order of Items
	Seen    []Seen
	Intents []Intent
}

// A Member is one storage that the set has surveyed: a name at one identity.
// Another identity under the same name is another member.
type Member struct {
	ID       int64
	Name     engine.MemberID
	Identity string
	Token    engine.Token
	State    string
	Surveyed time.Time // last complete survey; zero if there was none
	Items    int       // it had when the set came to rest
}

// An Item is one item of the set, and what was agreed about it.
type Item struct {
	ID         int64 // 0 until it is in the ledger
	Key        string
	UID        engine.UID
	Version    uint64
	Sum        engine.Sum
	Text       TextID
	Components string // separated by commas
	Job        engine.JobID
	Origin     engine.MemberID // whose text it is; "" if it was merged or given
	Rule       string          // what made it so, for people: "new", "edited", "merged", …
	At         time.Time
}

// A Mark is how a member held an item when it last was in step.
type Mark struct {
	Item    int64
	Member  int64
	Ref     engine.Ref // "" if that name is gone, and which it has now cannot be told
	Etag    engine.Etag
	Sum     engine.Sum
	Version uint64
	Text    TextID
	UID     engine.UID // that the text bears: some storages give their own
	Gone    bool       // when last looked at, it was not there
}

// Held tells that the member has the item, for all that is known. It is false
// where there is no mark.
func (m *Mark) Held() bool { return m != nil && !m.Gone }

// A Seen is an item of a member that is not as its mark says, or has no mark:
// what a survey learned is kept, so that nothing is asked twice.
type Seen struct {
	Member     int64
	Ref        engine.Ref
	Etag       engine.Etag
	Sum        engine.Sum
	Text       TextID
	UID        engine.UID
	Components string
	Status     Status
}

// A Status says what a Seen is good for.
type Status uint8

const (
	Known   Status = iota // its text was read
	Written               // we wrote this text and have not seen what the member made of it
	Pending               // it is there, and was not read: asked again
	Broken                // it cannot be used; asked again when its etag moves, or by a slow sync
)

// An Intent is a write that was begun and whose outcome is not recorded.
type Intent struct {
	ID      int64
	Member  int64
	Key     string
	Verb    engine.Verb
	Version uint64 // that the member will hold
	Old     engine.Head
	Sum     engine.Sum // of Text
	Text    TextID     // what is written; 0 for a deletion
	Was     TextID     // what it overwrites or deletes; kept in history
	Job     engine.JobID
	History int64 // given by Intend
}

// What a book is read with; the argument of all but the first is the set.
const (
	setQuery     = `SELECT id FROM sets WHERE grp = ? AND name = ? AND kind = ?`
	membersQuery = `SELECT id, member, identity, token, state, surveyed, items FROM members WHERE set_id = ? ORDER BY id`
	itemsQuery   = `SELECT id, key, uid, version, sum, text, components, job, origin, rule, at, checksum FROM items WHERE set_id = ? ORDER BY id`
	marksQuery   = `SELECT item_id, member_id, ref, etag, sum, version, text, uid, gone, checksum FROM marks
		WHERE member_id IN (SELECT id FROM members WHERE set_id = ?)`
	seenQuery = `SELECT member_id, ref, etag, sum, text, uid, components, status FROM seen
		WHERE member_id IN (SELECT id FROM members WHERE set_id = ?)`
	intentsQuery = `SELECT id, member_id, key, verb, version, ref, etag, sum, text, was, history, job FROM intents
		WHERE member_id IN (SELECT id FROM members WHERE set_id = ?) ORDER BY id`
)

// Load reads the book.
func (s *Set) Load() (*Book, error) {
	b := &Book{}
	tx, err := s.ledger.read.begin(setQuery, membersQuery, itemsQuery, marksQuery, seenQuery, intentsQuery)
	if err != nil {
		return nil, fail("read", err)
	}
	defer tx.Rollback()
	var set int64
	err = tx.queryRow(setQuery, bytesOf(s.key.Group), bytesOf(s.key.ID), s.key.Kind).Scan(&set)
	if err == sql.ErrNoRows {
		return b, nil
	}
	if err != nil {
		return nil, fail("read", err)
	}
	damaged := ""
	for _, part := range []func(*view, int64) (string, error){b.members, b.items, b.marks, b.seen, b.intents} {
		what, err := part(tx, set)
		if err != nil {
			return nil, fail("read", err)
		}
		if what != "" {
			damaged = what
		}
	}
	if damaged != "" {
		return nil, s.ledger.condemn(damaged)
	}
	return b, nil
}

func (b *Book) members(tx *view, set int64) (string, error) {
	return "", each(tx, membersQuery, set, func(scan scanner) error {
		var m Member
		var at int64
		err := scan(&m.ID, &m.Name, &m.Identity, &m.Token, &m.State, &at, &m.Items)
		m.Surveyed = timeOf(at)
		b.Members = append(b.Members, m)
		return err
	})
}

func (b *Book) items(tx *view, set int64) (damaged string, err error) {
	var sum sql.RawBytes
	err = each(tx, itemsQuery, set, func(scan scanner) error {
		var i Item
		var at int64
		var check uint32
		err := scan(&i.ID, &i.Key, &i.UID, &i.Version, &sum, &i.Text, &i.Components, &i.Job, &i.Origin, &i.Rule, &at, &check)
		copy(i.Sum[:], sum)
		i.At = timeOf(at)
		if check != i.check() {
			damaged = "what was agreed about an item"
		}
		b.Items = append(b.Items, i)
		return err
	})
	return damaged, err
}

func (b *Book) marks(tx *view, set int64) (damaged string, err error) {
	var sum sql.RawBytes
	err = each(tx, marksQuery, set, func(scan scanner) error {
		var m Mark
		var check uint32
		err := scan(&m.Item, &m.Member, &m.Ref, &m.Etag, &sum, &m.Version, &m.Text, &m.UID, &m.Gone, &check)
		copy(m.Sum[:], sum)
		if check != m.check() {
			damaged = "the mark of an item"
		}
		b.Marks = append(b.Marks, m)
		return err
	})
	return damaged, err
}

func (b *Book) seen(tx *view, set int64) (string, error) {
	var sum sql.RawBytes
	return "", each(tx, seenQuery, set, func(scan scanner) error {
		var s Seen
		err := scan(&s.Member, &s.Ref, &s.Etag, &sum, &s.Text, &s.UID, &s.Components, &s.Status)
		copy(s.Sum[:], sum)
		b.Seen = append(b.Seen, s)
		return err
	})
}

func (b *Book) intents(tx *view, set int64) (string, error) {
	var sum sql.RawBytes
	return "", each(tx, intentsQuery, set, func(scan scanner) error {
		var i Intent
		err := scan(&i.ID, &i.Member, &i.Key, &i.Verb, &i.Version, &i.Old.Ref, &i.Old.Etag, &sum, &i.Text, &i.Was, &i.History, &i.Job)
		copy(i.Sum[:], sum)
		b.Intents = append(b.Intents, i)
		return err
	})
}

type scanner func(into ...any) error

func each(tx *view, query string, arg any, row func(scanner) error) error {
	rows, err := tx.query(query, arg)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// check is a checksum over everything that decides what a run does.
func (i *Item) check() uint32 {
	h := crcOf(i.Key, string(i.UID), string(i.Sum[:]))
	return crcNumbers(h, i.Version, uint64(i.Text))
}

func (m *Mark) check() uint32 {
	gone := uint64(0)
	if m.Gone {
		gone = 1
	}
	h := crcOf(string(m.Ref), string(m.Etag), string(m.Sum[:]), string(m.UID))
	return crcNumbers(h, m.Version, uint64(m.Text), uint64(m.Item), uint64(m.Member), gone)
}

func crcOf(parts ...string) uint32 {
	var h uint32
	var buf [256]byte
	for _, p := range parts {
		h = crc32.Update(h, crc32.IEEETable, append(append(buf[:0], p...), 0))
	}
	return h
}

func crcNumbers(h uint32, numbers ...uint64) uint32 {
	var buf [8]byte
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(buf[:], n)
		h = crc32.Update(h, crc32.IEEETable, buf[:])
	}
	return h
}
