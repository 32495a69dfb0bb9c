package engine

// An Event is a fact that has come to pass. The set is closed: a listener may
// switch over it and know that it has them all.
//
// A *State in an event replaces the one before it. In the order of events a
// thing exists from its first event to its Gone.
type Event interface{ event() }

type (
	ManagerChanged    struct{ State ManagerState }
	AccountChanged    struct{ State *AccountState } // also the first
	AccountGone       struct{ ID AccountID }
	CollectionChanged struct{ State *CollectionState }
	CollectionDropped struct{ ID MemberID }
	GroupChanged      struct{ State *GroupState }
	GroupGone         struct{ ID GroupID }
	ConflictChanged   struct{ State *ConflictState }
	ConflictGone      struct{ ID string }

	JobChanged struct{ State *JobState } // "queued" is the first, "done" the last
	JobGone    struct{ ID JobID }        // it lingers no more

	// JobProgress is the one event that may be skipped: a later one says more.
	JobProgress struct {
		Job      JobID
		Progress Progress
	}

	// JobItems tells what a job does to items, for those who watch it.
	JobItems struct {
		Job   JobID
		Items []ItemStep
	}

	// ItemsChanged tells names, never content.
	ItemsChanged struct {
		Collection               MemberID
		Added, Modified, Removed []string
	}

	// Attention is told once for each change, never repeated by a retry. One of
	// Account and Group is set.
	Attention struct {
		Account AccountID
		Group   GroupID
		Failure Failure
		URL     string
		Status  int
	}
)

// An ItemStep is one thing done to one item, or named by a dry run.
type ItemStep struct {
	Action string // "add", "modify", "remove", "conflict", "hold", "fail"
	Member MemberID
	Item   string
}

func (ManagerChanged) event()    {}
func (AccountChanged) event()    {}
func (AccountGone) event()       {}
func (CollectionChanged) event() {}
func (CollectionDropped) event() {}
func (GroupChanged) event()      {}
func (GroupGone) event()         {}
func (ConflictChanged) event()   {}
func (ConflictGone) event()      {}
func (JobChanged) event()        {}
func (JobGone) event()           {}
func (JobProgress) event()       {}
func (JobItems) event()          {}
func (ItemsChanged) event()      {}
func (Attention) event()         {}
