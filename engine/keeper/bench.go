package keeper

import (
	"context"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
)

// A bench is one member, opened so that it can be changed as a person would
// change it. The sync that follows brings the change to the others.
type bench struct {
	keeper *Keeper
	member group.Member
	book   *ledger.Book
}

// bench opens a member with what the ledger knows of it.
func (k *Keeper) bench(ctx context.Context, kind string, m engine.MemberID, views map[engine.AccountID]view) (*bench, error) {
	member, _, key, err := k.memberToChange(ctx, kind, m, views)
	if err != nil {
		return nil, err
	}
	b := &bench{keeper: k, member: member}
	b.book, err = k.opt.Ledger.Set(key).Load()
	return b, err
}

// memberToChange opens a member, if what is changed there would stay.
func (k *Keeper) memberToChange(ctx context.Context, kind string, m engine.MemberID, views map[engine.AccountID]view) (member group.Member, col engine.Collection, key ledger.SetKey, err error) {
	v := views[memberAccount(string(m))]
	i := slices.IndexFunc(v.cols, func(c seen) bool { return memberID(v.cfg.ID, c.ID) == m && !c.Gone })
	switch {
	case v.err != nil:
		return member, col, key, v.err
	case i < 0:
		return member, col, key, goneError(m)
	case !v.cols[i].Writable || boolParam(v.cfg.Params, "read-only"):
		return member, col, key, engine.Fail(engine.ReadOnly, kind, string(m), "this collection is not written; do it in another member")
	}
	if key, err = k.setToChange(kind, m); err != nil {
		return member, col, key, err
	}
	v.cols[i].State = "" // it is about to move: the sync that follows must look
	col = v.cols[i].Collection
	member = group.Member{ID: m, Identity: col.Identity}
	source, err := v.handle.open(ctx)
	if err == nil {
		member.Storage, err = source.Open(col)
	}
	return member, col, key, err
}

// setToChange is a set of a member, if no group takes everything from another
// one.
func (k *Keeper) setToChange(kind string, m engine.MemberID) (key ledger.SetKey, err error) {
	err = k.ask(func() error {
		for _, id := range k.groupsOf(engine.Target{Collection: m}) {
			g := k.groups[id]
			from, oneWay := cutPrefix(g.cfg.Direction, "from:")
			for _, s := range g.sets {
				if !s.has(m) {
					continue
				}
				if oneWay && s.memberNamed(from) != m {
					return engine.Fail(engine.Invalid, kind, string(m), "group %q takes everything from %s, so that it would not stay; do it there", id, from)
				}
				key = s.key
			}
		}
		return nil
	})
	return key, err
}

// marks are what the ledger knows of the member's items, by ref.
func (b *bench) marks() map[engine.Ref]ledger.Mark {
	mine := map[int64]bool{}
	for _, m := range b.book.Members {
		mine[m.ID] = m.Name == b.member.ID
	}
	marks := map[engine.Ref]ledger.Mark{}
	for _, m := range b.book.Marks {
		if mine[m.Member] && !m.Gone {
			marks[m.Ref] = m
		}
	}
	return marks
}

// item finds what the ledger knows of an item by its id there.
func (b *bench) item(id int64) ledger.Item {
	for _, i := range b.book.Items {
		if i.ID == id {
			return i
		}
	}
	return ledger.Item{}
}

// find is the ref under which the member has the item of a version now; "" if it
// has it no more.
func (b *bench) find(v engine.Version) engine.Ref {
	for ref, m := range b.marks() {
		if v.UID != "" && b.item(m.Item).UID == v.UID || v.UID == "" && string(ref) == v.Item {
			return ref
		}
	}
	return ""
}

// read reads one item; nil if there is none.
func (b *bench) read(ctx context.Context, ref engine.Ref) ([]byte, error) {
	if ref == "" {
		return nil, nil
	}
	for it, err := range b.member.Storage.Fetch(ctx, []engine.Ref{ref}) {
		return it.Text, err
	}
	return nil, nil
}
