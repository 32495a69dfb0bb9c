package group

import (
	"context"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// A decision is what a round is going to do.
type decision struct {
	rows      map[plan.Key]*plan.Row
	plan      plan.Plan
	held      []plan.Hold
	conflicts []ledger.Conflict
	given     map[plan.Key]given  // agreed texts that no member holds
	rules     map[plan.Key]string // how a dispute was settled, for people
	extra     []ledger.Item       // copies under new UIDs, for everybody
	skip      string              // the id of a conflict to leave alone
	stale     error               // a person's decision was about texts that are not there any more
	waiting   map[place]bool      // ops that wait for their next try

	heldBefore []ledger.Problem // what was held when the round began
}

// given is an agreed text that was made or given.
type given struct {
	text  []byte
	heard string // why the members' texts are replaced: "merged", "conflict"
	lone  bool   // one member's edit, and nobody else's
}

var policies = map[string]plan.Policy{
	"": plan.Merge, "merge": plan.Merge, "ask": plan.Ask, "newest": plan.Newest, "member": plan.Prefer, "keep-both": plan.Both, "command": plan.Command,
}

// decide plans, settles disputes by their texts, and guards.
func (r *run) decide(ctx context.Context, rows []plan.Row) (*decision, error) {
	policy, known := policies[r.rules.Policy]
	if !known {
		return nil, engine.Fail(engine.Invalid, "sync", string(r.set.Key().Group), "there is no conflict policy %q", r.rules.Policy)
	}
	d := &decision{rows: rowsByKey(rows), given: map[plan.Key]given{}, rules: map[plan.Key]string{}, waiting: map[place]bool{}}
	held, err := r.set.Problems()
	if err != nil {
		return nil, err
	}
	d.heldBefore = slices.DeleteFunc(held, func(p ledger.Problem) bool { return !p.Held })
	held = slices.DeleteFunc(slices.Clone(d.heldBefore), func(p ledger.Problem) bool { return r.opt.Only != "" && p.Member != r.opt.Only })
	if r.opt.Restore {
		restore(rows, held)
	}
	p := plan.Reconcile(r.planMembers(), rows, plan.Rules{From: r.rules.From, Policy: policy, Prefer: r.rules.Prefer, Revert: r.rules.RevertReadOnly})
	if err := r.settleDisputes(ctx, &p, d.rows, d); err != nil {
		return nil, err
	}
	for i := range p.Steps {
		if err := r.spare(&p.Steps[i], d.rows[p.Steps[i].Key], d); err != nil {
			return nil, err
		}
	}
	if err := r.markInvites(&p, d.rows, d); err != nil {
		return nil, err
	}
	lim := plan.Limits{Items: int(r.rules.HoldItems), Percent: int(r.rules.HoldPercent), Invites: maxInvites}
	d.plan, d.held = plan.Guard(p, rows, len(r.members), lim, r.allowed(held))
	d.plan = r.quarantine(d.plan, d)
	return d, nil
}

func (r *run) planMembers() []plan.Member {
	members := make([]plan.Member, len(r.members))
	for n, m := range r.members {
		members[n] = plan.Member{ID: m.ID, ReadOnly: m.ReadOnly}
	}
	return members
}

func rowsByKey(rows []plan.Row) map[plan.Key]*plan.Row {
	byKey := make(map[plan.Key]*plan.Row, len(rows))
	for i := range rows {
		byKey[rows[i].Key] = &rows[i]
	}
	return byKey
}

// restore marks the rows whose deletion is held, if nobody moved since.
func restore(rows []plan.Row, held []ledger.Problem) {
	versions := map[plan.Key]uint64{}
	for _, p := range held {
		if p.Verb == engine.Delete {
			versions[plan.Key(p.Key)] = p.Version
		}
	}
	for i := range rows {
		if v, is := versions[rows[i].Key]; is && v == rows[i].Version {
			rows[i].Restore = true
		}
	}
}

// allowed is what a person agreed to: exactly the items and versions held then.
func (r *run) allowed(held []ledger.Problem) func(plan.Hold) bool {
	if !r.opt.Proceed {
		return nil
	}
	type exact struct {
		place
		verb    engine.Verb
		version uint64
		sum     engine.Sum
	}
	all := map[exact]bool{}
	for _, p := range held {
		all[exact{place{p.Member, plan.Key(p.Key)}, p.Verb, p.Version, p.Sum}] = true
	}
	return func(h plan.Hold) bool {
		return all[exact{place{r.members[h.Op.Member].ID, h.Key}, verbOf(h.Op.Verb), h.Version, h.Op.Was}]
	}
}

func verbOf(v plan.Verb) engine.Verb {
	switch v {
	case plan.Create:
		return engine.Create
	case plan.Replace:
		return engine.Replace
	}
	return engine.Delete
}

// maxInvites is how many new items a run may upload that make a server invite
// people in the account's name.
const maxInvites = 3

// markInvites finds the uploads that make a server send invitations.
func (r *run) markInvites(p *plan.Plan, rows map[plan.Key]*plan.Row, d *decision) error {
	if r.rules.ServerInvites || !slices.ContainsFunc(r.members, func(m *member) bool { return m.Scheduling }) {
		return nil
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		for j := range s.Ops {
			op := &s.Ops[j]
			if op.Verb != plan.Create || !r.members[op.Member].Scheduling {
				continue
			}
			text, err := r.stepText(s, rows[s.Key], d)
			if err != nil {
				return err
			}
			op.Invites = r.members[op.Member].invites(item.Read(text))
		}
	}
	return nil
}

// invites tells whether an item invites people in the account's name. Where its
// own addresses are not known, any organizer may be it.
func (m *member) invites(i item.Info) bool {
	if !i.Attendees || i.Organizer == "" {
		return false
	}
	own := func(a string) bool { return strings.EqualFold(mailbox(a), mailbox(i.Organizer)) }
	return m.Addresses == nil || slices.ContainsFunc(m.Addresses, own)
}

func mailbox(address string) string {
	if len(address) > 7 && strings.EqualFold(address[:7], "mailto:") {
		return address[7:]
	}
	return address
}

// stepText is the text that a step makes the agreed one.
func (r *run) stepText(s *plan.Step, row *plan.Row, d *decision) ([]byte, error) {
	if g, is := d.given[s.Key]; is {
		return g.text, nil
	}
	if s.From != plan.Ledger {
		return r.text(r.members[s.From].obs[row.Seen[s.From].Ref].Text)
	}
	if e := r.entries[s.Key]; e != nil {
		return r.text(e.Text)
	}
	return nil, nil
}

// quarantine leaves out what was refused lately, and would be again: the same
// text, before the time of its next try.
func (r *run) quarantine(p plan.Plan, d *decision) plan.Plan {
	if len(r.old) == 0 {
		return p
	}
	var rest plan.Plan
	for _, s := range p.Steps {
		had := len(s.Ops)
		s.Ops = slices.DeleteFunc(slices.Clone(s.Ops), func(op plan.Op) bool {
			if op.Verb == plan.Link {
				return false
			}
			at := place{r.members[op.Member].ID, s.Key}
			old, is := r.old[at]
			sum := s.Sum
			if op.Verb == plan.Delete {
				sum = op.Was
			}
			// A clock that was set back must not make it wait for longer than it should.
			wait := old.NextTry.Sub(r.now)
			later := wait > 0 && wait <= pause(old.Tries) && !r.opt.Slow || r.elsewhere[at]
			if !is || old.Sum != sum || old.Verb != verbOf(op.Verb) || !later {
				return false
			}
			d.waiting[at] = true
			return true
		})
		if had == 0 || len(s.Ops) > 0 {
			rest.Steps = append(rest.Steps, s)
		}
	}
	return rest
}
