package keeper

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A rewrite is one item of one member that a person wants otherwise. It is made
// as anybody's edit is made, and the sync that follows brings it to the others;
// what it overwrites goes to history first.
type rewrite struct {
	head engine.Head // of what is there; zero to create
	uid  engine.UID
	was  []byte // what is there
	text []byte
}

// Restore brings an earlier version of an item back; with asCopy it becomes an
// item of its own.
func (k *Keeper) Restore(m engine.MemberID, name string, version uint64, asCopy bool, by string) (engine.JobID, error) {
	all, err := k.Versions(m, name, 0, 1<<20)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(all, func(v engine.Version) bool { return v.ID == version })
	if i < 0 {
		return 0, engine.Fail(engine.NotFound, "restore", string(m)+"/"+name, "it has no version %d (any more); list its versions", version)
	}
	text, err := k.opt.Ledger.VersionText(version)
	if err != nil {
		return 0, err
	}
	if asCopy {
		text = item.WithUID(text, newUID())
	}
	return k.rewriteJob("restore", m, false, by, func(ctx context.Context, b *bench) ([]rewrite, error) {
		w := rewrite{uid: item.Read(text).UID, text: text}
		if !asCopy {
			ref, err := b.find(all[i])
			if err != nil {
				return nil, err
			}
			if w.head, w.was, err = b.read(ctx, ref); err != nil {
				return nil, err
			}
		}
		return []rewrite{w}, nil
	})
}

// Repair gives items without a UID, or with one that another item of the
// collection has, a new one. Of several with one UID the one that is in step
// with the others keeps it.
func (k *Keeper) Repair(m engine.MemberID, dryRun bool, by string) (engine.JobID, error) {
	if err := k.checkCollection("repair", m); err != nil {
		return 0, err
	}
	return k.rewriteJob("repair", m, dryRun, by, func(ctx context.Context, b *bench) ([]rewrite, error) {
		all, err := b.readAll(ctx)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(all, func(x, y rewrite) int {
			return cmp.Or(cmp.Compare(b2i(b.marked(y.head.Ref)), b2i(b.marked(x.head.Ref))), cmp.Compare(x.head.Ref, y.head.Ref))
		})
		var bad []rewrite
		taken := map[engine.UID]bool{}
		for _, w := range all {
			info := item.Read(w.was)
			if !info.Parsed || info.Many || info.UID != "" && !taken[info.UID] {
				taken[info.UID] = true
				continue
			}
			w.uid = newUID()
			w.text = item.WithUID(w.was, w.uid)
			bad = append(bad, w)
		}
		return bad, nil
	})
}

func newUID() engine.UID { return engine.UID(strings.ToLower(rand.Text())) }

// rewriteJob queues a job that works out what to rewrite at one member, does it,
// and syncs the sets of that member.
func (k *Keeper) rewriteJob(kind string, m engine.MemberID, dry bool, by string, plan func(context.Context, *bench) ([]rewrite, error)) (number engine.JobID, err error) {
	err = k.ask(func() error {
		c := k.cols[m]
		if c == nil {
			return engine.Fail(engine.NotFound, kind, string(m), "there is no collection of this id")
		}
		target := engine.Target{Collection: m}
		if err := k.checkEnabled(target); err != nil {
			return err
		}
		if len(k.groupsOf(target)) == 0 {
			return engine.Fail(engine.NotSupported, kind, string(m), "no enabled group keeps this collection in step, so that there is nothing to go by")
		}
		number, err = k.syncNow(syncOrder{kind: kind, target: target, initiator: by, dry: dry, ifRunning: "queue",
			before: func(ctx context.Context, j *job, views map[engine.AccountID]view) (engine.Counts, error) {
				b, err := k.bench(ctx, kind, m, views)
				if err != nil {
					return engine.Counts{}, err
				}
				todo, err := plan(ctx, b)
				if err != nil {
					return engine.Counts{}, err
				}
				return b.rewrite(ctx, j, todo, dry)
			}})
		return err
	})
	return number, err
}
