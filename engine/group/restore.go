package group

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
)

// Restore puts a text back into one member, as a person would who edits there:
// over the item of its UID if the member has it, else as a new one; as a copy,
// under a new UID. What it overwrites goes to history. The next run brings it to
// the others. name is what the item is, or was, called there.
func Restore(ctx context.Context, l *ledger.Ledger, m Member, name string, text []byte, asCopy bool, job engine.JobID) error {
	uid := item.Read(text).UID
	w := engine.Write{Verb: engine.Create, UID: uid, Old: engine.Head{Ref: engine.Ref(name)}, Text: fit(m.Formats, text, nil)}
	if asCopy {
		w.UID, w.Old = engine.UID(rand.Text()), engine.Head{}
		w.Text = item.WithUID(w.Text, w.UID)
	} else {
		there, err := find(ctx, m, engine.Ref(name), uid)
		if err != nil {
			return err
		}
		if there != nil {
			if w.Text = fit(m.Formats, text, there.Text); item.Same(there.Text, w.Text) {
				return nil
			}
			w.Verb, w.Old, w.Was = engine.Replace, there.Head, item.Sum(there.Text)
			if err := l.Keep(engine.Version{Member: m.ID, UID: uid, Item: string(there.Ref), Job: job, Reason: "overwritten"}, there.Text); err != nil {
				return err
			}
		}
	}
	return one(ctx, m.Storage, w)
}

// one makes one write and gives what came of it.
func one(ctx context.Context, s engine.Storage, w engine.Write) error {
	for _, out := range s.Apply(ctx, []engine.Write{w}) {
		return out.Err
	}
	return engine.Fail(engine.Internal, w.Verb.String(), string(w.UID), "the storage did not say what came of it")
}

// find looks for an item, first under its name and then under every name.
func find(ctx context.Context, m Member, ref engine.Ref, uid engine.UID) (*engine.Item, error) {
	for it, err := range m.Storage.Fetch(ctx, []engine.Ref{ref}) {
		if err != nil && it.Ref == "" {
			return nil, err
		}
		if err == nil && item.Read(it.Text).UID == uid {
			return &it, nil
		}
	}
	var found *engine.Item
	err := each(ctx, m.Storage, func(it engine.Item) bool {
		if item.Read(it.Text).UID == uid {
			found = &it
		}
		return found == nil
	})
	return found, err
}

// each reads every item that can be read.
func each(ctx context.Context, s engine.Storage, take func(engine.Item) bool) error {
	var refs []engine.Ref
	for h, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		refs = append(refs, h.Ref)
	}
	if len(refs) == 0 {
		return nil
	}
	for it, err := range s.Fetch(ctx, refs) {
		if err != nil && it.Ref == "" {
			return err
		}
		if err == nil && !take(it) {
			return nil
		}
	}
	return nil
}

// Repair gives a new UID to every item of a member that has none, or one that
// another item has; of those that share one the first by name keeps it. A dry run
// only names them. The next run brings what was repaired to the others.
func Repair(ctx context.Context, l *ledger.Ledger, m Member, job engine.JobID, dryRun bool, sink Sink) (engine.Counts, error) {
	var counts engine.Counts
	var all []engine.Item
	if err := each(ctx, m.Storage, func(it engine.Item) bool { all = append(all, it); return true }); err != nil {
		return counts, err
	}
	slices.SortFunc(all, func(a, b engine.Item) int { return strings.Compare(string(a.Ref), string(b.Ref)) })
	used := map[engine.UID]bool{}
	for _, it := range all {
		info := item.Read(it.Text)
		if info.Kind == "" || !info.Parsed || nested(info) {
			continue // nobody knows where a UID belongs in it
		}
		if info.UID != "" && !used[info.UID] {
			used[info.UID] = true
			continue
		}
		if !dryRun {
			if err := ctx.Err(); err != nil {
				return counts, cancelled(ctx)
			}
			if err := l.Keep(engine.Version{Member: m.ID, UID: info.UID, Item: string(it.Ref), Job: job, Reason: "overwritten"}, it.Text); err != nil {
				return counts, err
			}
			err := one(ctx, m.Storage, engine.Write{Verb: engine.Replace, Old: it.Head, Was: item.Sum(it.Text), Text: item.WithUID(it.Text, engine.UID(rand.Text()))})
			if err != nil && endsMember(err) {
				return counts, err
			} else if err != nil {
				counts.Failed++
				sink.Item(engine.ItemStep{Action: "fail", Member: m.ID, Item: string(it.Ref)})
				continue
			}
		}
		counts.Modified++
		sink.Item(engine.ItemStep{Action: "modify", Member: m.ID, Item: string(it.Ref)})
	}
	return counts, nil
}
