package keeper

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
)

// A view is what one run knows of one account's collections.
type view struct {
	cfg    engine.AccountConfig
	err    error // why the account is unread; its collections are then as remembered
	cols   []seen
	handle *handle

	toFound bool // its place is to be prepared first
}

type seen struct {
	engine.Collection
	Gone bool // it vanished
}

// A place is what one member of a group has for one set.
type place struct {
	member string // as the group names it
	id     engine.MemberID
	col    engine.Collection
	make   bool  // it is missing and is to be made
	err    error // why it is unread
}

// A set is the collections of one id within a group, as a run finds them.
type set struct {
	key    ledger.SetKey
	places []place
	err    error // why it cannot run whatever its members answer
}

// matchSets finds the sets of a group. A set has places for two members or more;
// one that is unread, vanished or yet to be made counts.
func matchSets(cfg engine.GroupConfig, views map[engine.AccountID]view) []set {
	if len(cfg.Members) > 0 && memberCollection(cfg.Members[0]) != "" {
		return matchNamed(cfg, views)
	}
	byID := map[string][]place{}
	for _, member := range cfg.Members {
		v := views[engine.AccountID(member)]
		for _, c := range v.cols {
			byID[c.ID] = append(byID[c.ID], placeOf(member, c, v))
		}
	}
	var sets []set
	for id, places := range byID {
		kinds := kindsOf(places, views)
		for _, kind := range kinds {
			s := set{key: ledger.SetKey{Group: cfg.ID, ID: id, Kind: kind}}
			for _, p := range places {
				if kindOf(p, kinds, views) == kind {
					p.col.Kind = kind
					s.places = append(s.places, p)
				}
			}
			if kind != "" {
				s.places = append(s.places, toMake(cfg, s, byID[id], views)...)
			}
			if len(s.places) >= 2 {
				s.err = unknownKind(s)
				sets = append(sets, s.inOrder(cfg))
			}
		}
	}
	slices.SortFunc(sets, func(a, b set) int {
		return cmp.Or(strings.Compare(a.key.ID, b.key.ID), strings.Compare(a.key.Kind, b.key.Kind))
	})
	return sets
}

// matchNamed makes the one set of a group of collections.
func matchNamed(cfg engine.GroupConfig, views map[engine.AccountID]view) []set {
	s := set{key: ledger.SetKey{Group: cfg.ID}}
	for _, member := range cfg.Members {
		v := views[memberAccount(member)]
		id := memberCollection(member)
		i := slices.IndexFunc(v.cols, func(c seen) bool { return c.ID == id })
		if i >= 0 {
			s.places = append(s.places, placeOf(member, v.cols[i], v))
			continue
		}
		p := place{member: member, id: memberID(memberAccount(member), id), col: engine.Collection{ID: id, Name: id}, err: v.err}
		p.make = v.err == nil && slices.Contains(cfg.CreateMissing, member)
		if v.err == nil && !p.make {
			p.err = engine.Fail(engine.NotFound, "sync", member, "the account has no collection %q", id)
		}
		s.places = append(s.places, p)
	}
	switch kinds := kindsOf(s.places, views); {
	case len(kinds) > 1:
		s.err = engine.Fail(engine.Invalid, "sync", string(cfg.ID), "its members are of different kinds, calendars and address books")
	default:
		s.key.Kind = kinds[0]
		for i, p := range s.places {
			s.places[i].col.Kind = cmp.Or(p.col.Kind, kinds[0])
		}
		s.err = unknownKind(s)
	}
	return []set{s}
}

func placeOf(member string, c seen, v view) place {
	p := place{member: member, id: memberID(v.cfg.ID, c.ID), col: c.Collection, err: v.err}
	if p.err == nil && c.Gone {
		p.err = engine.Fail(engine.CollectionGone, "sync", string(p.id),
			"it was there before and is not any more; its marks are kept. Discover with forget-gone lets it go")
	}
	return p
}

// kindsOf are the kinds that places are known to have. Where none is known, the
// accounts' own parameter tells; else there is the one kind "".
func kindsOf(places []place, views map[engine.AccountID]view) []string {
	var kinds []string
	for _, p := range places {
		if p.col.Kind != "" && !slices.Contains(kinds, p.col.Kind) {
			kinds = append(kinds, p.col.Kind)
		}
	}
	if len(kinds) > 0 {
		slices.Sort(kinds)
		return kinds
	}
	for _, p := range places {
		if kind := stringParam(views[memberAccount(p.member)].cfg.Params, "kind"); kind != "" {
			return []string{kind}
		}
	}
	return []string{""}
}

// kindOf is the kind of one place: its own, else the one kind of its set, else
// what its account says.
func kindOf(p place, kinds []string, views map[engine.AccountID]view) string {
	switch {
	case p.col.Kind != "":
		return p.col.Kind
	case len(kinds) == 1:
		return kinds[0]
	}
	return stringParam(views[memberAccount(p.member)].cfg.Params, "kind")
}

func unknownKind(s set) error {
	if s.key.Kind != "" || len(s.places) == 0 {
		return nil
	}
	return engine.Fail(engine.Invalid, "sync", string(s.places[0].id),
		"it cannot be told whether it is a calendar or an address book; set the account's parameter \"kind\"")
}

