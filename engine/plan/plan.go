// Package plan decides what a run must do to bring the members of one set into
// step. It is pure: the same rows give the same plan, in the same order, and it
// reads no clock, no storage and no text.
//
// Match finds which item of a member belongs to which row. Reconcile decides,
// row by row. Where texts must be compared to decide, it says so with a Dispute;
// the caller looks at the texts and comes back with Agree. Guard comes last and
// holds back what looks like an accident.
package plan

import "davbus.org/davbus/engine"

// A Key names an item within its set for as long as the set knows it.
type Key string

// A Member is one member of the set. Members are numbered by their place.
type Member struct {
	ID       engine.MemberID
	ReadOnly bool // it is never written
}

// A Row is one item of the set: what was agreed, and where every member stands.
type Row struct {
	Key     Key
	UID     engine.UID // of the agreed text; "" if it has none
	Version uint64     // of the agreed text; 0 if nothing was ever agreed
	Sum     engine.Sum // of the agreed text
	Bare    Bares      // of the agreed text
	Marks   []*Mark    // by member; nil where it never was in step
	Seen    []Seen     // by member
	Restore bool       // where it is gone it is to come back
}

// A Mark is how a member held the item when it last was in step.
type Mark struct {
	engine.Head
	Sum     engine.Sum // of the text it held
	Bare    engine.Sum // of that text without its UID, for this member; zero if nothing is to be matched by it
	UID     engine.UID // that the text bore
	Version uint64     // that the text stands for; below the row's: it is behind
	Gone    bool       // it was known not to be there any more: a copy is news, whatever its text
}

// A Seen is what a run learned of one item at one member.
type Seen struct {
	Is Presence
	engine.Head
	Raw engine.Sum // of the text
	Sum engine.Sum // what the text counts as: see item.Settle
}

// A Presence is whether an item is there. Only a complete survey proves that it
// is not.
type Presence uint8

const (
	Unread  Presence = iota // not known, or none of this member's business
	Absent                  // it is not there
	Present                 // it is there
)

// A Policy is how disputes are settled.
type Policy uint8

const (
	Ask     Policy = iota // a person decides
	Merge                 // combine the edits; ask where they clash
	Newest                // the latest by SEQUENCE and LAST-MODIFIED, where all carry them
	Prefer                // one member's text
	Both                  // keep every text, the others under new UIDs
	Command               // a program decides
)

// Rules are what a person set up for the set.
type Rules struct {
	From   engine.MemberID // one way, from this member; "" for two-way
	Policy Policy
	Prefer engine.MemberID // for Prefer
	Revert bool            // read-only members rule: what others do is undone
}

// A Plan is what is to be done, in the order of keys. A row about which nothing
// is to be done has no step.
type Plan struct{ Steps []Step }

// A Step is what is to be done about one item. First the agreed version and the
// links are recorded, all at once; then come the writes, each for itself.
type Step struct {
	Key     Key
	Version uint64     // agreed from now on
	Sum     engine.Sum // of that version
	From    int        // the member whose text it is, or Ledger
	Ops     []Op       // in the order of members; a link before a write
	Forget  bool       // every member that had the item has let it go
	Dispute *Dispute   // undecided; then there is nothing else in the step
}

// Ledger says that the agreed text is the one which the ledger has.
const Ledger = -1

// A Verb is one kind of op.
type Verb uint8

const (
	Link    Verb = iota // record what the member holds, and what it stands for
	Create              // write the agreed text where there is none
	Replace             // write the agreed text over the member's own
	Delete              // remove the member's copy
)

func (v Verb) String() string { return [...]string{"link", "create", "replace", "delete"}[v] }

// An Op is one thing done at one member.
type Op struct {
	Member  int
	Verb    Verb
	Version uint64      // that the member's copy stands for afterwards; 0 with Delete
	Over    engine.Head // the member's copy now; zero with Create
	Was     engine.Sum  // of the text of Over
	Invites bool        // a Create that makes a server send invitations, said by the caller
}

// A Dispute is an item that members changed in different ways.
type Dispute struct {
	Kind  string // "modified", "modified-removed", "added"
	Sides []int  // the members that hold a text of their own
	// Agreed says that the agreed text is a side too: a member that was late, or
	// came new, holds another text, and nobody knows what the others did meanwhile.
	Agreed bool
	How    Policy // what to try
}

// Writes counts the ops that change a member.
func (p Plan) Writes() int {
	n := 0
	for _, s := range p.Steps {
		for _, op := range s.Ops {
			if op.Verb != Link {
				n++
			}
		}
	}
	return n
}
