package remote

import (
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"davbus.org/davbus/engine"
)

// Protocol is the version of the protocol that this package speaks: see
// davbus-plugin(7), which says what each member below means.
const Protocol = 1

// Methods that davbus calls.
const (
	methodInitialize   = "initialize"
	methodDiscover     = "discover"
	methodMake         = "create_collection"
	methodConnect      = "connect"
	methodChanges      = "get_changes"
	methodRead         = "read"
	methodCommit       = "commit"
	methodCommittedAll = "committed_all"
	methodSyncDone     = "sync_done"
	methodDisconnect   = "disconnect"
	methodFinalize     = "finalize"
	methodCredit       = "credit" // a notification
)

// Methods that a plugin calls. Change and Log are notifications.
const (
	methodChange      = "change"
	methodLog         = "log"
	methodGetState    = "get_state"
	methodSetState    = "set_state"
	methodGetGroup    = "get_group"
	methodGetMember   = "get_member"
	methodSetSlowSync = "set_slow_sync"
	methodGetSecret   = "get_secret"
	methodRequestSync = "request_sync"
)

type initializeParams struct {
	Protocol   int            `json:"protocol"`
	Account    string         `json:"account"`
	Parameters map[string]any `json:"parameters"`
}

type initializeResult struct {
	Protocol int      `json:"protocol"`
	Name     string   `json:"name"`
	Features []string `json:"features,omitempty"`

	Properties []string `json:"properties,omitempty"` // that its collections keep
}

// Features of a plugin.
const (
	featureChanges = "changes" // get_changes understands since and gives a token
	featureMake    = "create_collection"
	featureCredit  = "credit"   // it sends no more changes of a stream than it may
	featureOwnUIDs = "own_uids" // it gives items UIDs of its own, in every collection
)

type wireCollection struct {
	ID          string   `json:"id"`
	Kind        string   `json:"kind"`
	Components  []string `json:"components,omitempty"`
	Formats     []string `json:"formats,omitempty"`
	Name        string   `json:"display_name,omitempty"`
	Color       string   `json:"color,omitempty"`
	Description string   `json:"description,omitempty"`
	Order       string   `json:"order,omitempty"`
	ReadOnly    bool     `json:"read_only,omitempty"`
	OwnUIDs     bool     `json:"own_uids,omitempty"`
	Properties  []string `json:"properties,omitempty"`
	Identity    string   `json:"identity,omitempty"`
	State       string   `json:"state,omitempty"`
}

type discoverResult struct {
	Collections []wireCollection `json:"collections"`
}

type collectionParams struct {
	Collection string `json:"collection"`
}

type connectParams struct {
	Collection string `json:"collection"`
	SlowSync   bool   `json:"slow_sync"`
}

type connectResult struct {
	SlowSync bool `json:"slow_sync,omitempty"`
}

type changesParams struct {
	Collection string       `json:"collection"`
	Stream     uint64       `json:"stream"`
	Since      engine.Token `json:"since,omitempty"`
	Credit     int          `json:"credit,omitempty"`
}

type creditParams struct {
	Stream uint64 `json:"stream"`
	More   int    `json:"more"`
}

type changesResult struct {
	Full  bool         `json:"full"`
	Token engine.Token `json:"token,omitempty"`
	Count int          `json:"count"`
}

type readParams struct {
	Collection string       `json:"collection"`
	Stream     uint64       `json:"stream"`
	Refs       []engine.Ref `json:"refs"`
	Credit     int          `json:"credit,omitempty"`
}

type readResult struct {
	Count int `json:"count"`
}

// A change is one item of a stream: it is there, with or without its text, or
// gone, or faulty.
type change struct {
	Stream  uint64      `json:"stream"`
	Ref     engine.Ref  `json:"ref"`
	Etag    engine.Etag `json:"etag,omitempty"`
	Deleted bool        `json:"deleted,omitempty"`
	Error   *wireError  `json:"error,omitempty"`
	wireText
}

type wireError struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// A wireText is an item's text: a string, or base64 where it is no UTF-8.
type wireText struct {
	Text   *string `json:"text,omitempty"`
	Base64 string  `json:"base64,omitempty"`
}

func toWire(text []byte) wireText {
	if text == nil {
		return wireText{}
	}
	if utf8.Valid(text) {
		s := string(text)
		return wireText{Text: &s}
	}
	return wireText{Base64: base64.StdEncoding.EncodeToString(text)}
}

// bytes gives the text, nil if there is none.
func (w wireText) bytes() ([]byte, error) {
	switch {
	case w.Text != nil && w.Base64 != "":
		return nil, errors.New(`an item has both "text" and "base64"`)
	case w.Text != nil:
		return []byte(*w.Text), nil
	case w.Base64 != "":
		return base64.StdEncoding.DecodeString(w.Base64)
	}
	return nil, nil
}

type commitParams struct {
	Collection string      `json:"collection"`
	Verb       string      `json:"verb"`
	UID        engine.UID  `json:"uid,omitempty"`
	Ref        engine.Ref  `json:"ref,omitempty"`
	Etag       engine.Etag `json:"etag,omitempty"`
	wireText
}

type commitResult struct {
	Ref  engine.Ref  `json:"ref"`
	Etag engine.Etag `json:"etag,omitempty"`
	UID  engine.UID  `json:"uid,omitempty"` // that a new item has in place of its own
	wireText
}

type stateParams struct {
	Collection string  `json:"collection,omitempty"`
	Key        string  `json:"key"`
	Value      *string `json:"value,omitempty"`
}

type secretParams struct {
	Name string `json:"name"`
}

type slowParams struct {
	Collection string `json:"collection"`
}

type logParams struct {
	Level string `json:"level,omitempty"`
	Text  string `json:"text"`
}
