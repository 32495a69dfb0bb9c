package group

import (
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// wrote tells a text that we wrote from one that somebody else did: a server may
// have added to ours, and nothing else.
func (r *run) wrote(m *member, text ledger.TextID, sum engine.Sum, o *seen) (bool, error) {
	if o.Sum == sum {
		return true, nil
	}
	ours, err := r.text(text)
	if err != nil {
		return false, err
	}
	theirs, err := r.viewText(m, o.Text, o.UID, item.Read(ours).UID)
	return err == nil && onlyAdds(ours, theirs), err
}

// echoed tells whether a text is what a member made of one that it did take.
func (r *run) echoed(m *member, o *seen) (bool, error) {
	ours, err := r.text(o.written.Text)
	if err != nil {
		return false, err
	}
	theirs, err := r.viewText(m, o.Text, o.UID, item.Read(ours).UID)
	return err == nil && sameWords(ours, theirs), err
}

// words are the properties that people write. A server adds others of its own: what
// it does not know itself it cannot add.
var words = map[string]bool{
	"SUMMARY": true, "DESCRIPTION": true, "LOCATION": true, "COMMENT": true, "CONTACT": true, "CATEGORIES": true,
	"RESOURCES": true, "PRIORITY": true, "PERCENT-COMPLETE": true, "DUE": true, "RRULE": true, "RDATE": true, "EXDATE": true,
	"NICKNAME": true, "BDAY": true, "ANNIVERSARY": true, "ADR": true, "TEL": true, "EMAIL": true, "IMPP": true,
	"NOTE": true, "ORG": true, "TITLE": true, "ROLE": true,
}

// saysMore tells that somebody added a word to a text, in a component that is in
// both: no server does that.
func saysMore(had, has map[name]bool) bool {
	for n := range has {
		if words[n.property] && !had[n] && had[name{component: n.component}] {
			return true
		}
	}
	return false
}

// onlyAdds tells whether a text says all that ours does, in the properties that
// ours has; a component or property of another name is the server's own.
func onlyAdds(ours, theirs []byte) bool {
	has := namesIn(ours)
	if saysMore(has, namesIn(theirs)) {
		return false
	}
	rest := item.Project(theirs, func(c, p string) bool { return has[name{c, p}] })
	return item.Same(rest, ours)
}

// sameWords tells whether two texts agree in every property that both have: a
// server that rewrites adds, drops and spells anew; a person says something else.
func sameWords(ours, theirs []byte) bool {
	has, had := namesIn(ours), namesIn(theirs)
	if saysMore(has, had) {
		return false
	}
	both := func(c, p string) bool { return has[name{c, p}] && had[name{c, p}] }
	return item.Same(item.Project(ours, both), item.Project(theirs, both))
}

// A name is that of a property in a kind of component; without one, of the
// component itself.
type name struct{ component, property string }

func namesIn(text []byte) map[name]bool {
	has := map[name]bool{}
	item.Project(text, func(c, p string) bool {
		has[name{c, p}] = true
		return true
	})
	return has
}

// concede is for an edit that is met before anybody saw what the member made of our
// text: what it lacks altogether may be what the member does not keep, and is not
// taken for let go.
func (r *run) concede(m *member, row *plan.Row, e *entry, o *seen) error {
	ours, err := r.text(o.written.Text)
	if err != nil {
		return err
	}
	theirs, err := r.text(o.Text)
	if err != nil {
		return err
	}
	has := namesIn(theirs)
	kept := item.Project(ours, func(c, p string) bool { return has[name{c, p}] })
	if item.Same(kept, ours) {
		return nil
	}
	k := *e.marks[m.n]
	k.Etag, k.Sum = "", item.Sum(kept)
	if k.Text, err = r.keep(kept); err != nil {
		return err
	}
	r.hold(m, row, e, &k)
	return nil
}
