package group

import (
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// A member may give items UIDs of its own. Its texts keep them, there, in the
// ledger and in history; what is decided about them is decided about a view that
// has the UID which the set knows the item by.

// foreign tells whether a member's text bears another UID than the set's.
func (m *member) foreign(has, uid engine.UID) bool {
	return uid != "" && has != uid && (has != "" || m.OwnUIDs)
}

// view is a member's text as the set knows the item, as far as the member keeps it.
func (m *member) view(text []byte, has, uid engine.UID) []byte {
	if m.foreign(has, uid) {
		text = item.WithUID(text, uid)
	}
	return item.Project(text, m.keep)
}

// viewText reads a text of a member, as the set knows the item.
func (r *run) viewText(m *member, id ledger.TextID, has, uid engine.UID) ([]byte, error) {
	text, err := r.text(id)
	if err != nil {
		return nil, err
	}
	return m.view(text, has, uid), nil
}

// compare makes the sums by which items are matched whose UIDs cannot tell, where
// a member gives its own and somebody has an item that no mark names.
func (r *run) compare(rows []plan.Row, surveys []plan.Survey) (err error) {
	if !slices.ContainsFunc(surveys, func(s plan.Survey) bool { return s.Own }) {
		return nil
	}
	there, lost := make([]map[engine.Ref]bool, len(surveys)), make([]bool, len(surveys))
	var moved []*plan.Item
	var texts []ledger.TextID
	for n := range surveys {
		marks := marksOf(rows, n)
		there[n] = map[engine.Ref]bool{}
		for i := range surveys[n].Items {
			it := &surveys[n].Items[i]
			there[n][it.Ref] = true
			if k := marks[it.Ref]; !it.Unread && (k == nil || k.Sum != it.Raw) {
				moved, texts = append(moved, it), append(texts, r.members[n].obs[it.Ref].Text)
				lost[n] = lost[n] || k == nil || k.UID != it.UID
			}
		}
	}
	if !slices.Contains(lost, true) {
		return nil
	}
	for i, it := range moved {
		if it.Bare, err = r.bares(texts[i]); err != nil {
			return err
		}
	}
	doubts := r.doubts()
	for i := range rows {
		for n := range surveys {
			k := rows[i].Marks[n]
			if !lost[n] || k != nil && there[n][k.Ref] {
				continue
			}
			if err := r.compareRow(&rows[i], n, doubts); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareRow makes the sums of a row that a member does not seem to have: of what
// was agreed on, and of what the member held or was given.
func (r *run) compareRow(row *plan.Row, n int, doubts map[place]*ledger.Intent) (err error) {
	e := r.entries[row.Key]
	if row.Bare == nil && row.Version > 0 {
		if row.Bare, err = r.bares(e.Text); err != nil {
			return err
		}
	}
	if row.Marks[n] == nil {
		return nil
	}
	id := ledger.TextID(0)
	if i := doubts[place{r.members[n].ID, row.Key}]; i != nil && !e.marks[n].Held() {
		id = i.Text
	} else if k := e.marks[n]; k != nil {
		id = k.Text
	}
	bare, err := r.bares(id)
	if err == nil {
		row.Marks[n].Bare = bare[n]
	}
	return err
}

func marksOf(rows []plan.Row, n int) map[engine.Ref]*plan.Mark {
	marks := make(map[engine.Ref]*plan.Mark, len(rows))
	for i := range rows {
		if k := rows[i].Marks[n]; k != nil {
			marks[k.Ref] = k
		}
	}
	return marks
}

// bares are the sums of a text without its UID, for each member.
func (r *run) bares(id ledger.TextID) (plan.Bares, error) {
	text, err := r.text(id)
	if err != nil {
		return nil, err
	}
	bare := make(plan.Bares, len(r.members))
	for n := range bare {
		bare[n] = item.Bare(item.Project(fit(r.members[n].Formats, text, nil), r.members[n].keep))
	}
	return bare, nil
}

// uidOf is the UID under which a member has an item: its own, or the set's.
func (m *member) uidOf(o *seen, uid engine.UID) engine.UID {
	if o.UID != "" && m.foreign(o.UID, uid) {
		return o.UID
	}
	return uid
}

// dress makes of the set's text what a member takes: what it can keep, in its
// version, as like as can be to what it has, under its UID.
func (m *member) dress(text, like []byte, uid engine.UID) []byte {
	if text = item.Project(fit(m.Formats, text, like), m.keep); uid != "" && item.Read(text).UID != uid {
		return item.WithUID(text, uid)
	}
	return text
}
