// Package call carries JSON-RPC 2.0 over a stream, one object a line. Both ends
// may call, many calls may be under way, and answers come in any order.
//
// It is made for peers that are not trusted: a line has a limit, calls that come
// in are bounded, notifications are handed over in the order in which they came
// and hold up the reading while they are taken, and an answer to a call that
// nobody made ends the connection. The general libraries that were looked at
// start a goroutine for each message, which loses the order and bounds nothing.
//
// Two methods are the same for every use: "$/cancel" {"id": ID} breaks off a call
// that is under way, "$/progress" {"id": ID, …} tells that one goes on.
package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Limits of a line, in bytes, the newline not counted.
const (
	MaxControl = 1 << 20  // commands and what they answer
	MaxData    = 16 << 20 // whole items
)

// Methods of every connection.
const (
	methodCancel   = "$/cancel"
	methodProgress = "$/progress"
)

// Codes of JSON-RPC 2.0, section 5.1.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeNamed          = -32000 // an error that has a name of ours
)

// An Error is what a call was answered with, or is to be answered with.
type Error struct {
	Code    int
	Name    string // what a program tests; "" if the peer gave none
	Message string // makes sense alone
	Details map[string]any
}

func (e *Error) Error() string { return e.Message }

// ErrorName is the name, for those who do not know this package.
func (e *Error) ErrorName() string {
	if e.Name == "" && e.Code == CodeMethodNotFound {
		return "not-supported"
	}
	return e.Name
}

// Named makes an error with a name.
func Named(name, format string, args ...any) *Error {
	return &Error{Code: CodeNamed, Name: name, Message: fmt.Sprintf(format, args...)}
}

// A message is any line.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *wireError      `json:"error,omitempty"`
	Files   int             `json:"descriptors,omitempty"` // how many came with the line: see FileStream

	files []*os.File
}

type wireError struct {
	Code    int       `json:"code"`
	Message string    `json:"message"`
	Data    *wireData `json:"data,omitempty"`
}

type wireData struct {
	Name    string         `json:"name,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// UnmarshalJSON takes data of any shape: what is not ours is left out.
func (d *wireData) UnmarshalJSON(raw []byte) error {
	type plain wireData
	var p plain
	if json.Unmarshal(raw, &p) == nil {
		*d = wireData(p)
	}
	return nil
}

func toWire(err error) *wireError {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Code: CodeInternal, Message: err.Error()}
		var named interface{ ErrorName() string }
		if errors.As(err, &named) {
			e.Code, e.Name = CodeNamed, named.ErrorName()
		}
	}
	w := &wireError{Code: e.Code, Message: e.Message}
	if w.Code == 0 {
		w.Code = CodeNamed
	}
	if e.Name != "" || len(e.Details) > 0 {
		w.Data = &wireData{e.Name, e.Details}
	}
	return w
}

func (w *wireError) error() *Error {
	e := &Error{Code: w.Code, Message: w.Message}
	if w.Data != nil {
		e.Name, e.Details = w.Data.Name, w.Data.Details
	}
	return e
}

// parse reads one line. The error says what is wrong with it in words for the
// peer's author.
func parse(line []byte) (message, *Error) {
	var m message
	if len(line) > 0 && line[0] == '[' {
		return m, &Error{Code: CodeInvalidRequest, Message: "batches are not taken; send one object a line"}
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, &Error{Code: CodeParse, Message: "not a JSON object on one line: " + err.Error()}
	}
	if m.Version != "2.0" {
		return m, &Error{Code: CodeInvalidRequest, Message: `"jsonrpc" must be "2.0"`}
	}
	if string(m.ID) == "null" {
		m.ID = nil
	}
	if len(m.ID) > 0 {
		if c := m.ID[0]; c != '"' && c != '-' && (c < '0' || c > '9') || len(m.ID) > 128 {
			return m, &Error{Code: CodeInvalidRequest, Message: `"id" must be a string or a number of at most 128 bytes`}
		}
	}
	if m.Files != 0 && (m.Files < 0 || m.Method == "" || m.ID == nil) {
		return m, &Error{Code: CodeInvalidRequest, Message: `descriptors come with calls alone`}
	}
	if m.Method == "" && (len(m.ID) == 0 || (m.Result == nil) == (m.Error == nil)) {
		return m, &Error{Code: CodeInvalidRequest, Message: `a line has a "method", or an "id" with one of "result" and "error"`}
	}
	return m, nil
}
