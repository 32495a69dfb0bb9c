package check

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// writes takes one item through its life.
func (c *checker) writes(ctx context.Context, col engine.Collection) {
	s, err := c.storage(col)
	if err != nil {
		c.rule(col.Name+": it can be opened", err)
		return
	}
	uid := engine.UID("davbus-check-" + strings.ToLower(rand.Text()))
	first := text(col, uid, "davbus check one")
	made, err := write(ctx, s, engine.Write{Verb: engine.Create, UID: uid, Text: first})
	if err == nil {
		defer c.tidy(ctx, col, s, made.Ref)
		err = is(ctx, s, made, "davbus check one")
	}
	if !c.rule(col.Name+": a new item is there after it was created, under the ref and etag of the answer", err) {
		return
	}
	c.rule(col.Name+": creating an item anew leaves the one that is there alone", c.createsAgain(ctx, col, s, made, uid))

	changed, err := write(ctx, s, engine.Write{Verb: engine.Replace, Old: made, Text: text(col, uid, "davbus check two")})
	if err == nil && changed.Etag == made.Etag {
		err = fmt.Errorf("the etag is %q before and after", made.Etag)
	}
	if err == nil {
		err = is(ctx, s, changed, "davbus check two")
	}
	if !c.rule(col.Name+": an item is replaced, and has another etag then", err) {
		return
	}
	stale := made
	_, err = write(ctx, s, engine.Write{Verb: engine.Replace, Old: stale, Text: text(col, uid, "davbus check three")})
	if err = want(err, engine.Changed); err == nil {
		err = is(ctx, s, changed, "davbus check two")
	}
	c.rule(col.Name+": an item that was changed meanwhile is not replaced", err)
	_, err = write(ctx, s, engine.Write{Verb: engine.Delete, Old: stale})
	if err = want(err, engine.Changed); err == nil {
		err = is(ctx, s, changed, "davbus check two")
	}
	c.rule(col.Name+": an item that was changed meanwhile is not deleted", err)

	err = c.source.Close()
	if err == nil {
		_, err = c.source.Look(ctx, true) // starts it anew
	}
	if err == nil {
		err = is(ctx, s, changed, "davbus check two")
	}
	c.rule(col.Name+": an item outlives the plugin, with its ref and etag", err)

	_, err = write(ctx, s, engine.Write{Verb: engine.Delete, Old: changed})
	if err == nil {
		err = isNot(ctx, s, changed.Ref)
	}
	if !c.rule(col.Name+": an item is deleted", err) {
		return
	}
	_, err = write(ctx, s, engine.Write{Verb: engine.Replace, Old: changed, Text: first})
	if engine.IsKind(err, engine.NotFound) {
		err = nil
	} else {
		err = want(err, engine.Changed)
	}
	if err == nil {
		err = isNot(ctx, s, changed.Ref)
	}
	c.rule(col.Name+": an item that is gone is not replaced", err)
}

// createsAgain creates an item whose UID is there: that is refused, or makes
// another item.
func (c *checker) createsAgain(ctx context.Context, col engine.Collection, s storage, made engine.Head, uid engine.UID) error {
	twin, err := write(ctx, s, engine.Write{Verb: engine.Create, UID: uid, Text: text(col, uid, "davbus check twin")})
	if err == nil {
		if twin.Ref == made.Ref {
			return fmt.Errorf(`it was done over the one that is there; the error must be "exists"`)
		}
		c.tidy(ctx, col, s, twin.Ref)
	} else if !engine.IsKind(err, engine.Changed) { // it may say that somebody made it meanwhile
		if err = want(err, engine.AlreadyExists); err != nil {
			return err
		}
	}
	return is(ctx, s, made, "davbus check one")
}

// tidy removes what a rule left behind.
func (c *checker) tidy(ctx context.Context, col engine.Collection, s storage, ref engine.Ref) {
	all, err := list(ctx, s)
	if etag, there := all[ref]; err == nil && there {
		_, err = write(ctx, s, engine.Write{Verb: engine.Delete, Old: engine.Head{Ref: ref, Etag: etag}})
	}
	if err != nil {
		c.rule(col.Name+": what was made for the check can be removed", fmt.Errorf("remove the item %s by hand: %w", ref, err))
	}
}

func write(ctx context.Context, s storage, w engine.Write) (engine.Head, error) {
	for _, out := range s.Apply(ctx, []engine.Write{w}) {
		return out.Head, out.Err
	}
	return engine.Head{}, fmt.Errorf("nothing came of the %s", w.Verb)
}

// want tells what is wrong about an error.
func want(err error, kind engine.Kind) error {
	switch {
	case err == nil:
		return fmt.Errorf("it was done; the error must be %q", wireName(kind))
	case !engine.IsKind(err, kind):
		return fmt.Errorf("the error must be %q: %w", wireName(kind), err)
	}
	return nil
}

func wireName(k engine.Kind) string {
	return map[engine.Kind]string{engine.Changed: "changed", engine.AlreadyExists: "exists"}[k]
}

// is tells what is wrong about an item that should be there.
func is(ctx context.Context, s storage, h engine.Head, summary string) error {
	all, err := list(ctx, s)
	if err != nil {
		return err
	}
	if etag, there := all[h.Ref]; !there || etag != h.Etag {
		return fmt.Errorf("the answer says ref %q and etag %q; listed is the etag %q", h.Ref, h.Etag, etag)
	}
	for it, err := range s.Fetch(ctx, []engine.Ref{h.Ref}) {
		if err != nil {
			return err
		}
		if got := item.Read(it.Text).Summary; got != summary {
			return fmt.Errorf("its summary is %q; it must be %q: where the storage rewrites a text, the answer to commit has that text, and the summary stays", got, summary)
		}
		return nil
	}
	return fmt.Errorf("%s is listed, and cannot be read", h.Ref)
}

func isNot(ctx context.Context, s storage, ref engine.Ref) error {
	all, err := list(ctx, s)
	if _, there := all[ref]; err == nil && there {
		err = fmt.Errorf("%s is still listed", ref)
	}
	return err
}
