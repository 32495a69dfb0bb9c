package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
)

// Options say what one end of a connection takes.
type Options struct {
	// Limit is how long a line may be, both ways; 0 is MaxControl.
	Limit int

	// Handle answers a call, on a goroutine of its own. Its context ends when the
	// peer cancels the call or the connection ends. nil: nothing is answered but
	// "no such method". The result is what json.Marshal takes.
	Handle func(ctx context.Context, method string, params json.RawMessage) (any, error)

	// Begin, if it is not nil, takes Handle's place. It runs on the goroutine that
	// reads, so that calls are begun in the order in which they came, and must not
	// wait; what it gives answers the call on a goroutine of its own.
	Begin func(ctx context.Context, method string, params json.RawMessage) (answer func() (any, error))

	// Busy is how many calls may be under way at once; one more is answered with
	// the error named "busy". 0 is 32.
	Busy int

	// Notify takes notifications in the order in which they came, and those that
	// came before an answer before that answer. Nothing is read meanwhile. It may
	// be nil.
	Notify func(method string, params json.RawMessage)

	// HalfClose answers the calls that are under way when the peer has ended its
	// side, as a pipe of the shell does after the last line. Otherwise they end.
	HalfClose bool

	// Answered is told of each answer that comes in, also of one that nobody waits
	// for any more. It must not wait. It may be nil.
	Answered func()

	// Strict ends the connection at the first line that makes no sense, as
	// towards a program that must know the protocol. Otherwise such a line is
	// answered with an error, as towards a person.
	Strict bool
}

// ErrProtocol is why a connection ended whose peer broke the protocol.
var ErrProtocol = errors.New("the protocol was broken")

// ErrClosed is why a call failed on a connection that ended in good order.
var ErrClosed = errors.New("the connection is closed")

// A Peer is one end of a connection.
type Peer struct {
	opt    Options
	stream io.ReadWriteCloser
	out    chan outgoing
	done   chan struct{}
	end    context.Context // ends with the connection; the parent of every call that came in
	work   sync.WaitGroup

	answering sync.WaitGroup // calls that came in
	slots     chan struct{}  // one for each call that came in and whose answer is not written

	mu      sync.Mutex
	last    uint64
	pending map[uint64]*pending
	running map[string]context.CancelFunc // calls that came in, by id

	err error
}

// A pending call was made by us and is not answered yet. One that was given up
// stays until it is answered, so that its answer is known for what it is.
type pending struct {
	answer  chan message // of one place; nil when given up
	touched func()       // told of progress; may be nil
}

// Start serves a connection until the stream ends or Close is called.
func Start(stream io.ReadWriteCloser, opt Options) *Peer {
	if opt.Limit == 0 {
		opt.Limit = MaxControl
	}
	if opt.Busy == 0 {
		opt.Busy = 32
	}
	end, finish := context.WithCancel(context.Background())
	p := &Peer{opt: opt, stream: stream, out: make(chan outgoing), done: make(chan struct{}), end: end,
		pending: map[uint64]*pending{}, running: map[string]context.CancelFunc{}, slots: make(chan struct{}, opt.Busy+maxRefusing)}
	p.work.Go(p.write)
	p.work.Go(func() {
		err := p.read()
		if p.opt.HalfClose && err == io.EOF {
			p.answering.Wait()
			p.flush()
		}
		p.stop(err)
		finish()
	})
	return p
}

// Close ends the connection and waits for everything that it started.
func (p *Peer) Close() error {
	p.stop(ErrClosed)
	p.work.Wait()
	return nil
}

// Fail ends the connection for a reason, and does not wait.
func (p *Peer) Fail(err error) { p.stop(err) }

// Done is closed when the connection has ended; Err then says why.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Err is nil while the connection stands, and io.EOF if the peer ended it.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Peer) stop(err error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = err
		close(p.done)
	}
	p.mu.Unlock()
	if first {
		p.stream.Close()
	}
}

// write is the one writer. It waits for the peer; nobody else does longer than
// his context allows.
func (p *Peer) write() {
	for {
		select {
		case o := <-p.out:
			if err := o.write(p.stream); err != nil {
				p.stop(err)
				return
			}
		case <-p.done:
			return
		}
	}
}

// flush waits until everything that was sent is written: the writer takes one
// line after the other.
func (p *Peer) flush() {
	select {
	case p.out <- outgoing{}:
	case <-p.done:
	}
}

// send hands a line to the writer, and its files; what is not sent is closed.
func (p *Peer) send(ctx context.Context, m message) (err error) {
	defer func() {
		if err != nil {
			closeAll(m.files)
		}
	}()
	m.Version, m.Files = "2.0", len(m.files)
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(line) > p.opt.Limit {
		return fmt.Errorf("%w: %d bytes of %d", ErrTooLong, len(line), p.opt.Limit)
	}
	select {
	case p.out <- outgoing{append(line, '\n'), m.files}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
		return p.Err()
	}
}

// Notify sends a notification.
func (p *Peer) Notify(ctx context.Context, method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return p.send(ctx, message{Method: method, Params: raw})
}

// Progress tells the peer that the call of this context goes on.
func (p *Peer) Progress(ctx context.Context, details map[string]any) error {
	id, ok := ctx.Value(callID{}).(json.RawMessage)
	if !ok {
		return errors.New("progress is told of a call that came in, with its context")
	}
	out := map[string]any{"id": id}
	for k, v := range details {
		out[k] = v
	}
	return p.Notify(ctx, methodProgress, out)
}

type callID struct{}

// Call calls the peer. result may be nil. When ctx ends the peer is told, and
// its late answer is thrown away. touched, if not nil, is called whenever the
// peer tells progress of this call; it must not wait.
func (p *Peer) Call(ctx context.Context, method string, params, result any, touched func()) error {
	return p.call(ctx, method, params, result, touched, nil)
}

func (p *Peer) call(ctx context.Context, method string, params, result any, touched func(), files []*os.File) error {
	raw, err := json.Marshal(params)
	if err != nil {
		closeAll(files)
		return err
	}
	call := &pending{answer: make(chan message, 1), touched: touched}
	answers := call.answer
	p.mu.Lock()
	p.last++
	id := p.last
	p.pending[id] = call
	p.mu.Unlock()
	wireID := json.RawMessage(strconv.FormatUint(id, 10))
	if err := p.send(ctx, message{ID: wireID, Method: method, Params: raw, files: files}); err != nil {
		p.mu.Lock()
		delete(p.pending, id)
		p.mu.Unlock()
		return err
	}
	select {
	case m := <-answers:
		return m.into(result)
	case <-p.done:
		select {
		case m := <-answers: // it came first
			return m.into(result)
		default:
			return p.Err()
		}
	case <-ctx.Done():
		p.giveUp(call, wireID)
		return ctx.Err()
	}
}

func (m message) into(result any) error {
	if m.Error != nil {
		return m.Error.error()
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Result, result); err != nil {
		return fmt.Errorf("%w: the result cannot be read: %w", ErrProtocol, err)
	}
	return nil
}

// Pending is how many calls wait for an answer.
func (p *Peer) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.pending {
		if c.answer != nil {
			n++
		}
	}
	return n
}
