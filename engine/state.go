package engine

import "time"

// The states below are immutable: each change makes a new one. They hold what
// the bus shows, in Go's types; every one of their strings may hold any bytes.

// A Failure is why something does not work, for people and for programs. The
// zero Failure means that all is well.
type Failure struct {
	Kind    Kind
	Message string
	Set     bool // false for the zero Failure, since Internal is kind 0
}

// FailureOf makes a Failure of an error; nil gives the zero Failure.
func FailureOf(err error) Failure {
	if err == nil {
		return Failure{}
	}
	return Failure{KindOf(err), err.Error(), true}
}

// An AccountConfig is what a person set up for one account. No secret is in it.
type AccountConfig struct {
	ID          AccountID
	Kind        string // "dav", "vdir", …
	DisplayName string
	Enabled     bool
	Params      Params
	Managed     bool  // its file is a link or not writable
	Invalid     error // why the file cannot be used; the account is kept and shown
}

// A GroupConfig is what a person set up for one group.
type GroupConfig struct {
	ID              GroupID
	Members         []string // accounts, or ACCOUNT/COLLECTION; two or more
	Enabled         bool
	Direction       string // "two-way" or "from:MEMBER"
	ConflictPolicy  string // "merge", "ask", "newest", "keep-both", "member:ID", "command"
	ConflictCommand []string
	IntervalSec     uint32
	CreateMissing   []string // members in which missing collections are made
	ReadOnlyPolicy  string   // "ignore" or "revert"
	HoldItems       uint32
	HoldPercent     uint32
	Managed         bool
	Invalid         error
}

// DefaultGroup is a group with every default: see davbus-config(5).
func DefaultGroup() GroupConfig {
	return GroupConfig{
		Enabled: true, Direction: "two-way", ConflictPolicy: "merge", IntervalSec: 900,
		ReadOnlyPolicy: "ignore", HoldItems: 10, HoldPercent: 20,
	}
}

// An AccountState is an account as it stands.
type AccountState struct {
	AccountConfig
	State            string // "disabled", "idle", "queued", "syncing", "offline", "secret-missing", "secret-locked", "untrusted-certificate", "error", "plugin-missing"
	Failure          Failure
	URL              string
	Transport        string // "tcp", "unix", "exec", "fd", "none"
	TransportAddress string
	SecretState      string
	Capabilities     []string
	Collections      []MemberID
	LastAttempt      time.Time
	LastSuccess      time.Time
	NextAttempt      time.Time
}

// A CollectionState is a collection as it stands.
type CollectionState struct {
	ID      MemberID
	Account AccountID
	Collection
	Revision    string
	ItemCount   uint32
	Groups      []GroupID
	LastSuccess time.Time
	Failure     Failure
}

// A GroupState is a group as it stands.
type GroupState struct {
	GroupConfig
	State          string
	SlowSyncReason string
	Job            JobID // 0 if none
	LastResult     string
	LastSuccess    time.Time
	NextRun        time.Time
	ConflictCount  uint32
	ProblemCount   uint32
	HeldDeletions  uint32
	Failure        Failure
}

// A Target is what a job works on: one of the fields, or none for everything.
type Target struct {
	Account    AccountID
	Collection MemberID
	Group      GroupID
}

// Results of a job.
const (
	Success   = "success"
	Partial   = "partial"
	Failed    = "failed"
	Cancel    = "cancelled"
	Skipped   = "skipped"
	StateDone = "done" // JobState.State of a job that has ended
)

// A JobState is a job as it stands.
type JobState struct {
	ID          JobID
	Kind        string
	Target      Target
	Initiator   string
	State       string // "queued", "running", "waiting", "cancelling", "done"
	Progress    Progress
	Cancellable bool
	Result      string
	Failure     Failure
	Queued      time.Time
	Started     time.Time
	Finished    time.Time
	Report      Report // complete when State is "done", the numbers so far before
}

// Progress is how far a job has come.
type Progress struct {
	Phase      string // "", "connect", "list", "fetch", "compare", "write", "finish"
	ItemsDone  uint64
	ItemsTotal uint64 // 0 while not known
	BytesDone  uint64
}

