package keeper

import (
	"context"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
)

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
	return k.memberJob("restore", m, false, by, func(ctx context.Context, j *job, b *bench) (engine.Counts, error) {
		return b.restore(ctx, j, all[i], text, asCopy)
	})
}

// Repair gives items without a UID, or with one that another item of the
// collection has, a new one.
func (k *Keeper) Repair(m engine.MemberID, dryRun bool, by string) (engine.JobID, error) {
	return k.memberJob("repair", m, dryRun, by, func(ctx context.Context, j *job, b *bench) (engine.Counts, error) {
		return group.Repair(ctx, k.opt.Ledger, b.member, j.st.ID, dryRun, &sink{progress: j.progress, told: true})
	})
}

// memberJob queues a job that changes one member as a person would, and then
// syncs the sets of that member.
func (k *Keeper) memberJob(kind string, m engine.MemberID, dry bool, by string, do func(context.Context, *job, *bench) (engine.Counts, error)) (number engine.JobID, err error) {
	err = k.ask(func() error {
		if k.cols[m] == nil {
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
				return do(ctx, j, b)
			}})
		return err
	})
	return number, err
}

// restore puts a text back and tells so.
func (b *bench) restore(ctx context.Context, j *job, v engine.Version, text []byte, asCopy bool) (engine.Counts, error) {
	var there []byte
	if !asCopy {
		var err error
		if there, err = b.read(ctx, b.find(v)); err != nil {
			return engine.Counts{}, err
		}
	}
	if there != nil && item.Same(there, text) {
		return engine.Counts{}, nil
	}
	if err := group.Restore(ctx, b.keeper.opt.Ledger, b.member, v.Item, text, asCopy, j.st.ID); err != nil {
		return engine.Counts{}, err
	}
	return b.told(j, v, there), nil
}

// told tells that an item was put back, or would be.
func (b *bench) told(j *job, v engine.Version, there []byte) engine.Counts {
	step, n := engine.ItemStep{Action: "modify", Member: b.member.ID, Item: v.Item}, engine.Counts{Modified: 1}
	if there == nil {
		step.Action, n = "add", engine.Counts{Added: 1}
	}
	j.progress.item(step)
	return n
}
