// Package engine holds the words that every part of davbus speaks: what an item,
// a collection, a storage, a job and an error are. It does no work itself.
//
// Read engine/storage/memory next: it is the plainest storage there is.
package engine

import (
	"context"
	"iter"
)

// Names of one item. They are three types so that they cannot be swapped.
type (
	UID  string // the item's own identity, the same at every member
	Ref  string // one collection's private name for an item: the last part of an href, a file name
	Etag string // one collection's opaque version mark; "" if it gave none
)

// A Sum is the structural digest of an item's text: see package item.
type Sum [32]byte

// A Token marks how far a collection has told its changes. Only the collection
// that gave it can read it.
type Token string

// Names of what a person sets up and sees on the bus.
type (
	AccountID string // "work"
	GroupID   string // "home"; accounts and groups share one name space
	MemberID  string // "ACCOUNT/COLLECTION", split at the first "/"
	JobID     uint32 // never used again, over restarts too
)

// Kinds of collection.
const (
	Calendar    = "calendar"
	AddressBook = "addressbook"
)

// A Head names one version of one item in one collection.
type Head struct {
	Ref  Ref
	Etag Etag
}

// An Item is one resource: every component of one UID, or one vCard. Text is
// bytes as the collection serves them, with CRLF line ends, never re-encoded.
type Item struct {
	Head
	Text []byte
}

// A Storage is one collection of items.
//
// Nothing is called concurrently on one Storage. After the context is cancelled
// every call returns soon.
type Storage interface {
	// List yields the head of every item. Only a sequence that ended without an
	// error is a complete observation, and only a complete observation proves a
	// deletion.
	List(ctx context.Context) iter.Seq2[Head, error]

	// Fetch yields the items that refs name, in any order; an item that is gone
	// is left out. An error beside an Item with a Ref concerns that item alone
	// and the sequence goes on; an error beside an empty Ref ends it.
	Fetch(ctx context.Context, refs []Ref) iter.Seq2[Item, error]

	// Apply carries out writes, each only if the version it expects is still
	// there, and yields the index of each write with what came of it, in any
	// order, once it is durable. A write that is not yielded was not begun, or
	// its fate is not known: the next run finds out. An Outcome's error concerns
	// that write alone; a failure of the whole (route lost, login refused) is
	// yielded with index -1 and ends the sequence. It stops between two writes
	// when the context ends or when the caller breaks off.
	Apply(ctx context.Context, writes []Write) iter.Seq2[int, Outcome]
}

// A Verb is one kind of write.
type Verb uint8

const (
	Create  Verb = iota // store Text as a new item; Old.Ref may suggest a name
	Replace             // store Text over the version that Old names
	Delete              // remove the version that Old names
)

func (v Verb) String() string { return [...]string{"create", "replace", "delete"}[v] }

// A Write is one conditional change. A version that is not there any more is an
// error of kind Changed and changes nothing.
type Write struct {
	Verb Verb
	UID  UID    // for Create: the name may be made from it
	Old  Head   // for Replace and Delete
	Was  Sum    // for Replace and Delete: the sum of the text that Old names
	Text []byte // for Create and Replace
}

// An Outcome is what came of one write.
type Outcome struct {
	Head Head // the new version; zero after Delete

	// Kept says that the storage vouches for having kept Text byte for byte, but
	// for UID. If it does not, the text is read back before it becomes a mark.
	Kept bool

	// UID is the one that the storage gave a new item in place of its own; "" for
	// that.
	UID UID

	// Displaced is a text that nobody had seen and that the write found under
	// its hands (a folder's file edited between exchange and check). The storage
	// put it back; Err is of kind Changed. It is kept in history all the same.
	Displaced []byte

	Err error
}

// A Tracker is a storage that can tell what changed.
type Tracker interface {
	Storage

	// Changes tells what happened since a token; "" asks for everything. A token
	// that the storage no longer knows is answered with Full, never with an
	// error. An error of kind NotSupported means: use List.
	Changes(ctx context.Context, since Token) (Delta, error)
}