// Percent is 0 to 100, or -1 while it cannot be told.
func (p Progress) Percent() int32 {
	if p.ItemsTotal == 0 {
		return -1
	}
	return int32(min(100, p.ItemsDone*100/p.ItemsTotal))
}

// Counts are what was done, or would be done in a dry run.
type Counts struct {
	Added, Modified, Removed, Failed, Merged, Conflicts, Held uint32
	Bytes                                                     uint64
	Requests                                                  uint32
}

// Add adds the counts of a part.
func (c *Counts) Add(d Counts) {
	c.Added += d.Added
	c.Modified += d.Modified
	c.Removed += d.Removed
	c.Failed += d.Failed
	c.Merged += d.Merged
	c.Conflicts += d.Conflicts
	c.Held += d.Held
	c.Bytes += d.Bytes
	c.Requests += d.Requests
}

// A PartReport counts for one set or one member.
type PartReport struct {
	ID string
	Counts
	Failure    Failure
	SlowReason string // of a set: why everything was compared; "" if it was not
}

// A Report says what a job did. It is kept in the ledger.
type Report struct {
	Job      JobID
	Kind     string
	Target   Target
	Result   string
	Failure  Failure
	Started  time.Time
	Finished time.Time
	Counts
	Sets    []PartReport
	Members []PartReport
	Lines   []string       // for "check": the steps, one line each
	Extra   map[string]any // for "check": "capabilities" []string, "collections" uint32
}

// A ConflictState is an item that members changed in different ways.
type ConflictState struct {
	ID        string // stable over restarts
	Group     GroupID
	Set       string // the set in the group
	UID       UID
	ItemName  string
	Members   []MemberID
	Component string
	Kind      string // "modified", "modified-removed", "added"
	Detected  time.Time
	State     string // "open", "resolving", "resolved"
}

// ConflictTexts are the texts of an open conflict.
type ConflictTexts struct {
	Members  map[MemberID][]byte // nil where it is gone
	Base     []byte              // what they last agreed on; nil if it is not kept
	Proposal []byte              // the merge, with the clashing properties as in the first member
	Clashes  []string            // names of the properties in dispute
	Summary  string
	Revision string // differs once a member has moved
}

// A Resolution is how a person settles a conflict.
type Resolution struct {
	Choice   string // "member:ID", "newest", "both", "merged", "skip"
	Data     []byte // for "merged"; nil for the proposal
	Revision string // "" for any
}

// A Version is a text that an item had before it was overwritten or deleted.
type Version struct {
	ID       uint64
	Member   MemberID
	UID      UID
	Item     string
	Replaced time.Time
	Job      JobID
	Reason   string // "overwritten", "deleted", "merged", "conflict"
}

// A Problem is one item that could not be synced, and why; with Held, a deletion
// that waits for a person.
type Problem struct {
	Group   GroupID
	Member  MemberID
	Item    string // its name there
	UID     UID
	Failure Failure
	Since   time.Time
	Tries   uint32
	NextTry time.Time
	Held    bool
}

// A ManagerState is the whole as it stands.
type ManagerState struct {
	State           string // "idle", "syncing", "paused", "offline"
	Online          bool
	PausedUntil     time.Time
	Jobs            []JobID // queued and running, in the order in which they will run
	ConflictCount   uint32
	AttentionNeeded bool
	LastSuccess     time.Time
	NextRun         time.Time
	AccountKinds    []string
	ConfigState     string // "loaded", "changed-on-disk", "invalid"
}

// A Snapshot is the whole state at one moment. It never changes, so reading it
// never waits for a sync.
type Snapshot struct {
	Seq         uint64 // the last event that it includes
	Manager     ManagerState
	Accounts    map[AccountID]*AccountState
	Collections map[MemberID]*CollectionState
	Groups      map[GroupID]*GroupState
	Jobs        map[JobID]*JobState // those that linger too
	Conflicts   map[string]*ConflictState
}
