package dbusapi

import (
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// maxConflicts is how many conflicts have an object at a time. GetManagedObjects
// must stay small; ListConflicts pages through the others.
const maxConflicts = 256

// manager shows the state of the whole, which two interfaces of the root share.
func (p *publisher) manager(m engine.ManagerState) {
	p.view.write(func() { p.view.manager = m })
	p.change(p.root, managerProps(m))
	p.change(p.control, props{"ConfigState": text(m.ConfigState)})
}

// lists shows the paths of all accounts and groups on the root. It follows an
// object's appearance, and precedes nothing: a path in it may be asked at once.
func (p *publisher) lists() {
	p.change(p.root, rootLists(p.view))
}

func rootLists(v *view) props {
	var accounts, groups []dbus.ObjectPath
	v.read(func() {
		accounts = each(slices.Sorted(maps.Keys(v.accounts)), accountPath)
		groups = each(slices.Sorted(maps.Keys(v.groups)), groupPath)
	})
	return props{"Accounts": accounts, "Groups": groups}
}

func (p *publisher) account(a *engine.AccountState) {
	p.view.write(func() { p.view.accounts[a.ID] = a })
	p.show(accountPath(a.ID), func() tree.Interface { return p.parts.account(a.ID) }, accountProps(a))
	p.lists()
}

func (p *publisher) accountGone(id engine.AccountID) {
	for _, member := range p.view.collectionsOf(id) {
		p.collectionGone(member)
	}
	p.view.write(func() { delete(p.view.accounts, id) })
	p.drop(accountPath(id))
	p.lists()
}

func (p *publisher) collection(c *engine.CollectionState) {
	p.view.write(func() { p.view.collections[c.ID] = c })
	p.show(collectionPath(c.ID), func() tree.Interface { return p.parts.collection(c.ID) }, collectionProps(c))
}

func (p *publisher) collectionGone(id engine.MemberID) {
	p.view.write(func() { delete(p.view.collections, id) })
	delete(p.items, id)
	p.drop(collectionPath(id))
}

func (p *publisher) group(g *engine.GroupState) {
	p.view.write(func() { p.view.groups[g.ID] = g })
	p.show(groupPath(g.ID), func() tree.Interface { return p.parts.group(g.ID) }, groupProps(g))
	p.lists()
}

func (p *publisher) groupGone(id engine.GroupID) {
	p.view.write(func() { delete(p.view.groups, id) })
	p.drop(groupPath(id))
	p.lists()
}

func (p *publisher) conflict(c *engine.ConflictState) {
	known := p.view.hasConflict(c.ID)
	room := false
	p.view.write(func() {
		p.view.conflicts[c.ID] = c
		room = len(p.view.shown) < maxConflicts
		if known || room {
			p.view.shown[c.ID] = true
		}
	})
	if known || room {
		p.show(conflictPath(c.ID), func() tree.Interface { return p.parts.conflict(c.ID) }, conflictProps(c))
	}
}

// conflictGone frees a place, which the oldest conflict without an object takes.
func (p *publisher) conflictGone(id string) {
	known := p.view.hasConflict(id)
	p.view.write(func() {
		delete(p.view.conflicts, id)
		delete(p.view.shown, id)
	})
	if !known {
		return
	}
	p.drop(conflictPath(id))
	for _, c := range p.conflictsByAge() {
		if !p.view.hasConflict(c.ID) {
			p.conflict(c)
			return
		}
	}
}

func (p *publisher) conflictsByAge() []*engine.ConflictState {
	out := sorted(p.view, p.view.conflicts)
	slices.SortStableFunc(out, func(a, b *engine.ConflictState) int { return a.Detected.Compare(b.Detected) })
	return out
}

// attention tells once that an account or a group began to need the user.
func (p *publisher) attention(a engine.Attention) {
	path := groupPath(a.Group)
	if a.Account != "" {
		path = accountPath(a.Account)
	}
	details := dict{}
	if a.URL != "" {
		details["url"] = dbus.MakeVariant(text(a.URL))
	}
	if a.Status != 0 {
		details["http-status"] = dbus.MakeVariant(uint32(a.Status))
	}
	p.emit(Root, ifManager, "AttentionRequired", path, failureName(a.Failure), message(a.Failure.Message), details)
}

// begin shows a snapshot: everything that is there when the face opens. Nobody
// knows our name yet, so it is announced to nobody in particular.
func (p *publisher) begin(s *engine.Snapshot) error {
	p.manager(s.Manager)
	for _, id := range slices.Sorted(maps.Keys(s.Accounts)) {
		p.account(s.Accounts[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.Collections)) {
		p.collection(s.Collections[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.Groups)) {
		p.group(s.Groups[id])
	}
	p.view.write(func() { maps.Copy(p.view.conflicts, s.Conflicts) })
	for _, c := range p.conflictsByAge() {
		p.conflict(c)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Jobs)) {
		if j := p.newJob(s.Jobs[id]); j.state.State == engine.StateDone {
			j.story.end(doneLine(j.state))
			close(j.done)
		}
	}
	p.reached(s.Seq)
	return p.err
}
