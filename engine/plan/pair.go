package plan

import (
	"cmp"
	"slices"

	"davbus.org/davbus/engine"
)

// Bares are the sums of a text without its UID, for each member as far as that one
// can keep it. They are nil where nothing is to be matched by them.
type Bares []engine.Sum

// A said is what a text says to one member.
type said struct {
	member int
	bare   engine.Sum
}

// pair matches by content what neither a mark nor a UID places, where UIDs cannot
// tell: the member gives its own, or another did that named the row. Items that
// say the same are one for one with rows that say it and that the member does not
// have, in the order of refs and keys: since they are all alike, none can be lost
// by it, and there are as many afterwards as there were where there were most.
// What is left over is new.
func (m *matcher) pair(n int, strangers []Item) {
	slices.SortFunc(strangers, func(a, b Item) int { return cmp.Compare(a.Ref, b.Ref) })
	waiting := map[engine.Sum][]int{}
	for _, it := range strangers {
		if _, asked := waiting[it.Bare[n]]; !asked {
			waiting[it.Bare[n]] = m.waiting(said{n, it.Bare[n]})
		}
	}
	for _, it := range strangers {
		row, known := m.byUID[it.UID] // one before it may have brought the row
		if list := waiting[it.Bare[n]]; !known && len(list) > 0 {
			row, known = list[0], true
			waiting[it.Bare[n]] = list[1:]
		}
		if !known {
			row = m.add(it)
		}
		m.place(row, n, it)
	}
}

// waiting are the rows that say something and that a member does not have. Those
// that it had come first: their item has another name now, and is not gone.
func (m *matcher) waiting(what said) []int {
	n, rows := what.member, []int(nil)
	for _, i := range m.bare[what] {
		if r := &m.rows[i]; r.Seen[n].Is != Present && !m.held[n][i] && (m.own[n] || m.ownNamed(r)) {
			rows = append(rows, i)
		}
	}
	slices.SortFunc(rows, func(i, j int) int {
		a, b := &m.rows[i], &m.rows[j]
		if x, y := a.Marks[n] != nil, b.Marks[n] != nil; x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Key, b.Key)
	})
	return rows
}

// ownNamed tells whether a row has its UID from a member that gives its own.
func (m *matcher) ownNamed(r *Row) bool {
	for n, mark := range r.Marks {
		if m.own[n] && mark != nil && mark.UID == r.UID {
			return true
		}
	}
	return false
}
