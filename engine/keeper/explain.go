package keeper

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// A fact is one line of an explanation.
type fact struct {
	at   time.Time
	text string
}

// Explain tells why an item is as it is: which member and job made it so, newest
// first. The lines are for people.
func (k *Keeper) Explain(m engine.MemberID, name string) ([]string, error) {
	var keys []ledger.SetKey
	err := k.ask(func() error {
		if k.cols[m] == nil {
			return engine.Fail(engine.NotFound, "explain", string(m), "there is no collection of this id")
		}
		for _, g := range k.groups {
			for _, s := range g.sets {
				if s.has(m) {
					keys = append(keys, s.key)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	uid := engine.UID(name)
	var facts []fact
	for _, key := range keys {
		more, found, err := k.explainIn(key, m, name)
		if err != nil {
			return nil, err
		}
		if found != "" {
			uid = found
		}
		facts = append(facts, more...)
	}
	open, err := k.explainOpen(m, name, uid)
	if err != nil {
		return nil, err
	}
	past, err := k.explainPast(m, name, uid)
	if err != nil {
		return nil, err
	}
	facts = slices.Concat(open, facts, past)
	if len(facts) == 0 {
		return nil, engine.Fail(engine.NotFound, "explain", string(m)+"/"+name, "nothing is known of it; it is a name in this collection or a UID")
	}
	slices.SortStableFunc(facts, func(a, b fact) int { return b.at.Compare(a.at) })
	var lines []string
	for _, f := range facts {
		lines = append(lines, f.at.Format(time.DateTime)+": "+f.text)
	}
	return lines, nil
}

// explainIn tells what a set agreed on and how each member held it.
func (k *Keeper) explainIn(key ledger.SetKey, m engine.MemberID, name string) ([]fact, engine.UID, error) {
	book, err := k.opt.Ledger.Set(key).Load()
	if err != nil {
		return nil, "", err
	}
	members := map[int64]ledger.Member{}
	for _, x := range book.Members {
		members[x.ID] = x
	}
	var facts []fact
	var uid engine.UID
	for _, it := range book.Items {
		mine := it.UID == engine.UID(name)
		var marks []ledger.Mark
		for _, mark := range book.Marks {
			if mark.Item == it.ID {
				marks = append(marks, mark)
				mine = mine || members[mark.Member].Name == m && string(mark.Ref) == name
			}
		}
		if !mine {
			continue
		}
		uid = it.UID
		from := "from " + string(it.Origin)
		if it.Origin == "" {
			from = "merged, or given by a person"
		}
		facts = append(facts, fact{it.At, fmt.Sprintf("group %s agreed on version %d, %s, in %s", key.Group, it.Version, from, jobName(it.Job))})
		for _, mark := range marks {
			facts = append(facts, fact{members[mark.Member].Surveyed, explainMark(members[mark.Member].Name, mark, it)})
		}
	}
	return facts, uid, nil
}

func explainMark(member engine.MemberID, mark ledger.Mark, it ledger.Item) string {
	switch {
	case mark.Gone:
		return fmt.Sprintf("%s had it as %s and has it no more", member, mark.Ref)
	case mark.Version < it.Version:
		return fmt.Sprintf("%s holds version %d as %s and is behind", member, mark.Version, mark.Ref)
	}
	return fmt.Sprintf("%s holds version %d as %s", member, mark.Version, mark.Ref)
}

// explainOpen tells what is open about an item: problems, held deletions and
// conflicts.
func (k *Keeper) explainOpen(m engine.MemberID, name string, uid engine.UID) ([]fact, error) {
	var facts []fact
	problems, err := k.opt.Ledger.Problems(func(p engine.Problem) bool {
		return p.Item == name && p.Member == m || uid != "" && p.UID == uid
	}, 0, maxShown)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		what := fmt.Sprintf("could not be synced with %s, tried %d times: %s", p.Member, p.Tries, p.Failure.Message)
		if p.Held {
			what = fmt.Sprintf("held at %s until a person confirms it: %s", p.Member, p.Failure.Message)
		}
		facts = append(facts, fact{p.Since, what})
	}
	conflicts, err := k.opt.Ledger.Conflicts(func(c engine.ConflictState) bool {
		return uid != "" && c.UID == uid || slices.Contains(c.Members, m) && c.ItemName == name
	}, 0, maxShown)
	for _, c := range conflicts {
		var who []string
		for _, x := range c.Members {
			who = append(who, string(x))
		}
		facts = append(facts, fact{c.Detected, fmt.Sprintf("conflict %s is open: %s have it in different ways, so that nothing is written", c.ID, strings.Join(who, ", "))})
	}
	return facts, err
}

// explainPast tells what it was before.
func (k *Keeper) explainPast(m engine.MemberID, name string, uid engine.UID) ([]fact, error) {
	var facts []fact
	for _, key := range []string{name, string(uid)} {
		past, err := k.opt.Ledger.Versions(m, key, 0, maxShown)
		if err != nil {
			return nil, err
		}
		for _, v := range past {
			f := fact{v.Replaced, fmt.Sprintf("%s: what was at %s as %s was %s; it is kept as version %d", jobName(v.Job), v.Member, v.Item, v.Reason, v.ID)}
			if key != "" && !slices.Contains(facts, f) {
				facts = append(facts, f)
			}
		}
	}
	return facts, nil
}
