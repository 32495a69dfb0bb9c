// Package group brings the members of one set into step: it surveys them,
// lets package plan decide, and carries the plan out, with an intent in the
// ledger before every write and the outcome after it.
package group

import (
	"context"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// A Member is one collection of the set, as this run finds it.
type Member struct {
	ID         engine.MemberID
	Identity   string         // of the storage; marks of another identity are not used
	Storage    engine.Storage // nil: unread, left out of this run, its marks kept
	Err        error          // why it is unread
	State      string         // Collection.State: equal to the one in the ledger means not moved
	ReadOnly   bool           // by configuration, server or folder
	Components []string       // what it takes; nil for all. What is filtered is not gone
	Formats    []string       // of cards that it takes; nil for all. Others go there in one of these
	Scheduling bool           // the server sends invitations
	Properties []string       // that it keeps, see item.Keeps; nil for all
	OwnUIDs    bool           // it gives items UIDs of its own: those of others mean nothing to it
	Addresses  []string       // the account's own, as ORGANIZER would name them; nil if not known

	// Meta is the collection's properties as the source's Look showed them; nil:
	// the storage is asked, if it is a MetaStorage.
	Meta engine.Meta
}

// Rules are what a person set up for the group.
type Rules struct {
	From           engine.MemberID // one way, from this member; "" for two-way
	Policy         string          // "merge", "ask", "newest", "keep-both", "member", "command"
	Prefer         engine.MemberID // for "member"
	Command        []string        // for "command"
	RevertReadOnly bool
	HoldItems      uint32
	HoldPercent    uint32
	ServerInvites  bool // new invitations are not held, however many
}

// Options are what a caller asked of this run.
type Options struct {
	Job    engine.JobID
	DryRun bool // name what would be done, change nothing, not even the ledger
	Slow   bool // trust no mark's etag or state: compare everything

	// Proceed settles held deletions: exactly those that the ledger lists as
	// held now, at Only or everywhere; Restore puts them back where they are gone.
	Proceed, Restore bool
	Only             engine.MemberID

	// Decide settles one conflict.
	Decide *Decision

	// Force breaks off a write that is under way. While it has not ended, a run
	// whose own context ends finishes that write first. nil: both at once.
	Force context.Context
}

// A Decision is how a person settles one conflict.
type Decision struct {
	Conflict string          // its id
	Choice   string          // "member", "newest", "both", "merged", "skip"
	Member   engine.MemberID // for "member"
	Text     []byte          // for "merged"; nil for the proposal
}

// A Sink is told what happens, as it happens. It never waits.
type Sink interface {
	// Phase begins "list", "fetch", "compare", "write" or "finish".
	Phase(name string)
	// Total adds to what there is to do, Done to what is done.
	Total(items int)
	Done(items int, bytes int64)
	// Item tells of one item.
	Item(step engine.ItemStep)
}

// A Result is what one run of one set did.
type Result struct {
	Set     engine.PartReport   // Failure set if the set could not be finished
	Members []engine.PartReport // one for each member; Failure set where it was unread or failed

	// Changed names what changed at each member by our writes and by others.
	Changed map[engine.MemberID]engine.ItemsChanged
	// Count is how many items each member that was read has.
	Count map[engine.MemberID]int
	// Meta is what the properties of a member's collection are now, where the run
	// wrote one of them.
	Meta map[engine.MemberID]engine.Meta
	// Again says that a server refused new items since it still has their UID
	// elsewhere: the set is worth another run once the job's other sets have made
	// their deletions.
	Again bool
}

// Sync runs once. An error is a failure of the whole run (the ledger, a
// cancelled context); what one member or item did wrong is in the Result.
// Conflicts, problems and held deletions are in the ledger afterwards.
func Sync(ctx context.Context, set *ledger.Set, members []Member, rules Rules, opt Options, sink Sink) (Result, error) {
	r := newRun(set, members, rules, opt, sink)
	err := r.sync(ctx)
	return r.result(), err
}