// toMake are the places of a set that create-missing fills: where the member
// answered and never had a collection of this id. One that vanished is known
// and so is never made again.
func toMake(cfg engine.GroupConfig, s set, all []place, views map[engine.AccountID]view) []place {
	if !slices.ContainsFunc(s.places, func(p place) bool { return p.err == nil }) {
		return nil
	}
	var places []place
	for _, member := range cfg.CreateMissing {
		v, ok := views[engine.AccountID(member)]
		has := slices.ContainsFunc(all, func(p place) bool { return p.member == member })
		if !ok || v.err != nil || has || !slices.Contains(cfg.Members, member) || !wanted(v.cfg, s.key.ID) {
			continue
		}
		places = append(places, place{
			member: member, id: memberID(v.cfg.ID, s.key.ID), make: true,
			col: engine.Collection{ID: s.key.ID, Name: s.key.ID, Kind: s.key.Kind},
		})
	}
	return places
}

// inOrder sorts the places as the group names its members.
func (s set) inOrder(cfg engine.GroupConfig) set {
	slices.SortStableFunc(s.places, func(a, b place) int {
		return cmp.Compare(slices.Index(cfg.Members, a.member), slices.Index(cfg.Members, b.member))
	})
	return s
}

// rulesFor are the group's rules in terms of the members of one set.
func rulesFor(cfg engine.GroupConfig, s set, mode string, views map[engine.AccountID]view) group.Rules {
	r := group.Rules{
		Policy: cfg.ConflictPolicy, Command: cfg.ConflictCommand, RevertReadOnly: cfg.ReadOnlyPolicy == "revert",
		HoldItems: cfg.HoldItems, HoldPercent: cfg.HoldPercent,
	}
	if from, ok := strings.CutPrefix(cmp.Or(mode, cfg.Direction), "from:"); ok {
		r.From = s.memberNamed(from)
	}
	for _, p := range s.places {
		r.ServerInvites = r.ServerInvites || stringParam(views[memberAccount(p.member)].cfg.Params, "scheduling") == "server"
	}
	if name, ok := strings.CutPrefix(cfg.ConflictPolicy, "member:"); ok {
		r.Policy, r.Prefer = "member", s.memberNamed(name)
	}
	return r
}

// memberNamed finds the place that a member's name means: as added, or as
// ACCOUNT/COLLECTION.
func (s set) memberNamed(name string) engine.MemberID {
	for _, p := range s.places {
		if p.member == name || string(p.id) == name {
			return p.id
		}
	}
	return engine.MemberID(name) // not in this set: nothing comes from it
}

// members turns the places into what a run of the set takes.
func (s set) members(views map[engine.AccountID]view, open func(place) (engine.Storage, error)) []group.Member {
	var members []group.Member
	for _, p := range s.places {
		v := views[memberAccount(p.member)]
		m := group.Member{
			ID: p.id, Identity: p.col.Identity, Err: p.err, State: p.col.State,
			ReadOnly: !p.col.Writable || boolParam(v.cfg.Params, "read-only"), Scheduling: p.col.Scheduling, OwnUIDs: p.col.OwnUIDs, Properties: p.col.Properties,
			Components: bothTake(p.col.Components, listParam(v.cfg.Params, "components")),
			Formats:    formatsOf(p.col, v.cfg.Params),
			Meta:       p.col.Meta, Addresses: addresses(v.cfg),
		}
		if p.make { // a dry run: it would be made, with nothing in it
			m.Storage, m.ReadOnly = nothing{}, boolParam(v.cfg.Params, "read-only")
		} else if m.Err == nil {
			m.Storage, m.Err = open(p)
		}
		members = append(members, m)
	}
	return members
}

// addresses are those under which the account's own person is invited.
func addresses(cfg engine.AccountConfig) []string {
	if user := stringParam(cfg.Params, "username"); strings.Contains(user, "@") {
		return []string{user}
	}
	return nil
}

// nothing is a collection that is not there yet, for a dry run.
type nothing struct{}

func (nothing) List(context.Context) iter.Seq2[engine.Head, error] {
	return func(func(engine.Head, error) bool) {}
}

func (nothing) Fetch(context.Context, []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(func(engine.Item, error) bool) {}
}

func (nothing) Apply(context.Context, []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		yield(-1, engine.Outcome{Err: engine.Fail(engine.Internal, "write", "", "a dry run writes nothing")})
	}
}

// formatsOf are the formats in which cards go to a collection: what a person says
// counts more than what it says itself, since some servers take more than they say.
func formatsOf(c engine.Collection, p engine.Params) []string {
	if configured := listParam(p, "formats"); len(configured) > 0 {
		return slices.Clone(configured)
	}
	return slices.Clone(c.Formats)
}

// bothTake is what a collection takes and its account's configuration lets it;
// nil is all.
func bothTake(collection, configured []string) []string {
	switch {
	case len(collection) == 0:
		return slices.Clone(configured)
	case len(configured) == 0:
		return slices.Clone(collection)
	}
	both := []string{}
	for _, c := range collection {
		if slices.Contains(configured, c) || c == "VCARD" {
			both = append(both, c)
		}
	}
	return both
}
