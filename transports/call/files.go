package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A FileStream is a stream that carries descriptors beside the bytes. A call that
// comes or goes with some has a member "descriptors" that tells how many; they
// come with the first byte of its line, or before it. A connection over such a
// stream should be Strict: after a line that makes no sense nobody knows whose
// the descriptors are.
type FileStream interface {
	WriteFiles(p []byte, files []*os.File) (int, error)
	TakeFiles(n int) ([]*os.File, error)
}

// CallFiles is Call with files, which are handed over: they are closed at this
// end, whatever comes of the call.
func (p *Peer) CallFiles(ctx context.Context, method string, params, result any, files ...*os.File) error {
	if _, ok := p.stream.(FileStream); !ok {
		closeAll(files)
		return errors.New("this connection does not carry descriptors")
	}
	return p.call(ctx, method, params, result, nil, files)
}

// TakeFile hands over the next descriptor of the call of this context; who takes
// it closes it. Those that nobody took are closed when the call is answered. It
// is nil if there is none.
func TakeFile(ctx context.Context) *os.File {
	c, _ := ctx.Value(cameKey{}).(*cameAlong)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.files) == 0 {
		return nil
	}
	f := c.files[0]
	c.files = c.files[1:]
	return f
}

// An outgoing line is what the writer gets.
type outgoing struct {
	line  []byte
	files []*os.File
}

func (o outgoing) write(to io.Writer) (err error) {
	defer closeAll(o.files)
	switch {
	case len(o.line) == 0: // a flush
	case len(o.files) > 0:
		_, err = to.(FileStream).WriteFiles(o.line, o.files)
	default:
		_, err = to.Write(o.line)
	}
	return err
}

type cameKey struct{}

// cameAlong are the descriptors of one call.
type cameAlong struct {
	mu    sync.Mutex
	files []*os.File
}

func (c *cameAlong) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	closeAll(c.files)
	c.files = nil
}

// receive takes the descriptors that a line names.
func (p *Peer) receive(m *message) *Error {
	s, ok := p.stream.(FileStream)
	if !ok {
		return &Error{Code: CodeInvalidRequest, Message: "this connection does not carry descriptors"}
	}
	files, err := s.TakeFiles(m.Files)
	if err != nil {
		return &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf("%s: %v", m.Method, err)}
	}
	m.files = files
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
