package ledger

import (
	"fmt"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// explained is how many entries of history an explanation names.
const explained = 5

// Explain tells, in lines for people, why an item of a collection is as it is:
// which member's text it is, which job and rule made it so, how the others stand,
// and what stands in its way. name is its name there, or its UID.
func (l *Ledger) Explain(m engine.MemberID, name string) ([]string, error) {
	var e explanation
	items, err := l.itemsNamed(m, name)
	if err != nil {
		return nil, err
	}
	uid := ""
	for _, i := range items {
		uid = string(i.UID)
		e.say("%s (UID %s) is an item of group %s", name, i.UID, i.group)
		e.say("version %d was agreed by job %d on %s: %s%s", i.Version, i.Job, day(i.At), i.Rule, of(i.Origin))
		if err := e.members(l, i); err != nil {
			return nil, err
		}
	}
	if err := e.obstacles(l, m, name, uid); err != nil {
		return nil, err
	}
	versions, err := l.Versions(m, name, 0, explained)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		e.say("before %s it was another text, which job %d replaced (%s): version %d in the history", day(v.Replaced), v.Job, v.Reason, v.ID)
	}
	if len(e.lines) == 0 {
		return nil, engine.Fail(engine.NotFound, "explain", string(m)+"/"+name, "nothing is known of it: it was never synced")
	}
	return e.lines, nil
}

type explanation struct{ lines []string }

func (e *explanation) say(format string, args ...any) {
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func of(m engine.MemberID) string {
	if m == "" {
		return ""
	}
	return " (" + string(m) + ")"
}

type namedItem struct {
	Item
	group string
}

func (l *Ledger) itemsNamed(m engine.MemberID, name string) ([]namedItem, error) {
	rows, err := l.read.Query(`SELECT i.id, i.uid, i.version, i.job, i.origin, i.rule, i.at, s.grp
		FROM marks k JOIN members mm ON mm.id = k.member_id JOIN items i ON i.id = k.item_id JOIN sets s ON s.id = i.set_id
		WHERE mm.member = ?1 AND (k.ref = ?2 OR i.uid = ?2 OR k.uid = ?2) ORDER BY i.id`, bytesOf(m), bytesOf(name))
	if err != nil {
		return nil, fail("read", err)
	}
	defer rows.Close()
	var all []namedItem
	for rows.Next() {
		var i namedItem
		var at int64
		if err := rows.Scan(&i.ID, &i.UID, &i.Version, &i.Job, &i.Origin, &i.Rule, &at, &i.group); err != nil {
			return nil, fail("read", err)
		}
		i.At = timeOf(at)
		all = append(all, i)
	}
	return all, fail("read", rows.Err())
}

// members tells how each member stands to an item.
func (e *explanation) members(l *Ledger, i namedItem) error {
	rows, err := l.read.Query(`SELECT mm.member, k.ref, k.version, k.gone FROM marks k JOIN members mm ON mm.id = k.member_id
		WHERE k.item_id = ? ORDER BY mm.member`, i.ID)
	if err != nil {
		return fail("read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var member, ref string
		var version uint64
		var gone bool
		if err := rows.Scan(&member, &ref, &version, &gone); err != nil {
			return fail("read", err)
		}
		switch {
		case gone && ref == "":
			e.say("%s had it and has let it go", member)
		case ref == "":
			e.say("%s has it under a name that is not known", member)
		case gone:
			e.say("%s had it as %s and has let it go", member, ref)
		case version < i.Version:
			e.say("%s is behind: it has an older version as %s", member, ref)
		default:
			e.say("%s has it as %s", member, ref)
		}
	}
	return fail("read", rows.Err())
}

// obstacles tells what stands in the way of an item.
func (e *explanation) obstacles(l *Ledger, m engine.MemberID, name, uid string) error {
	concerns := func(item string, u engine.UID) bool {
		return item == name || u != "" && (string(u) == name || string(u) == uid)
	}
	problems, err := l.Problems(func(p engine.Problem) bool { return concerns(p.Item, p.UID) }, 0, 100)
	if err != nil {
		return err
	}
	for _, p := range problems {
		e.say("problem at %s since %s: %s", p.Member, day(p.Since), p.Failure.Message)
		if !p.NextTry.IsZero() {
			e.say("it was tried %d times, and will be again at %s", p.Tries, day(p.NextTry))
		}
	}
	conflicts, err := l.Conflicts(func(c engine.ConflictState) bool { return concerns(c.ItemName, c.UID) }, 0, 100)
	if err != nil {
		return err
	}
	for _, c := range conflicts {
		e.say("conflict %s (%s) between %s is open since %s: nothing is written until somebody settles it", c.ID, c.Kind, joined(c.Members), day(c.Detected))
	}
	return nil
}

func joined(members []engine.MemberID) string {
	var b strings.Builder
	for i, m := range members {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(string(m))
	}
	return b.String()
}
