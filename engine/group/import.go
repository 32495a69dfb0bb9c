package group

import (
	"context"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/plan"
)

// An Import is what is to be written into one member.
type Import struct {
	Items   []Incoming
	Takes   engine.Collection // its kind and components
	Replace bool              // what is not among Items goes
	DryRun  bool

	// Guard bounds what Replace and deleted Items may take away: nil where a set
	// guards what comes of it at the other members. Confirmed is how many
	// deletions a person has agreed to; nil for none.
	Guard     *plan.Limits
	Confirmed *uint32
}

// UsualGuard are the bounds of a group that has every default.
func UsualGuard() *plan.Limits {
	usual := engine.DefaultGroup()
	return &plan.Limits{Items: int(usual.HoldItems), Percent: int(usual.HoldPercent)}
}

// An Imported is what came of an import. Lines tell people what is wrong with
// single items.
type Imported struct {
	engine.Counts
	Lines []string
}

// mostLines is how many items that failed are told one by one.
const mostLines = 100

// Bring writes items into a member, as a person would who edits there: over the
// item of the same UID if the member has it, else as a new one. What is
// overwritten or deleted goes to history. The next run brings it to the others.
func Bring(ctx context.Context, l *ledger.Ledger, m Member, job engine.JobID, o Import, sink Sink) (Imported, error) {
	b := &bringer{ledger: l, member: m, job: job, order: o, sink: sink}
	sink.Phase("list")
	if err := b.survey(ctx); err != nil {
		return b.done, err
	}
	sink.Phase("compare")
	writes := b.plan()
	if o.DryRun {
		for _, w := range writes {
			b.count(w, nil)
		}
		return b.done, nil
	}
	sink.Phase("write")
	sink.Total(len(writes))
	for some := range slices.Chunk(writes, 64) {
		if err := b.write(ctx, some); err != nil {
			return b.done, err
		}
	}
	return b.done, nil
}

type bringer struct {
	ledger *ledger.Ledger
	member Member
	job    engine.JobID
	order  Import
	sink   Sink
	done   Imported

	byUID map[engine.UID]there
	byRef map[engine.Ref]engine.UID
	rest  map[engine.Sum]there // what has no UID
}

// there is an item that the member has.
type there struct {
	engine.Head
	uid engine.UID
	sum engine.Sum
}

func (b *bringer) survey(ctx context.Context) error {
	b.byUID, b.byRef = map[engine.UID]there{}, map[engine.Ref]engine.UID{}
	b.rest = map[engine.Sum]there{}
	return each(ctx, b.member.Storage, func(it engine.Item) bool {
		has := there{it.Head, item.Read(it.Text).UID, item.Sum(it.Text)}
		if has.uid == "" {
			b.rest[has.sum] = has
			return true
		}
		b.byUID[has.uid], b.byRef[it.Ref] = has, has.uid
		return true
	})
}

// write carries out some writes. What they overwrite is in history before.
func (b *bringer) write(ctx context.Context, some []engine.Write) error {
	if err := ctx.Err(); err != nil {
		return cancelled(ctx)
	}
	if err := b.keep(ctx, some); err != nil {
		return err
	}
	told := make([]bool, len(some))
	for i, out := range b.member.Storage.Apply(ctx, some) {
		if i < 0 {
			return out.Err
		}
		told[i] = true
		if out.Err != nil && endsMember(out.Err) {
			return out.Err
		}
		b.count(some[i], out.Err)
	}
	if i := slices.Index(told, false); i >= 0 {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return engine.Fail(engine.Internal, some[i].Verb.String(), string(some[i].UID), "the storage did not say what came of it")
	}
	b.sink.Done(len(some), 0)
	return nil
}

// keep puts into history what is about to be overwritten or deleted.
func (b *bringer) keep(ctx context.Context, some []engine.Write) error {
	reasons := map[engine.Ref]engine.Write{}
	var refs []engine.Ref
	for _, w := range some {
		if w.Verb != engine.Create {
			reasons[w.Old.Ref] = w
			refs = append(refs, w.Old.Ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	for it, err := range b.member.Storage.Fetch(ctx, refs) {
		if err != nil && it.Ref == "" {
			return err
		}
		w, ok := reasons[it.Ref]
		if err != nil || !ok {
			continue // the write finds out
		}
		v := engine.Version{Member: b.member.ID, UID: w.UID, Item: string(it.Ref), Job: b.job, Reason: map[bool]string{true: "deleted", false: "overwritten"}[w.Verb == engine.Delete]}
		if err := b.ledger.Keep(v, it.Text); err != nil {
			return err
		}
	}
	return nil
}

// count counts a write and tells it.
func (b *bringer) count(w engine.Write, err error) {
	name := string(w.Old.Ref)
	if name == "" {
		name = string(w.UID)
	}
	step := engine.ItemStep{Member: b.member.ID, Item: name}
	switch {
	case err != nil:
		step.Action = "fail"
		b.failed(name + ": " + err.Error())
	case w.Verb == engine.Create:
		step.Action = "add"
		b.done.Added++
	case w.Verb == engine.Replace:
		step.Action = "modify"
		b.done.Modified++
	default:
		step.Action = "remove"
		b.done.Removed++
	}
	b.done.Bytes += uint64(len(w.Text))
	b.sink.Item(step)
}