// A Delta is what happened in a collection since a token. It may repeat what is
// known already.
type Delta struct {
	Full    bool           // Changed is the whole collection: what it does not name is gone
	Changed []Head         // new or changed
	Gone    []Ref          // removed
	Texts   map[Ref][]byte // texts that came along, of some of Changed
	Token   Token          // for the next call; "" if the storage has none
}

// A Session is a storage that wants to know when a sync begins and ends. Begin
// comes before the first call of a run, End after the last one whose Begin
// worked, with whether the run was whole: nothing failed at this member.
type Session interface {
	Storage

	// Begin may answer that no mark is to be trusted: then everything is compared.
	Begin(ctx context.Context, slow bool) (wantsSlow bool, err error)
	End(ctx context.Context, whole bool) error
}

// Formats of a card: what a collection of contacts may take.
const (
	VCard3 = "vcard3" // RFC 2426
	VCard4 = "vcard4" // RFC 6350
)

// MetaKey names one of the four properties of a collection that people see.
type MetaKey string

const (
	MetaName        MetaKey = "display-name"
	MetaColor       MetaKey = "color" // "#RRGGBB"
	MetaDescription MetaKey = "description"
	MetaOrder       MetaKey = "order" // a decimal integer
)

// MetaKeys are all of them, in the order in which they are shown.
var MetaKeys = [...]MetaKey{MetaName, MetaColor, MetaDescription, MetaOrder}

// A Meta holds the properties that are set. A key that is absent is not set.
type Meta map[MetaKey]string

// A MetaStorage is a storage that keeps metadata. A key that it cannot keep is
// an error of kind NotSupported and is not asked again.
type MetaStorage interface {
	Storage
	Meta(ctx context.Context) (Meta, error)
	SetMeta(ctx context.Context, key MetaKey, value string, set bool) error
}

// A Collection is one calendar or address book as its account shows it.
type Collection struct {
	ID         string   // given by the keeper, unique in the account; "" from a Source
	Name       string   // last segment of the path, unescaped; of a folder its name
	Parent     string   // the segment before it
	Kind       string   // Calendar, AddressBook, or "" if it cannot be told
	Components []string // "VEVENT", "VTODO", "VJOURNAL", "VCARD"; nil if not told
	Formats    []string // VCard3, VCard4: the others are said in one of these; nil for all
	Meta       Meta
	Writable   bool
	Scheduling bool     // the server sends invitations (RFC 6638)
	Properties []string // of items that it keeps, see item.Keeps; nil for all
	OwnUIDs    bool     // it gives items UIDs of its own, whatever they come with
	URL        string   // on the server, without user and password; "" if none
	Folder     string   // the folder; "" if none

	// Identity says which storage this is: marks belong to it. Origin, path and
	// user for a server; file system and inode for a folder.
	Identity string

	// State differs from the last one if anything in the collection may have
	// moved; equal and not "" means that nothing did, and nothing is asked.
	State string
}

// A Source is where an account's collections come from. It may be used by
// several goroutines, one for each collection.
type Source interface {
	// Look lists the collections. Fresh starts discovery over; otherwise what an
	// earlier call learned (home sets) may be used. It is one request where the
	// server allows.
	Look(ctx context.Context, fresh bool) ([]Collection, error)

	// Open gives the storage of a collection that Look returned.
	Open(c Collection) (Storage, error)

	// Make makes a collection with the ID, Kind, Components and Meta of c. Name
	// is what it is to be called there.
	Make(ctx context.Context, c Collection) (Collection, error)

	// Capabilities is what discovery found, after Look.
	Capabilities() []string

	// Close ends connections. It waits for what Watch started.
	Close() error
}

// A Watcher is a source that notices changes by itself. Watch returns when ctx
// ends; touch is called with the folder or URL of what moved, "" for unknown.
type Watcher interface {
	Source
	Watch(ctx context.Context, touch func(where string)) error
}

// A Checker is a source that can explain, step by step, how it is reached. A
// step that fails ends the check; nothing is changed.
type Checker interface {
	Source
	Check(ctx context.Context, step func(Step)) error
}

// A Step is one step of a check: "proxy", "resolve", "stat", "connect", "uid",
// "tls", "options", "login", "principal", "collections".
type Step struct {
	Name   string
	Detail string
	Err    error
}
