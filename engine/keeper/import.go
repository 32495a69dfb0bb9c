package keeper

import (
	"context"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
)

// An ImportOrder is what is to be written into a collection.
type ImportOrder struct {
	Data      []byte // see group.ReadBatch
	Replace   bool   // what is not in Data goes
	DryRun    bool
	Confirmed *uint32 // deletions that a person has agreed to; nil for none
	By        string
}

// Import writes items into a collection as one job, as a person would who edits
// there; the members that are kept in step with it follow. Data that is not whole
// is refused, and nothing is changed.
func (k *Keeper) Import(m engine.MemberID, o ImportOrder) (number engine.JobID, err error) {
	items, err := group.ReadBatch(o.Data)
	if err != nil {
		return 0, engine.Fail(engine.InvalidItem, "import into", string(m), "%w; nothing was changed", err)
	}
	if len(items) == 0 && o.Replace {
		return 0, engine.Fail(engine.InvalidItem, "import into", string(m), "there is no item in it, and it would replace all that are there; nothing was changed")
	}
	err = k.ask(func() error {
		if k.cols[m] == nil {
			return engine.Fail(engine.NotFound, "import into", string(m), "there is no collection of this id")
		}
		target := engine.Target{Collection: m}
		if err := k.checkEnabled(target); err != nil {
			return err
		}
		in := &importing{keeper: k, id: m, order: o, items: items, kind: k.cols[m].st.Kind, alone: len(k.groupsOf(target)) == 0}
		number, err = k.syncNow(syncOrder{
			kind: "import", target: target, initiator: o.By, dry: o.DryRun, ifRunning: "queue", before: in.before, after: in.after,
		})
		return err
	})
	return number, err
}

// importing is one import under way.
type importing struct {
	keeper *Keeper
	id     engine.MemberID
	order  ImportOrder
	items  []group.Incoming
	kind   string // of the collection, where its storage does not tell
	alone  bool   // no group guards what comes of it
	done   group.Imported
}

func (i *importing) before(ctx context.Context, j *job, views map[engine.AccountID]view) (engine.Counts, error) {
	member, col, _, err := i.keeper.memberToChange(ctx, "import into", i.id, views)
	if err != nil {
		return engine.Counts{}, err
	}
	if col.Kind == "" {
		col.Kind = i.kind
	}
	o := group.Import{Items: i.items, Takes: col, Replace: i.order.Replace, DryRun: i.order.DryRun, Confirmed: i.order.Confirmed}
	if i.alone {
		o.Guard = group.UsualGuard()
	}
	told := &sink{progress: j.progress}
	j.progress.expect(1)
	defer told.end()
	i.done, err = group.Bring(ctx, i.keeper.opt.Ledger, member, j.st.ID, o, told)
	return i.done.Counts, err
}

// after tells what was imported, which is what the job counts: what the other
// members got of it is in their own reports. It names the items that were not.
func (i *importing) after(v *verdict) {
	c := &v.report.Counts
	c.Added, c.Modified, c.Removed = i.done.Added, i.done.Modified, i.done.Removed
	v.report.Lines = append(v.report.Lines, i.done.Lines...)
	var f engine.Failure
	switch {
	case i.done.Failed > 0:
		f = engine.FailureOf(engine.Fail(engine.InvalidItem, "import into", string(i.id), "%d items were left out: %s", i.done.Failed, i.done.Lines[0]))
	case i.done.Held > 0:
		f = engine.FailureOf(engine.Fail(engine.NeedsConfirmation, "import into", string(i.id), "%s", i.done.Lines[0]))
	default:
		return
	}
	if v.result == engine.Success || v.result == engine.Skipped || v.itemsOnly {
		v.result, v.failure, v.itemsOnly = engine.Partial, f, true
	}
}
