// Package call carries JSON-RPC 2.0 over a stream, one object a line, both ways.
//
// It adds to the library what faces a stranger needs: a limit to the length of a
// line, error names that a program can test, and two methods: "$/cancel" breaks
// off a call that is under way, "$/progress" tells how far one has come.
package call

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
)

// Limits of a line, in bytes, the newline not counted.
const (
	MaxControl = 1 << 20  // commands and what they answer
	MaxData    = 16 << 20 // whole items
)

// Methods of ours beside those of whoever uses the channel.
const (
	MethodCancel   = "$/cancel"
	MethodProgress = "$/progress"
)

// ErrTooLong ends a channel: what follows an overlong line cannot be told apart.
var ErrTooLong = errors.New("a line is longer than allowed")

// Lines makes a channel of lines of at most limit bytes. An empty line is passed
// over, so that a person may press return.
func Lines(stream io.ReadWriteCloser, limit int) channel.Channel {
	return &lines{stream: stream, in: bufio.NewReaderSize(stream, 4096), limit: limit}
}

type lines struct {
	stream io.ReadWriteCloser
	in     *bufio.Reader
	limit  int
}

func (l *lines) Recv() ([]byte, error) {
	for {
		line, err := l.line()
		if len(line) > 0 || err != nil {
			return line, err
		}
	}
}

// line reads up to the next newline. What comes before the end of the stream
// without one is no line: it was cut off.
func (l *lines) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		if err == nil {
			part = part[:len(part)-1]
		}
		if len(line)+len(part) > l.limit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, l.limit)
		}
		line = append(line, part...)
		if err == nil {
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

func (l *lines) Send(record []byte) error {
	if len(record) > l.limit {
		return fmt.Errorf("%w: %d bytes of %d", ErrTooLong, len(record), l.limit)
	}
	line := make([]byte, 0, len(record)+1)
	line = append(append(line, record...), '\n')
	_, err := l.stream.Write(line)
	return err
}

func (l *lines) Close() error { return l.stream.Close() }

// codeNamed is the JSON-RPC code of every error that has a name.
const codeNamed = jrpc2.Code(-32000)

// An Error is an error that a program can act on by its name.
type Error struct {
	Name    string         `json:"name"`
	Message string         `json:"-"`
	Details map[string]any `json:"details,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Wire makes of an error what is sent: an Error keeps its name, any other is
// told as it is.
func Wire(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	return jrpc2.Errorf(codeNamed, "%s", e.Message).WithData(e)
}

// Read makes an Error of what was received, if it has a name.
func Read(err error) error {
	e, ok := errors.AsType[*jrpc2.Error](err)
	if !ok || e.Code != codeNamed {
		return err
	}
	out := Error{Message: e.Message}
	if json.Unmarshal(e.Data, &out) != nil || out.Name == "" {
		return err
	}
	return &out
}

type cancelParams struct {
	ID json.RawMessage `json:"id"`
}

// HandleCancel is the handler of "$/cancel" for a server.
func HandleCancel(ctx context.Context, req *jrpc2.Request) (any, error) {
	var p cancelParams
	if err := req.UnmarshalParams(&p); err != nil || len(p.ID) == 0 {
		return nil, jrpc2.Errorf(jrpc2.InvalidParams, `"$/cancel" wants {"id": the id of the call}`)
	}
	jrpc2.ServerFromContext(ctx).CancelRequest(string(p.ID))
	return nil, nil
}

// TellCancel is the OnCancel of a client: it sends "$/cancel".
func TellCancel(c *jrpc2.Client, rsp *jrpc2.Response) {
	// The connection may be gone; then there is nothing left to cancel.
	_ = c.Notify(context.Background(), MethodCancel, cancelParams{ID: json.RawMessage(rsp.ID())})
}
