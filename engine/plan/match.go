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
	Bare   Bares
	UID    engine.UID // that the text bears, or bore when it was last read
	Unread bool       // it is there, but its text is not known, or not for this set
}

// A Survey is what a member was found to have. Complete says that what it does
// not name is not there.
type Survey struct {
	Complete bool
	Own      bool // the member gives items UIDs of its own
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
// items of one member claim nothing is known there. What a member has that gives
// its own UIDs, and no mark and no UID places, is matched by content: see pair.
func Match(rows []Row, surveys []Survey) ([]Row, []Clash) {
	m := matcher{rows: slices.Clone(rows), members: len(surveys)}
	for i := range m.rows {
		m.rows[i].Seen = make([]Seen, len(surveys))
	}
	m.index()
	m.held = make([]map[int]bool, len(surveys))
	rest := make([][]Item, len(surveys))
	for i, s := range surveys {
		m.own = append(m.own, s.Own)
		m.claims = append(m.claims, map[int][]Item{})
		rest[i] = m.marked(i, s)
	}
	// Those that give their own UIDs come last: what others have is known then.
	for _, own := range []bool{false, true} {
		for i := range surveys {
			if m.own[i] == own {
				m.unmarked(i, rest[i])
			}
		}
	}
	for i := range surveys {
		m.contest(i)
	}
	for i, s := range surveys {
		m.finish(i, s)
	}
	return m.rows, m.clashes
}

type matcher struct {
	rows    []Row
	members int
	own     []bool // by member
	byUID   map[engine.UID]int
	byKey   map[Key]int
	bySum   map[engine.Sum]int // of agreed texts without UID
	byRef   []map[engine.Ref]int
	bare    map[said][]int   // rows by the sums of their texts without UID
	claims  []map[int][]Item // of rows with more than one claim, by member
	held    []map[int]bool   // rows about which nothing can be said, by member
	clashes []Clash
}

func (m *matcher) index() {
	m.byUID = make(map[engine.UID]int, len(m.rows))
	m.byKey = make(map[Key]int, len(m.rows))
	m.bySum, m.bare = map[engine.Sum]int{}, map[said][]int{}
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
	m.says(i, r.Bare)
	for n, mark := range r.Marks {
		if mark != nil && mark.Bare != (engine.Sum{}) {
			m.say(i, said{n, mark.Bare})
		}
	}
}

// says notes what a text of a row says.
func (m *matcher) says(row int, bare Bares) {
	for n, sum := range bare {
		m.say(row, said{n, sum})
	}
}

func (m *matcher) say(row int, what said) {
	if !slices.Contains(m.bare[what], row) {
		m.bare[what] = append(m.bare[what], row)
	}
}

// marked places the items of one member whose ref has a mark, so that no stranger
// takes their row, and gives the rest.
func (m *matcher) marked(n int, s Survey) (rest []Item) {
	byRef := make(map[engine.Ref]int, len(m.rows))
	for i := range m.rows {
		if mark := m.rows[i].Marks[n]; mark != nil && mark.Ref != "" {
			byRef[mark.Ref] = i
		}
	}
	m.byRef, m.held[n] = append(m.byRef, byRef), map[int]bool{}
	for _, it := range s.Items {
		row, marked := byRef[it.Ref]
		switch {
		case marked && it.Unread:
			m.held[n][row] = true
		case marked && m.stays(row, n, it):
			m.place(row, n, it)
		case !it.Unread:
			rest = append(rest, it)
		}
	}
	return rest
}

// unmarked places the items of one member that no mark names.
func (m *matcher) unmarked(n int, rest []Item) {
	orphans, named := m.orphans(n, rest)
	var strangers []Item
	for _, it := range rest {
		if row, known := m.find(it, orphans); known {
			m.place(row, n, it)
		} else if row, known := named[it.UID]; known {
			m.place(row, n, it)
		} else if it.Bare != nil {
			strangers = append(strangers, it)
		} else {
			m.place(m.add(it), n, it)
		}
	}
	m.pair(n, strangers)
}

// stays tells whether a marked ref still holds the item of its row.
func (m *matcher) stays(row, n int, it Item) bool {
	r := &m.rows[row]
	return it.Raw == r.Marks[n].Sum || r.UID == "" || it.UID == "" || it.UID == r.UID || it.UID == r.Marks[n].UID
}

func (m *matcher) place(row, n int, it Item) {
	m.says(row, it.Bare)
	seen, claims := &m.rows[row].Seen[n], m.claims[n]
	if seen.Is == Present && seen.Ref != it.Ref {
		if len(claims[row]) == 0 {
			claims[row] = []Item{{Head: seen.Head}}
		}
		claims[row] = append(claims[row], it)
		return
	}
	*seen = Seen{Present, it.Head, it.Raw, it.Raw}
}

// orphans are the rows whose marked ref is not there: those without UID by the
// sum of the mark, an item of that sum was only renamed; those for which the
// storage gave a UID of its own by that.
func (m *matcher) orphans(n int, rest []Item) (bySum map[engine.Sum]int, named map[engine.UID]int) {
	if len(rest) == 0 {
		return nil, nil
	}
	bySum, named = map[engine.Sum]int{}, map[engine.UID]int{}
	for i := range m.rows {
		r := &m.rows[i]
		mark := r.Marks[n]
		switch {
		case mark == nil || mark.Gone || r.Seen[n].Is == Present || m.held[n][i]:
		case r.UID == "" && mark.Ref != "":
			bySum[mark.Sum] = i
		case mark.UID != "" && mark.UID != r.UID:
			named[mark.UID] = i
		}
	}
	return bySum, named
}

// find looks for the row of an item without a mark.
func (m *matcher) find(it Item, orphans map[engine.Sum]int) (row int, known bool) {
	if it.UID != "" {
		row, known = m.byUID[it.UID]
		return row, known
	}
	if row, known = orphans[it.Raw]; known {
		delete(orphans, it.Raw)
		return row, true
	}
	row, known = m.bySum[it.Raw]
	return row, known
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
	m.rows = append(m.rows, Row{Key: key, UID: it.UID, Sum: it.Raw, Bare: it.Bare, Marks: make([]*Mark, m.members), Seen: make([]Seen, m.members)})
	m.enter(len(m.rows) - 1)
	return len(m.rows) - 1
}

// contest makes nothing of rows that several items claim.
func (m *matcher) contest(n int) {
	claims := m.claims[n]
	for _, row := range slices.Sorted(maps.Keys(claims)) {
		c := Clash{Member: n, Key: m.rows[row].Key}
		for _, it := range claims[row] {
			c.Refs = append(c.Refs, it.Ref)
			// A marked ref that takes part has not let its own row go.
			if own, marked := m.byRef[n][it.Ref]; marked {
				m.held[n][own] = true
			}
		}
		slices.Sort(c.Refs)
		m.clashes = append(m.clashes, c)
		m.held[n][row] = true
	}
}

// finish tells what is absent, when every row is known.
func (m *matcher) finish(n int, s Survey) {
	held := m.held[n]
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
