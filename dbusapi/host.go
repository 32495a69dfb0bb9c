// Package dbusapi is the face of davbus on the message bus. It is thin: it
// checks arguments, asks the Host, and publishes what the feed tells.
package dbusapi

import (
	"context"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
)

// A Caller is who asks, for Initiator and for access rules.
type Caller struct {
	Name      string // unique name, ":1.42"
	Initiator string // application id or executable
	Sandboxed bool   // or not proved to be outside one
	App       string // application id; "" if not sandboxed, or not known
	PID, UID  uint32 // as the bus or the kernel says; 0 if that is not known
}

// A SyncRequest is one call of Sync.
type SyncRequest struct {
	What      string // "", a group, an account, ACCOUNT/COLLECTION
	Mode      string // "", "two-way", "from:MEMBER"
	Slow      bool
	DryRun    bool
	IfRunning string // "join", "queue", "fail"
	Timeout   time.Duration
	Caller    Caller
}

// A Host is what the bus needs from the program. Every method returns within a
// second; what takes longer is a job. Errors are *engine.Error: their kind
// becomes the name on the bus. When a method returns, the events it caused have
// been published on the feed.
type Host interface {
	// Watch gives the state and what follows it, without a gap.
	Watch() (*engine.Snapshot, *feed.Sub)
	// Seq is the number of the newest event.
	Seq() uint64

	Sync(SyncRequest) (engine.JobID, error)
	Cancel(job engine.JobID, force bool) error
	// Report gives a job's report: of a finished one from the ledger.
	Report(engine.JobID) (engine.Report, error)
	History(what string, offset, limit int) ([]engine.Report, error)
	Lookup(what string) (engine.Target, error)

	AddAccount(cfg engine.AccountConfig, ensure bool) (engine.AccountID, error) // ID "" lets the host choose
	UpdateAccount(id engine.AccountID, set engine.Params, unset []string) (needsRestart []string, err error)
	SetAccountName(id engine.AccountID, displayName string) error
	EnableAccount(id engine.AccountID, on bool) error
	RemoveAccount(id engine.AccountID, forgetSecrets bool) error
	SetSecret(id engine.AccountID, name string, value []byte, store string) error
	ForgetSecret(id engine.AccountID, name, store string) error
	Discover(id engine.AccountID, forgetGone bool, by Caller) (engine.JobID, error)
	Check(id engine.AccountID, try engine.Params, by Caller) (engine.JobID, error)
	CreateCollection(ctx context.Context, id engine.AccountID, c engine.Collection) (engine.MemberID, error)
	UpdateCollection(id engine.MemberID, set engine.Meta, unset []engine.MetaKey, by Caller) (engine.JobID, error)
	Parameters(kind string) ([]engine.ParamSpec, error)

	AddGroup(cfg engine.GroupConfig, ensure bool) (engine.GroupID, error)
	UpdateGroup(id engine.GroupID, set map[string]any, unset []string) (needsRestart []string, err error)
	RemoveGroup(engine.GroupID) error
	AddMember(id engine.GroupID, member string) error
	RemoveMember(id engine.GroupID, member string) error
	ResetState(engine.GroupID) error
	ConfirmDeletions(id engine.GroupID, proceed bool, member engine.MemberID, expect *uint32, by Caller) (engine.JobID, error)

	Conflicts(what string, offset, limit int) ([]engine.ConflictState, error)
	Problems(what string, heldOnly bool, offset, limit int) ([]engine.Problem, error)
	ConflictTexts(id string) (engine.ConflictTexts, error)
	Resolve(id string, r engine.Resolution, by Caller) (engine.JobID, error)
	Versions(m engine.MemberID, item string, offset, limit int) ([]engine.Version, error)
	Restore(m engine.MemberID, item string, version uint64, asCopy bool, by Caller) (engine.JobID, error)
	Undo(job engine.JobID, member engine.MemberID, dryRun bool, by Caller) (engine.JobID, error)
	Explain(m engine.MemberID, item string) ([]string, error)
	Repair(m engine.MemberID, dryRun bool, by Caller) (engine.JobID, error)

	Pause(d time.Duration, cancelRunning bool) error // 0: until Resume
	Resume() error
	// Inhibit holds off "idle-exit" or "schedule" until release is called.
	Inhibit(what, reason string) (release func(), err error)

	Reload(dryRun bool) (changed []string, err error)
	Statistics() map[string]uint64
	Quit(finishJobs bool)
	Facts() Facts
}

// Facts do not change while the program runs.
type Facts struct {
	Version        string
	Started        time.Time
	ConfigPath     string
	ControlPath    string
	IntroducerPath string
	Capabilities   []string
	StreamTypes    []string
}

// A Log changes how much the program logs; it is org.freedesktop.LogControl1.
type Log interface {
	Level() string
	SetLevel(string) error
	Target() string
	Recent(most int) []string // the newest lines, oldest first
}
