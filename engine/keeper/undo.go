package keeper

import (
	"context"
	"maps"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// Undo puts back what a finished job overwrote or deleted, from the history; with
// a member, only what it lost there. What was changed since stays as it is.
func (k *Keeper) Undo(undone engine.JobID, m engine.MemberID, dryRun bool, by string) (number engine.JobID, err error) {
	report, err := k.Report(undone)
	if err != nil {
		return 0, err
	}
	lost, err := k.lostIn(undone, m)
	if err != nil {
		return 0, err
	}
	if len(lost) == 0 && report.Modified+report.Removed > 0 {
		return 0, engine.Fail(engine.NotFound, "undo", jobName(undone), "the history does not reach that far back any more")
	}
	err = k.ask(func() error {
		o := syncOrder{kind: "undo", initiator: by, dry: dryRun, ifRunning: "queue", target: report.Target,
			onlySet: func(s set) bool {
				return slices.ContainsFunc(slices.Collect(maps.Keys(lost)), s.has)
			},
			before: func(ctx context.Context, j *job, views map[engine.AccountID]view) (engine.Counts, error) {
				return k.putBack(ctx, j, undone, lost, views, dryRun)
			}}
		if !k.exists(o.target) {
			o.target = engine.Target{}
		}
		number, err = k.syncNow(o)
		return err
	})
	return number, err
}

// exists reports whether a target can still be synced.
func (k *Keeper) exists(t engine.Target) bool {
	return (t.Group == "" || k.groups[t.Group] != nil) && (t.Account == "" || k.accounts[t.Account] != nil) &&
		(t.Collection == "" || k.cols[t.Collection] != nil)
}

// lostIn are the versions that a job replaced, by member: of each item one, since
// putting it back at one member brings it to the others.
func (k *Keeper) lostIn(job engine.JobID, m engine.MemberID) (map[engine.MemberID][]engine.Version, error) {
	all, err := k.opt.Ledger.JobVersions(job, m)
	if err != nil {
		return nil, err
	}
	lost := map[engine.MemberID][]engine.Version{}
	seen := map[engine.UID]bool{}
	for _, v := range all {
		if v.Reason == "conflict" || v.UID != "" && seen[v.UID] {
			continue // a conflict overwrites nothing that was agreed
		}
		seen[v.UID] = true
		lost[v.Member] = append(lost[v.Member], v)
	}
	return lost, nil
}

// putBack restores what was lost, member by member.
func (k *Keeper) putBack(ctx context.Context, j *job, undone engine.JobID, lost map[engine.MemberID][]engine.Version, views map[engine.AccountID]view, dry bool) (engine.Counts, error) {
	var n engine.Counts
	for _, m := range slices.Sorted(maps.Keys(lost)) {
		b, err := k.bench(ctx, "undo", m, views)
		if err != nil {
			return n, err
		}
		for _, v := range lost[m] {
			did, err := b.undo(ctx, j, v, undone, dry)
			n.Add(did)
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// undo puts one version back, unless the item was changed since the job that is
// undone.
func (b *bench) undo(ctx context.Context, j *job, v engine.Version, undone engine.JobID, dry bool) (engine.Counts, error) {
	ref := b.find(v)
	there, err := b.read(ctx, ref)
	if err != nil {
		return engine.Counts{}, err
	}
	mark := b.marks()[ref]
	if there != nil && (b.item(mark.Item).Job != undone || item.Sum(there) != mark.Sum) {
		j.progress.item(engine.ItemStep{Action: "fail", Member: v.Member, Item: v.Item})
		return engine.Counts{Failed: 1}, nil
	}
	if dry {
		return b.told(j, v, there), nil
	}
	text, err := b.keeper.opt.Ledger.VersionText(v.ID)
	if err != nil {
		return engine.Counts{}, err
	}
	return b.restore(ctx, j, v, text, false)
}
