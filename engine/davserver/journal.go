package davserver

import (
	"cmp"
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// A journal remembers the versions of a collection's items in the order in which
// they were seen to change. Tokens are places in it. It lives in memory: after a
// restart its tokens are unknown, unless the storage's own token, which they
// carry, is still good.
type journal struct {
	epoch string // no other journal has it
	seq   uint64 // of the newest change
	floor uint64 // removals up to here are forgotten
	rows  map[engine.Ref]*row
	gone  int // how many rows are of removed items
}

// A row is what is known of one item.
type row struct {
	engine.Head
	seq  uint64
	gone bool

	uid   engine.UID
	known bool // uid was read off the text of this version
}

// maxGone bounds how many removals are remembered. Who has a token from before
// the forgotten ones starts over.
const maxGone = 10_000

func newJournal() *journal {
	return &journal{epoch: rand.Text(), rows: map[engine.Ref]*row{}}
}

// see notes that an item has this version.
func (j *journal) see(h engine.Head) *row {
	r := j.rows[h.Ref]
	switch {
	case r == nil:
		r = &row{}
		j.rows[h.Ref] = r
	case r.gone:
		j.gone--
	case r.Head == h:
		return r
	}
	j.seq++
	*r = row{Head: h, seq: j.seq}
	return r
}

// miss notes that an item is not there.
func (j *journal) miss(ref engine.Ref) {
	r := j.rows[ref]
	if r == nil || r.gone {
		return
	}
	j.seq++
	*r = row{Head: engine.Head{Ref: ref}, seq: j.seq, gone: true}
	if j.gone++; j.gone > maxGone {
		j.prune()
	}
}

// prune forgets the older half of the removals.
func (j *journal) prune() {
	var removed []*row
	for _, r := range j.rows {
		if r.gone {
			removed = append(removed, r)
		}
	}
	slices.SortFunc(removed, bySeq)
	for _, r := range removed[:len(removed)/2] {
		delete(j.rows, r.Ref)
		j.floor = r.seq
		j.gone--
	}
}

// seeAll notes a complete listing: what it does not name is gone.
func (j *journal) seeAll(heads []engine.Head) {
	listed := make(map[engine.Ref]bool, len(heads))
	for _, h := range heads {
		listed[h.Ref] = true
		j.see(h)
	}
	for ref := range j.rows {
		if !listed[ref] {
			j.miss(ref)
		}
	}
}

// there gives an item that is there.
func (j *journal) there(ref engine.Ref) (*row, bool) {
	r := j.rows[ref]
	return r, r != nil && !r.gone
}

// all gives the items that are there, by name.
func (j *journal) all() []row {
	var list []row
	for _, r := range j.rows {
		if !r.gone {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b row) int { return cmp.Compare(a.Ref, b.Ref) })
	return list
}

// since gives what changed behind a place in the journal, oldest first, and the
// place where the next page begins. limit 0 is none.
func (j *journal) since(seq uint64, limit int) (page []row, next uint64, more bool) {
	var moved []*row
	for _, r := range j.rows {
		if r.seq > seq && !(r.gone && seq == 0) {
			moved = append(moved, r)
		}
	}
	slices.SortFunc(moved, bySeq)
	next = j.seq
	if limit > 0 && len(moved) > limit {
		moved = moved[:limit]
		next, more = moved[limit-1].seq, true
	}
	for _, r := range moved {
		page = append(page, *r)
	}
	return page, next, more
}

func bySeq(a, b *row) int { return cmp.Compare(a.seq, b.seq) }

// A mark is what a token says: a place in a journal and, unless it is the end of
// a page within, the storage's own token for that place.
type mark struct {
	epoch   string
	seq     uint64
	storage engine.Token
}

const tokenScheme = "data:,davbus/"

// String spells a token, which must be a URI.
func (m mark) String() string {
	return tokenScheme + m.epoch + "/" + strconv.FormatUint(m.seq, 10) + "/" + url.PathEscape(string(m.storage))
}

func parseMark(s string) (mark, bool) {
	s, ok := strings.CutPrefix(s, tokenScheme)
	parts := strings.Split(s, "/")
	if !ok || len(parts) != 3 {
		return mark{}, false
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	storage, err2 := url.PathUnescape(parts[2])
	return mark{parts[0], seq, engine.Token(storage)}, err == nil && err2 == nil
}

// holds reports whether the journal can tell everything that happened since m.
func (j *journal) holds(m mark) bool {
	return m.epoch == j.epoch && m.seq <= j.seq && m.seq >= j.floor
}
