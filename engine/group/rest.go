package group

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"davbus.org/davbus/engine/ledger"
)

// circumstances is everything that a decision depends on but for the items: a set
// that came to rest under others is looked at again.
func (r *run) circumstances() string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v\n", r.rules)
	for _, m := range r.members {
		fmt.Fprintf(h, "%q %q %v %v %q %q %v %q %q %q\n", m.ID, m.Identity, m.ReadOnly, m.OwnUIDs, m.Properties, m.Components, m.Components == nil, m.Formats, m.Meta, m.State)
	}
	return string(h.Sum(nil))
}

// resting tells that there is nothing to do: every member says itself that it has
// not moved since the set came to rest. It costs the same for ten items and for
// ten thousand.
func (r *run) resting() (bool, error) {
	if r.opt.Slow || r.opt.DryRun || r.opt.Proceed || r.opt.Restore || r.opt.Decide != nil {
		return false, nil
	}
	for _, m := range r.members {
		if m.Storage == nil || m.State == "" {
			return false, nil
		}
	}
	how, known, err := r.set.AtRest()
	if err != nil || how != r.circumstances() {
		return false, err
	}
	for _, m := range r.members {
		at := slices.IndexFunc(known, func(k ledger.Member) bool { return k.Name == m.ID && k.Identity == m.Identity })
		if at < 0 || known[at].State != m.State {
			return false, nil
		}
		m.read, m.resting = true, known[at].Items
	}
	return true, nil
}

// settled notes that a round left nothing to do, if it did.
func (r *run) settled(d *decision) {
	r.quiet = false
	if len(d.plan.Steps)+len(d.held)+len(d.conflicts)+len(d.extra)+len(r.problems)+len(r.old)+len(d.waiting) > 0 || r.moved {
		return
	}
	for _, m := range r.members {
		if !m.read || m.err != nil || m.State == "" || len(m.intents) > 0 {
			return
		}
		for _, o := range m.obs {
			if o.Status == ledger.Pending || o.Status == ledger.Written {
				return
			}
		}
	}
	r.quiet = true
}

// rest records that the set is at rest, if it is and was not.
func (r *run) rest() error {
	if !r.quiet || len(r.problems) > 0 {
		return nil
	}
	how, known, err := r.set.AtRest()
	if err != nil {
		return err
	}
	items, news := map[int64]int{}, how != r.circumstances()
	for _, m := range r.members {
		if m.err != nil {
			return nil
		}
		items[m.id] = len(m.obs)
		news = news || !slices.ContainsFunc(known, func(k ledger.Member) bool { return k.ID == m.id && k.Items == len(m.obs) })
	}
	if !news {
		return nil
	}
	return r.set.ComeToRest(r.circumstances(), items)
}
