package keeper

import (
	"cmp"
	"context"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
)

// A bench is one member, opened for rewriting.
type bench struct {
	keeper  *Keeper
	kind    string
	member  engine.MemberID
	storage engine.Storage
	set     *ledger.Set
	book    *ledger.Book
}

// bench opens a member, if anything written there would stay.
func (k *Keeper) bench(ctx context.Context, kind string, m engine.MemberID, views map[engine.AccountID]view) (*bench, error) {
	v := views[memberAccount(string(m))]
	if v.err != nil {
		return nil, v.err
	}
	i := slices.IndexFunc(v.cols, func(c seen) bool { return memberID(v.cfg.ID, c.ID) == m && !c.Gone })
	if i < 0 {
		return nil, goneError(m)
	}
	if !v.cols[i].Writable || boolParam(v.cfg.Params, "read-only") {
		return nil, engine.Fail(engine.ReadOnly, kind, string(m), "this collection is not written; do it in another member")
	}
	var key ledger.SetKey
	err := k.ask(func() error {
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
	if err != nil {
		return nil, err
	}
	v.cols[i].State = "" // it is about to move: the sync that follows must look
	b := &bench{keeper: k, kind: kind, member: m, set: k.opt.Ledger.Set(key)}
	if b.book, err = b.set.Load(); err != nil {
		return nil, err
	}
	source, err := v.handle.open(ctx)
	if err != nil {
		return nil, err
	}
	b.storage, err = source.Open(v.cols[i].Collection)
	return b, err
}

// marks are what the ledger knows of the member's items, by ref.
func (b *bench) marks() map[engine.Ref]ledger.Mark {
	mine := map[int64]bool{}
	for _, m := range b.book.Members {
		mine[m.ID] = m.Name == b.member
	}
	marks := map[engine.Ref]ledger.Mark{}
	for _, m := range b.book.Marks {
		if mine[m.Member] && !m.Gone {
			marks[m.Ref] = m
		}
	}
	return marks
}

func (b *bench) marked(ref engine.Ref) bool { _, ok := b.marks()[ref]; return ok }

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
func (b *bench) find(v engine.Version) (engine.Ref, error) {
	for ref, m := range b.marks() {
		if v.UID != "" && b.item(m.Item).UID == v.UID || v.UID == "" && string(ref) == v.Item {
			return ref, nil
		}
	}
	return "", nil
}

// read reads one item; without a ref there is none.
func (b *bench) read(ctx context.Context, ref engine.Ref) (engine.Head, []byte, error) {
	if ref == "" {
		return engine.Head{}, nil, nil
	}
	for it, err := range b.storage.Fetch(ctx, []engine.Ref{ref}) {
		if err != nil {
			return engine.Head{}, nil, err
		}
		return it.Head, it.Text, nil
	}
	return engine.Head{}, nil, nil
}

func (b *bench) readAll(ctx context.Context) ([]rewrite, error) {
	var refs []engine.Ref
	for h, err := range b.storage.List(ctx) {
		if err != nil {
			return nil, err
		}
		refs = append(refs, h.Ref)
	}
	var all []rewrite
	for it, err := range b.storage.Fetch(ctx, refs) {
		if err != nil && it.Ref == "" {
			return nil, err
		}
		if err == nil {
			all = append(all, rewrite{head: it.Head, was: it.Text})
		}
	}
	return all, nil
}

// rewrite keeps what is there and writes what is wanted. What moved meanwhile
// stays as it is.
func (b *bench) rewrite(ctx context.Context, j *job, todo []rewrite, dry bool) (engine.Counts, error) {
	var n engine.Counts
	todo = slices.DeleteFunc(todo, func(w rewrite) bool { return w.was != nil && item.Same(w.was, w.text) })
	if dry {
		for _, w := range todo {
			b.tell(j, &n, w, w.head.Ref, nil)
		}
		return n, nil
	}
	err := b.set.Do(func(c *ledger.Change) error {
		for _, w := range todo {
			if w.was == nil {
				continue
			}
			id, err := c.Text(w.was)
			if err == nil {
				_, err = c.Keep(engine.Version{Member: b.member, UID: item.Read(w.was).UID, Item: string(w.head.Ref), Job: j.st.ID, Reason: "overwritten"}, id)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(todo) == 0 {
		return n, err
	}
	var writes []engine.Write
	for _, w := range todo {
		write := engine.Write{Verb: engine.Create, UID: w.uid, Text: w.text}
		if w.was != nil {
			write.Verb, write.Old, write.Was = engine.Replace, w.head, item.Sum(w.was)
		}
		writes = append(writes, write)
	}
	for i, out := range b.storage.Apply(ctx, writes) {
		if i < 0 {
			return n, out.Err
		}
		b.tell(j, &n, todo[i], out.Head.Ref, out.Err)
	}
	return n, ctx.Err()
}

func (b *bench) tell(j *job, n *engine.Counts, w rewrite, ref engine.Ref, err error) {
	step := engine.ItemStep{Action: "modify", Member: b.member, Item: string(cmp.Or(ref, w.head.Ref))}
	switch {
	case err != nil:
		step.Action = "fail"
		n.Failed++
	case w.was == nil:
		step.Action = "add"
		n.Added++
	default:
		n.Modified++
	}
	j.progress.item(step)
}
