package keeper

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// giveIDs gives every found collection its id and brings what is known up to
// date: by identity, so that an id once given stays. known is changed; the
// result names the identities whose record changed, and those to be forgotten
// because a new collection took their place.
func giveIDs(known map[string]ledger.KnownCollection, found []engine.Collection) (kept, forgotten []string) {
	here := map[string]bool{}
	for _, c := range found {
		here[c.Identity] = true
	}
	for identity, k := range known {
		if !here[identity] && !k.Gone {
			k.Gone = true
			known[identity] = k
			kept = append(kept, identity)
		}
	}
	fresh := slices.Clone(found)
	slices.SortStableFunc(fresh, func(a, b engine.Collection) int { // calendars keep a contested id
		return cmp.Or(cmp.Compare(b2i(a.Kind == engine.AddressBook), b2i(b.Kind == engine.AddressBook)), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range fresh {
		old, ok := known[c.Identity]
		if !ok {
			id, instead := freshID(known, here, c)
			if instead != "" {
				delete(known, instead)
				forgotten = append(forgotten, instead)
				kept = slices.DeleteFunc(kept, func(s string) bool { return s == instead })
			}
			old.ID = id
		}
		if c.Kind == "" {
			c.Kind = old.Collection.Kind
		}
		c.ID = old.ID
		now := ledger.KnownCollection{ID: old.ID, Collection: c}
		if !ok || !sameRecord(old, now) {
			kept = append(kept, c.Identity)
		}
		known[c.Identity] = now
	}
	slices.Sort(kept)
	return kept, forgotten
}

// freshID is the id of a collection that was never seen. Where one that
// vanished had the name, the new one takes its place.
func freshID(known map[string]ledger.KnownCollection, here map[string]bool, c engine.Collection) (id, instead string) {
	base := plainID(c)
	wanted := []string{base}
	if c.Kind == engine.AddressBook {
		wanted = append(wanted, base+".contacts")
	}
	if c.Parent != "" {
		wanted = append(wanted, c.Parent+"."+c.Name)
	}
	for n := 2; ; n++ {
		for _, id := range wanted {
			identity, k, taken := holder(known, id)
			switch {
			case !taken:
				return id, ""
			case k.Gone && !here[identity] && (k.Collection.Kind == c.Kind || c.Kind == "" || k.Collection.Kind == "") && plainID(k.Collection) == base:
				return id, identity
			}
		}
		wanted = []string{fmt.Sprintf("%s-%d", base, n)}
	}
}

// plainID is the last segment of the path; of Google's ".../events/" the one
// before it.
func plainID(c engine.Collection) string {
	name := c.Name
	if name == "events" && c.Parent != "" && strings.Contains(c.URL, "/caldav/v2/") {
		name = c.Parent
	}
	return cmp.Or(name, c.Parent, c.Kind, "collection")
}

func holder(known map[string]ledger.KnownCollection, id string) (string, ledger.KnownCollection, bool) {
	for identity, k := range known {
		if k.ID == id {
			return identity, k, true
		}
	}
	return "", ledger.KnownCollection{}, false
}

// sameRecord reports whether a record need not be written again: State moves
// with every change and belongs to the set's own marks.
func sameRecord(a, b ledger.KnownCollection) bool {
	x, y := a.Collection, b.Collection
	return a.ID == b.ID && a.Gone == b.Gone && x.ID == y.ID && x.Name == y.Name && x.Parent == y.Parent && x.Kind == y.Kind &&
		slices.Equal(x.Components, y.Components) && slices.Equal(x.Formats, y.Formats) && sameMeta(x.Meta, y.Meta) && x.Writable == y.Writable &&
		x.Scheduling == y.Scheduling && x.OwnUIDs == y.OwnUIDs && slices.Equal(x.Properties, y.Properties) && x.URL == y.URL && x.Folder == y.Folder && x.Identity == y.Identity
}

func sameMeta(a, b engine.Meta) bool {
	for _, key := range engine.MetaKeys {
		va, oka := a[key]
		vb, okb := b[key]
		if va != vb || oka != okb {
			return false
		}
	}
	return true
}

// wanted reports whether an account takes a collection.
func wanted(cfg engine.AccountConfig, id string) bool {
	only := listParam(cfg.Params, "collections")
	return len(only) == 0 || slices.Contains(only, id)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// memberAccount is the account of a member as a group names it.
func memberAccount(member string) engine.AccountID {
	account, _, _ := strings.Cut(member, "/")
	return engine.AccountID(account)
}

// memberCollection is the collection's id of a member, "" for a whole account.
func memberCollection(member string) string {
	_, id, _ := strings.Cut(member, "/")
	return id
}

func memberID(a engine.AccountID, collection string) engine.MemberID {
	return engine.MemberID(string(a) + "/" + collection)
}
