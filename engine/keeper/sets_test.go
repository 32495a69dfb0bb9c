package keeper

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// found are collections as a source tells them: "KIND NAME IDENTITY" each, and
// maybe the parent.
func found(t *testing.T, all ...string) []engine.Collection {
	t.Helper()
	var cols []engine.Collection
	for _, s := range all {
		f := strings.Fields(s)
		c := engine.Collection{Name: f[1], Identity: f[2], Kind: map[string]string{"c": engine.Calendar, "a": engine.AddressBook, "?": ""}[f[0]]}
		if len(f) > 3 {
			c.Parent = f[3]
		}
		cols = append(cols, c)
	}
	return cols
}

func idsOf(known map[string]ledger.KnownCollection) string {
	var all []string
	for identity, k := range known {
		s := identity + "=" + k.ID
		if k.Gone {
			s += "(gone)"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestIDsAreGivenOnceAndStay(t *testing.T) {
	for _, c := range []struct {
		name  string
		looks [][]engine.Collection
		want  string
	}{
		{"the last segment", [][]engine.Collection{found(t, "c home 1", "a people 2")}, "1=home 2=people"},
		{"a calendar keeps a contested id", [][]engine.Collection{found(t, "a home 1", "c home 2")}, "1=home.contacts 2=home"},
		{"an id once given stays", [][]engine.Collection{found(t, "a home 1"), found(t, "a home 1", "c home 2 al")}, "1=home 2=al.home"},
		{"two calendars of one name", [][]engine.Collection{found(t, "c home 1 al", "c home 2 bo")}, "1=home 2=bo.home"},
		{"three of one name and parent", [][]engine.Collection{found(t, "c home 1 al", "c home 2 al", "c home 3 al")}, "1=home 2=al.home 3=home-2"},
		{"it vanishes and returns", [][]engine.Collection{found(t, "c home 1"), nil, found(t, "c home 1")}, "1=home"},
		{"it vanishes", [][]engine.Collection{found(t, "c home 1"), nil}, "1=home(gone)"},
		{"another takes its place", [][]engine.Collection{found(t, "c home 1"), found(t, "c home 2")}, "2=home"},
		{"another kind does not", [][]engine.Collection{found(t, "c home 1"), found(t, "a home 2")}, "1=home(gone) 2=home.contacts"},
		{"a folder without files takes the place", [][]engine.Collection{found(t, "c home 1"), found(t, "? home 2")}, "2=home"},
		{"it is renamed", [][]engine.Collection{found(t, "c home 1"), found(t, "c work 1")}, "1=home"},
		{"no name", [][]engine.Collection{{{Identity: "1", Kind: engine.Calendar}, {Identity: "2", Parent: "p"}}}, "1=calendar 2=p"},
		{"google", [][]engine.Collection{{{Identity: "1", Name: "events", Parent: "me@example.org", URL: "https://g/caldav/v2/me@example.org/events/"}}}, "1=me@example.org"},
		{"a calendar that is called events", [][]engine.Collection{{{Identity: "1", Name: "events", Parent: "alice", URL: "https://h/alice/events/"}}}, "1=events"},
	} {
		known := map[string]ledger.KnownCollection{}
		for _, look := range c.looks {
			giveIDs(known, look)
		}
		if got := idsOf(known); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAKindThatFilesDoNotTellIsRemembered(t *testing.T) {
	known := map[string]ledger.KnownCollection{}
	giveIDs(known, found(t, "a home 1"))
	kept, _ := giveIDs(known, found(t, "? home 1"))
	if known["1"].Collection.Kind != engine.AddressBook || len(kept) != 0 {
		t.Errorf("%+v, kept %v", known["1"], kept)
	}
}

// TestIDsAreUniqueWhateverIsFound: no two collections of an account ever have
// one id, and one that is there keeps the id that it had.
func TestIDsAreUniqueWhateverIsFound(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		known := map[string]ledger.KnownCollection{}
		for range 6 {
			var look []engine.Collection
			for _, identity := range rng.Perm(6)[:rng.IntN(6)] {
				look = append(look, engine.Collection{
					Identity: fmt.Sprint(identity), Name: []string{"x", "y", ""}[rng.IntN(3)], Parent: []string{"x", "p"}[rng.IntN(2)],
					Kind: []string{engine.Calendar, engine.AddressBook, ""}[rng.IntN(3)],
				})
			}
			before := maps.Clone(known)
			kept, forgotten := giveIDs(known, look)
			seen := map[string]string{}
			for identity, k := range known {
				if other, twice := seen[k.ID]; twice {
					t.Fatalf("seed %d: %s and %s have the id %q", seed, identity, other, k.ID)
				}
				seen[k.ID] = identity
				if was, ok := before[identity]; ok && was.ID != k.ID {
					t.Fatalf("seed %d: %s was %q and is %q", seed, identity, was.ID, k.ID)
				}
			}
			for identity := range before { // what is to be written is exactly what changed
				_, still := known[identity]
				if still == slices.Contains(forgotten, identity) {
					t.Fatalf("seed %d: %s forgotten: %v, still there: %v", seed, identity, !still, still)
				}
				if still && !slices.Contains(kept, identity) && !sameRecord(before[identity], known[identity]) {
					t.Fatalf("seed %d: the change of %s is not kept", seed, identity)
				}
			}
		}
	}
}

// account views for matching: "a: c cal, a people!, ? empty" is account a with a
// calendar, a vanished address book and a folder of unknown kind; "a: offline".
func viewsOf(t *testing.T, all ...string) map[engine.AccountID]view {
	t.Helper()
	views := map[engine.AccountID]view{}
	for _, s := range all {
		id, list, _ := strings.Cut(s, ": ")
		id, kind, _ := strings.Cut(id, "=")
		v := view{cfg: engine.AccountConfig{ID: engine.AccountID(id), Params: engine.Params{}}}
		if kind != "" {
			v.cfg.Params["kind"] = kind
		}
		for one := range strings.SplitSeq(list, ", ") {
			if one == "offline" {
				v.err = errOffline
				continue
			}
			if one == "" {
				continue
			}
			kind, name, _ := strings.Cut(one, " ")
			name, gone := strings.CutSuffix(name, "!")
			v.cols = append(v.cols, seen{engine.Collection{
				ID: name, Name: name, Identity: id + name, Writable: true,
				Kind: map[string]string{"c": engine.Calendar, "a": engine.AddressBook, "?": ""}[kind],
			}, gone})
		}
		views[v.cfg.ID] = v
	}
	return views
}

// describe writes sets as "ID KIND: MEMBER STATE, …".
func describe(sets []set) string {
	var all []string
	for _, s := range sets {
		var places []string
		for _, p := range s.places {
			switch {
			case p.make:
				places = append(places, string(p.id)+" make")
			case p.err != nil:
				places = append(places, string(p.id)+" "+engine.KindOf(p.err).String())
			default:
				places = append(places, string(p.id))
			}
		}
		line := s.key.ID + " " + s.key.Kind + ": " + strings.Join(places, ", ")
		if s.err != nil {
			line += " " + engine.KindOf(s.err).String()
		}
		all = append(all, line)
	}
	return strings.Join(all, "; ")
}

func TestSetsAreTheCollectionsOfOneKindAndID(t *testing.T) {
	for _, c := range []struct {
		name   string
		group  engine.GroupConfig
		create []string
		views  map[engine.AccountID]view
		want   string
	}{
		{"in both", groupOf("g", "a", "b"), nil, viewsOf(t, "a: c x, c y, a z", "b: c x, a z, c only"), "x calendar: a/x, b/x; z addressbook: a/z, b/z"},
		{"of different kinds", groupOf("g", "a", "b"), nil, viewsOf(t, "a: c x", "b: a x"), ""},
		{"in the order of the members", groupOf("g", "b", "a"), nil, viewsOf(t, "a: c x", "b: c x"), "x calendar: b/x, a/x"},
		{"in two of three", groupOf("g", "a", "b", "c"), nil, viewsOf(t, "a: c x", "b: c y", "c: c x, c y"), "x calendar: a/x, c/x; y calendar: b/y, c/y"},
		{"missing ones are made where they are listed", groupOf("g", "a", "b", "c"), []string{"b"}, viewsOf(t, "a: c x, c y", "b: c y", "c: "),
			"x calendar: a/x, b/x make; y calendar: a/y, b/y"},
		{"nothing is made in a member that did not answer", groupOf("g", "a", "b"), []string{"b"}, viewsOf(t, "a: c x", "b: offline"), ""},
		{"nothing is made from one that did not answer", groupOf("g", "a", "b"), []string{"b"}, viewsOf(t, "a: offline, c x", "b: "), ""},
		{"what vanished is not made again", groupOf("g", "a", "b"), []string{"b"}, viewsOf(t, "a: c x", "b: c x!"), "x calendar: a/x, b/x collection is gone"},
		{"one that is unread counts", groupOf("g", "a", "b", "c"), nil, viewsOf(t, "a: c x", "b: offline, c x", "c: c x"), "x calendar: a/x, b/x offline, c/x"},
		{"an id that another kind has is not made", groupOf("g", "a", "b"), []string{"b"}, viewsOf(t, "a: c x", "b: a x"), ""},
		{"a folder without files takes the kind of its set", groupOf("g", "a", "b"), nil, viewsOf(t, "a: a x", "b=calendar: ? x"), "x addressbook: a/x, b/x"},
		{"else that of its account", groupOf("g", "a", "b"), nil, viewsOf(t, "a: ? x", "b=addressbook: ? x"), "x addressbook: a/x, b/x"},
		{"else nobody knows", groupOf("g", "a", "b"), nil, viewsOf(t, "a: ? x", "b: ? x"), "x : a/x, b/x invalid"},
		{"with both kinds around, its account decides", groupOf("g", "a", "b", "c"), nil, viewsOf(t, "a: c x", "b: a x", "c=addressbook: ? x"), "x addressbook: b/x, c/x"},
		{"named collections", groupOf("g", "a/x", "b/y"), nil, viewsOf(t, "a: c x", "b: c y"), " calendar: a/x, b/y"},
		{"a named one that is not there", groupOf("g", "a/x", "b/y"), nil, viewsOf(t, "a: c x", "b: "), " calendar: a/x, b/y not found"},
		{"a named one that is to be made", groupOf("g", "a/x", "b/y"), []string{"b/y"}, viewsOf(t, "a: c x", "b: "), " calendar: a/x, b/y make"},
		{"named ones of different kinds", groupOf("g", "a/x", "b/y"), nil, viewsOf(t, "a: c x", "b: a y"), " : a/x, b/y invalid"},
		{"a named one of an account that is gone", groupOf("g", "a/x", "b/y"), nil, viewsOf(t, "a: c x", "b: offline"), " calendar: a/x, b/y offline"},
		{"two of one account", groupOf("g", "a/x", "a/y"), nil, viewsOf(t, "a: c x, c y"), " calendar: a/x, a/y"},
	} {
		c.group.CreateMissing = c.create
		if got := describe(matchSets(c.group, c.views)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestRulesNameTheMembersOfTheSet(t *testing.T) {
	views := viewsOf(t, "a: c x", "b: c x")
	for _, c := range []struct {
		members                 []string
		direction, policy, mode string
		from, prefer            engine.MemberID
		way                     string
	}{
		{[]string{"a", "b"}, "two-way", "merge", "", "", "", "merge"},
		{[]string{"a", "b"}, "from:a", "member:b", "", "a/x", "b/x", "member"},
		{[]string{"a", "b"}, "from:a", "member:b/x", "two-way", "", "b/x", "member"},
		{[]string{"a", "b"}, "two-way", "ask", "from:b", "b/x", "", "ask"},
		{[]string{"a/x", "b/x"}, "from:a/x", "newest", "", "a/x", "", "newest"},
	} {
		cfg := groupOf("g", c.members...)
		cfg.Direction, cfg.ConflictPolicy = c.direction, c.policy
		r := rulesFor(cfg, matchSets(cfg, views)[0], c.mode, views)
		if r.From != c.from || r.Prefer != c.prefer || r.Policy != c.way || r.HoldItems != 10 || r.HoldPercent != 20 {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

func TestWhatAMemberTakesIsWhatItsCollectionAndItsAccountTake(t *testing.T) {
	for _, c := range []struct{ collection, configured, want []string }{
		{nil, nil, nil},
		{[]string{"VEVENT"}, nil, []string{"VEVENT"}},
		{nil, []string{"VTODO"}, []string{"VTODO"}},
		{[]string{"VEVENT", "VTODO"}, []string{"VTODO"}, []string{"VTODO"}},
		{[]string{"VEVENT"}, []string{"VTODO"}, []string{}},
		{[]string{"VCARD"}, []string{"VTODO"}, []string{"VCARD"}},
	} {
		got := bothTake(c.collection, c.configured)
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v and %v: %v", c.collection, c.configured, got)
		}
	}
}

func TestCardsGoInTheFormatsThatAPersonNamedOrElseTheCollection(t *testing.T) {
	for _, c := range []struct{ configured, said, want []string }{
		{nil, nil, nil},
		{nil, []string{engine.VCard3}, []string{engine.VCard3}},
		{[]string{engine.VCard3}, nil, []string{engine.VCard3}},
		{[]string{engine.VCard3, engine.VCard4}, []string{engine.VCard3}, []string{engine.VCard3, engine.VCard4}},
	} {
		p := engine.Params{}
		if c.configured != nil {
			p["formats"] = c.configured
		}
		got := formatsOf(engine.Collection{Formats: c.said}, p)
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("configured %q, said %q: %q", c.configured, c.said, got)
		}
	}
}
