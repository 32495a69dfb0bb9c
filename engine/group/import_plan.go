package group

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// plan makes the writes: first what comes, then what goes.
func (b *bringer) plan() []engine.Write {
	var come, gone []engine.Write
	named, kept := map[engine.UID]bool{}, map[engine.Sum]bool{}
	for _, in := range b.order.Items {
		if in.Deleted {
			if has, ok := b.byUID[b.byRef[engine.Ref(in.Name)]]; ok {
				gone = append(gone, engine.Write{Verb: engine.Delete, UID: has.uid, Old: has.Head, Was: has.sum})
			}
			continue
		}
		if why := b.wrong(in, named); why != "" {
			b.failed(in.Of() + ": " + why)
			continue
		}
		named[in.Info.UID] = true
		in.Text = fit(b.member.Formats, in.Text, nil)
		if _, same := b.rest[in.bare]; same && in.bare != (engine.Sum{}) {
			kept[in.bare] = true
			continue
		}
		has, ok := b.byUID[in.Info.UID]
		switch {
		case !ok:
			come = append(come, engine.Write{Verb: engine.Create, UID: in.Info.UID, Old: engine.Head{Ref: b.nameFor(in)}, Text: in.Text})
		case has.sum != item.Sum(in.Text):
			come = append(come, engine.Write{Verb: engine.Replace, UID: in.Info.UID, Old: has.Head, Was: has.sum, Text: in.Text})
		}
	}
	if b.order.Replace {
		gone = b.others(named, kept)
	}
	return append(come, b.guard(gone)...)
}

// wrong tells why an item cannot be taken; "" if it can.
func (b *bringer) wrong(in Incoming, named map[engine.UID]bool) string {
	takes := b.order.Takes
	switch {
	case in.Info.Kind == "" || !begins(in.Text, "BEGIN:VCALENDAR") && !begins(in.Text, "BEGIN:VCARD"):
		return "it is neither a calendar nor a card"
	case takes.Kind != "" && in.Info.Kind != takes.Kind:
		return fmt.Sprintf("it belongs into a collection of kind %s, and this one is of kind %s", in.Info.Kind, takes.Kind)
	case !in.Info.Parsed:
		return in.Info.Reason
	case in.Info.Many:
		return "it holds several items; give each its own line"
	case !item.Takes(takes.Components, in.Info):
		return fmt.Sprintf("this collection takes %v alone", takes.Components)
	case named[in.Info.UID]:
		return "its UID has come before"
	}
	return ""
}

func begins(text []byte, with string) bool {
	return len(text) > len(with) && bytes.EqualFold(text[:len(with)], []byte(with))
}

// nameFor is the name under which a new item came, if it is free.
func (b *bringer) nameFor(in Incoming) engine.Ref {
	if _, taken := b.byRef[engine.Ref(in.Name)]; taken {
		return ""
	}
	return engine.Ref(in.Name)
}

// others are the deletions of all that did not come. What failed may be any of
// them, so that one failure lets all of them stay.
func (b *bringer) others(named map[engine.UID]bool, kept map[engine.Sum]bool) []engine.Write {
	var gone []engine.Write
	for uid, has := range b.byUID {
		if !named[uid] {
			gone = append(gone, engine.Write{Verb: engine.Delete, UID: uid, Old: has.Head, Was: has.sum})
		}
	}
	for sum, has := range b.rest {
		if kept[sum] {
			continue
		}
		gone = append(gone, engine.Write{Verb: engine.Delete, Old: has.Head, Was: has.sum})
	}
	slices.SortFunc(gone, func(a, b engine.Write) int { return cmp.Compare(a.Old.Ref, b.Old.Ref) })
	if b.done.Failed > 0 && len(gone) > 0 {
		b.hold(gone, "some items could not be read, and may be among those that would be deleted")
		return nil
	}
	return gone
}

// guard holds deletions that look like an accident.
func (b *bringer) guard(gone []engine.Write) []engine.Write {
	g, n := b.order.Guard, len(gone)
	if g == nil || b.order.Confirmed != nil && int(*b.order.Confirmed) == n || !g.TooMany(n, n, len(b.byUID)+len(b.rest)) {
		return gone
	}
	b.hold(gone, fmt.Sprintf("%d items would be deleted; import once more and confirm exactly %d deletions", n, n))
	return nil
}

func (b *bringer) hold(gone []engine.Write, why string) {
	b.done.Held += uint32(len(gone))
	b.line("nothing was deleted: " + why)
	for _, w := range gone {
		b.sink.Item(engine.ItemStep{Action: "hold", Member: b.member.ID, Item: string(w.Old.Ref)})
	}
}

func (b *bringer) failed(why string) {
	b.done.Failed++
	b.line(why)
}

func (b *bringer) line(text string) {
	switch n := len(b.done.Lines); {
	case n < mostLines:
		b.done.Lines = append(b.done.Lines, text)
	case n == mostLines:
		b.done.Lines = append(b.done.Lines, "… and more")
	}
}
