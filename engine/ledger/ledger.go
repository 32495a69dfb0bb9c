// Package ledger keeps what the members of a set agreed on, and everything else
// that must survive the process: intents, history, conflicts, problems, job
// numbers and reports.
package ledger

import (
	"davbus.org/davbus/engine"
)

// A Ledger is one SQLite file. It is safe for concurrent use.
type Ledger struct{}

// Opened tells how a ledger was found.
type Opened struct {
	Fresh    bool   // there was none: every set's first sync compares everything
	SetAside string // where a damaged file was moved; Fresh too then
}

// SetKey names one set.
type SetKey struct {
	Group engine.GroupID
	ID    string // the collections' common id, or "" in a group of collections
	Kind  string // engine.Calendar or engine.AddressBook
}

// Set is the part of the ledger that belongs to one set.
type Set struct{}

// Open opens the ledger in a file. A newer schema is an error of kind
// StorageError that says so; a damaged file is set aside.
func Open(path string) (*Ledger, Opened, error) { panic("placeholder") }

// Close waits for what is being written.
func (l *Ledger) Close() error { panic("placeholder") }

// Set gives the part of one set. Two handles of one set must not run at once.
func (l *Ledger) Set(key SetKey) *Set { panic("placeholder") }

// NextJob gives a job number that was never used.
func (l *Ledger) NextJob() (engine.JobID, error) { panic("placeholder") }

// FinishJob keeps the report of a job.
func (l *Ledger) FinishJob(r engine.Report) error { panic("placeholder") }

// History gives reports, newest first. match may be nil.
func (l *Ledger) History(match func(engine.Report) bool, offset, limit int) ([]engine.Report, error) {
	panic("placeholder")
}

// CollectionIDs are the ids once given to collections of an account, by identity.
func (l *Ledger) CollectionIDs(a engine.AccountID) (map[string]KnownCollection, error) {
	panic("placeholder")
}

// A KnownCollection is what is remembered of a collection, found or not.
type KnownCollection struct {
	ID         string
	Collection engine.Collection // as last seen
	Gone       bool              // it was not there at the last look
}

// KeepCollection remembers a collection; ForgetCollection lets it go.
func (l *Ledger) KeepCollection(a engine.AccountID, identity string, k KnownCollection) error {
	panic("placeholder")
}
func (l *Ledger) ForgetCollection(a engine.AccountID, identity string) error { panic("placeholder") }

// Note and Noted keep small facts of the keeper by name, as JSON.
func (l *Ledger) Note(name string, value any) error         { panic("placeholder") }
func (l *Ledger) Noted(name string, into any) (bool, error) { panic("placeholder") }
func (l *Ledger) ForgetNotes(prefix string) error           { panic("placeholder") }

// Conflicts, Problems and Held page through what is open, oldest first.
// match may be nil.
func (l *Ledger) Conflicts(match func(engine.ConflictState) bool, offset, limit int) ([]engine.ConflictState, error) {
	panic("placeholder")
}
func (l *Ledger) Problems(match func(engine.Problem) bool, offset, limit int) ([]engine.Problem, error) {
	panic("placeholder")
}

// Counts tells how much is open in one group.
func (l *Ledger) Counts(g engine.GroupID) (conflicts, problems, held int, err error) {
	panic("placeholder")
}

// ConflictTexts gives the texts of an open conflict.
func (l *Ledger) ConflictTexts(id string) (engine.ConflictTexts, error) { panic("placeholder") }

// Versions lists history, newest first. item is a name or UID, or "" for all.
func (l *Ledger) Versions(m engine.MemberID, item string, offset, limit int) ([]engine.Version, error) {
	panic("placeholder")
}

// VersionText gives the text of one version.
func (l *Ledger) VersionText(id uint64) ([]byte, error) { panic("placeholder") }

// ResetGroup forgets what was in step: the next sync compares everything.
// DropGroup and DropAccount forget a group or an account wholly. None of them
// forgets history.
func (l *Ledger) ResetGroup(g engine.GroupID) error    { panic("placeholder") }
func (l *Ledger) DropGroup(g engine.GroupID) error     { panic("placeholder") }
func (l *Ledger) DropAccount(a engine.AccountID) error { panic("placeholder") }
