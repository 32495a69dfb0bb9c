package plan

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"davbus.org/davbus/engine"
)

// An Item is one item as a survey found it at one member.
type Item struct {
	engine.Head
	Raw    engine.Sum // of its text; zero if that could not be read
	UID    engine.UID // that the text bears, or bore when it was last read
	Unread bool       // it is there, but its text is not known, or not for this set
}

// A Survey is what a member was found to have. Complete says that what it does
// not name is not there.
type Survey struct {
	Complete bool
	Items    []Item
}

// A Clash is several items of one member that claim to be one.
type Clash struct {
	Member int
	Key    Key
	Refs   []engine.Ref
}

// Match fills in what every member was seen to have of each row, and adds rows
// for what is new. A ref that has a mark keeps its row, even when its text gains
// or loses its UID, or bears one that its storage gave; with another UID it is
// another item. Of a row that several
// items of one member claim nothing is known there.
func Match(rows []Row, surveys []Survey) ([]Row, []Clash) {
	m := matcher{rows: slices.Clone(rows), members: len(surveys)}
	for i := range m.rows {
		m.rows[i].Seen = make([]Seen, len(surveys))
	}
	m.index()
	held := make([]map[int]bool, len(surveys))
	for i, s := range surveys {
		held[i] = m.member(i, s)
	}
	for i, s := range surveys {
		m.finish(i, s, held[i])
	}
	return m.rows, m.clashes
}

type matcher struct {
	rows    []Row
	members int
	byUID   map[engine.UID]int
	byKey   map[Key]int
	bySum   map[engine.Sum]int // of agreed texts without UID
	clashes []Clash
}

func (m *matcher) index() {
	m.byUID = make(map[engine.UID]int, len(m.rows))
	m.byKey = make(map[Key]int, len(m.rows))
	m.bySum = map[engine.Sum]int{}
	for i := range m.rows {
		m.enter(i)
	}
}

func (m *matcher) enter(i int) {
	r := &m.rows[i]
	m.byKey[r.Key] = i
	if r.UID != "" {
		m.byUID[r.UID] = i
	} else {
		m.bySum[r.Sum] = i
	}
}

// member places the items of one member: first those whose ref has a mark, so
// that no stranger takes their row. It gives the rows about which nothing can be
// said.
func (m *matcher) member(n int, s Survey) map[int]bool {
	byRef := make(map[engine.Ref]int, len(m.rows))
	for i := range m.rows {
		if mark := m.rows[i].Marks[n]; mark != nil && mark.Ref != "" {
			byRef[mark.Ref] = i
		}
	}
	claims := map[int][]Item{} // of rows with more than one claim
	held := map[int]bool{}
	var rest []Item
	for _, it := range s.Items {
		row, marked := byRef[it.Ref]
		switch {
		case marked && it.Unread:
			held[row] = true
		case marked && m.stays(row, n, it):
			m.place(row, n, it, claims)
		case !it.Unread:
			rest = append(rest, it)
		}
	}
	orphans := m.orphans(n, rest)
	for _, it := range rest {
		row, fresh := m.find(it, orphans)
		if fresh {
			row = m.add(it)
		}
		m.place(row, n, it, claims)
	}
	m.contest(n, claims, held, byRef)
	return held
}

// stays tells whether a marked ref still holds the item of its row.
func (m *matcher) stays(row, n int, it Item) bool {
	r := &m.rows[row]
	return it.Raw == r.Marks[n].Sum || r.UID == "" || it.UID == "" || it.UID == r.UID || it.UID == r.Marks[n].UID
}

func (m *matcher) place(row, n int, it Item, claims map[int][]Item) {
	seen := &m.rows[row].Seen[n]
	if seen.Is == Present && seen.Ref != it.Ref {
		if len(claims[row]) == 0 {
			claims[row] = []Item{{Head: seen.Head}}
		}
		claims[row] = append(claims[row], it)
		return
	}
	*seen = Seen{Present, it.Head, it.Raw, it.Raw}
}

// orphans are the rows without UID whose marked ref is not there, by the sum of
// the mark: an item of that sum was only renamed.
func (m *matcher) orphans(n int, rest []Item) map[engine.Sum]int {
	if !slices.ContainsFunc(rest, func(it Item) bool { return it.UID == "" }) {
		return nil
	}
	orphans := map[engine.Sum]int{}
	for i := range m.rows {
		if r := &m.rows[i]; r.UID == "" && r.Marks[n] != nil && !r.Marks[n].Gone && r.Seen[n].Is != Present {
			orphans[r.Marks[n].Sum] = i
		}
	}
	return orphans
}

// find looks for the row of an item without a mark.
func (m *matcher) find(it Item, orphans map[engine.Sum]int) (row int, fresh bool) {
	if it.UID != "" {
		row, known := m.byUID[it.UID]
		return row, !known
	}
	if row, known := orphans[it.Raw]; known {
		delete(orphans, it.Raw)
		return row, false
	}
	row, known := m.bySum[it.Raw]
	return row, !known
}

func (m *matcher) add(it Item) int {
	key := Key("u:" + string(it.UID))
	if it.UID == "" {
		key = Key("s:" + hex.EncodeToString(it.Raw[:]))
	}
	for n, first := 2, key; ; n++ {
		if _, taken := m.byKey[key]; !taken {
			break
		}
		key = first + Key("#"+strconv.Itoa(n))
	}
	m.rows = append(m.rows, Row{Key: key, UID: it.UID, Sum: it.Raw, Marks: make([]*Mark, m.members), Seen: make([]Seen, m.members)})
	m.enter(len(m.rows) - 1)
	return len(m.rows) - 1
}

// contest makes nothing of rows that several items claim.
func (m *matcher) contest(n int, claims map[int][]Item, held map[int]bool, byRef map[engine.Ref]int) {
	for _, row := range slices.Sorted(maps.Keys(claims)) {
		c := Clash{Member: n, Key: m.rows[row].Key}
		for _, it := range claims[row] {
			c.Refs = append(c.Refs, it.Ref)
			// A marked ref that takes part has not let its own row go.
			if own, marked := byRef[it.Ref]; marked {
				held[own] = true
			}
		}
		slices.Sort(c.Refs)
		m.clashes = append(m.clashes, c)
		held[row] = true
	}
}

// finish tells what is absent, when every row is known.
func (m *matcher) finish(n int, s Survey, held map[int]bool) {
	for _, it := range s.Items {
		if row, known := m.byUID[it.UID]; known && it.Unread && it.UID != "" {
			held[row] = true // it is there, under some name
		}
	}
	for i := range m.rows {
		seen := &m.rows[i].Seen[n]
		switch {
		case held[i]:
			*seen = Seen{}
		case seen.Is == Unread && s.Complete:
			seen.Is = Absent
		}
	}
}
