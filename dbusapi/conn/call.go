package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

const (
	busName = "org.freedesktop.DBus"
	busPath = "/org/freedesktop/DBus"
)

// pending are the calls of ours that wait for their reply.
type pending struct {
	mu      sync.Mutex
	closed  bool
	waiting map[uint32]chan<- *Incoming
}

func (p *pending) add(serial uint32) (<-chan *Incoming, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := make(chan *Incoming, 1)
	if p.closed {
		return nil, false
	}
	p.waiting[serial] = ch
	return ch, true
}

// settle hands a reply to whoever waits for it. A reply that comes too late is
// closed, with its files.
func (p *pending) settle(m *Incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch, ok := p.waiting[m.ReplySerial]
	if !ok {
		m.Close()
		return
	}
	delete(p.waiting, m.ReplySerial)
	ch <- m
}

// give up waiting; a reply that is there already is closed.
func (p *pending) remove(serial uint32, ch <-chan *Incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, serial)
	select {
	case m := <-ch:
		m.Close()
	default:
	}
}

func (p *pending) dropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	clear(p.waiting)
}

// A Reply is what a call of ours was answered with.
type Reply struct {
	Body []any // a descriptor is a [dbus.UnixFDIndex] into Files

	// Files are the caller's to close; Close does.
	Files []*os.File
}

// Store copies the values of a reply to where they are wanted. It fails when
// there are more, fewer or others.
func (r *Reply) Store(into ...any) error { return dbus.Store(r.Body, into...) }

// Close closes the files of a reply.
func (r *Reply) Close() {
	for _, f := range r.Files {
		f.Close()
	}
}

// Call calls a method of another program, written INTERFACE.MEMBER, and waits
// for the reply. An error reply is a [dbus.Error]. Files among the arguments are
// handed over and closed at this end, also if the call fails. Files in the reply
// are closed: use CallForFiles where some are expected.
func (c *Conn) Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) (*Reply, error) {
	r, err := c.CallForFiles(ctx, dest, path, method, args...)
	if err == nil {
		r.Close()
		r.Files = nil
	}
	return r, err
}

// CallForFiles is Call for a method whose reply holds descriptors.
func (c *Conn) CallForFiles(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) (*Reply, error) {
	body, files := handOver(args)
	return c.CallWithFiles(ctx, dest, path, method, files, body...)
}

// CallWithFiles is CallForFiles for files that are not plain arguments: each
// [dbus.UnixFDIndex], wherever it is in the arguments, names one of them.
func (c *Conn) CallWithFiles(ctx context.Context, dest string, path dbus.ObjectPath, method string, files []*os.File, body ...any) (*Reply, error) {
	closeFiles := func() {
		for _, f := range files {
			f.Close()
		}
	}
	i := strings.LastIndexByte(method, '.')
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldMember: dbus.MakeVariant(method[i+1:]),
	}}
	if dest != "" {
		m.Headers[dbus.FieldDestination] = dbus.MakeVariant(dest)
	}
	if i > 0 {
		m.Headers[dbus.FieldInterface] = dbus.MakeVariant(method[:i])
	}
	frame, err := c.Encode(m, len(files))
	if err != nil {
		closeFiles()
		return nil, fmt.Errorf("cannot call %s: %w", method, err)
	}
	serial := c.nextSerial()
	ch, ok := c.pending.add(serial)
	if !ok {
		closeFiles()
		return nil, fmt.Errorf("cannot call %s: %w", method, c.ended())
	}
	c.enqueue(serial, outgoing{bytes: frame, files: files})
	select {
	case in := <-ch:
		return in.reply()
	case <-ctx.Done():
		c.pending.remove(serial, ch)
		return nil, fmt.Errorf("%s of %s did not answer: %w", method, dest, context.Cause(ctx))
	case <-c.done:
		c.pending.remove(serial, ch)
		return nil, fmt.Errorf("cannot call %s: %w", method, c.ended())
	}
}

// Tell calls a method and wants no answer. It never waits; an error means that
// the call cannot be sent.
func (c *Conn) Tell(dest string, path dbus.ObjectPath, method string, args ...any) error {
	i := strings.LastIndexByte(method, '.')
	frame, err := c.Encode(&dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoReplyExpected, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldDestination: dbus.MakeVariant(dest),
		dbus.FieldInterface: dbus.MakeVariant(method[:i]), dbus.FieldMember: dbus.MakeVariant(method[i+1:]),
	}}, 0)
	if err != nil {
		return fmt.Errorf("cannot call %s: %w", method, err)
	}
	c.Write(frame, nil, nil)
	return nil
}

func (c *Conn) ended() error {
	if err := c.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// handOver replaces files by the indexes that stand for them.
func handOver(args []any) (body []any, files []*os.File) {
	for _, a := range args {
		if f, ok := a.(*os.File); ok {
			a = dbus.UnixFDIndex(len(files))
			files = append(files, f)
		}
		body = append(body, a)
	}
	return body, files
}

func (m *Incoming) reply() (*Reply, error) {
	body, err := m.Body()
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("the reply makes no sense: %w", err)
	}
	if m.Type == dbus.TypeError {
		m.Close()
		return nil, dbus.Error{Name: m.ErrorName, Body: body}
	}
	return &Reply{body, m.Files}, nil
}

// Refuse answers a call with an error, if its caller wants an answer.
func (c *Conn) Refuse(m *Incoming, name, text string) {
	if !m.WantsReply() {
		return
	}
	frame, err := c.Encode(m.Answer(dbus.TypeError, name, text), 0)
	if err == nil {
		c.Write(frame, nil, nil)
	}
}

// Answer makes the message that answers a call: a reply with some values, or an
// error with a name and a text.
func (m *Incoming) Answer(kind dbus.Type, errorName string, body ...any) *dbus.Message {
	out := &dbus.Message{Type: kind, Flags: dbus.FlagNoReplyExpected, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial),
	}}
	if m.Sender != "" {
		out.Headers[dbus.FieldDestination] = dbus.MakeVariant(m.Sender)
	}
	if kind == dbus.TypeError {
		out.Headers[dbus.FieldErrorName] = dbus.MakeVariant(errorName)
	}
	return out
}

// Flush waits until the bus has taken everything that was queued before.
func (c *Conn) Flush(ctx context.Context) error {
	_, err := c.Call(ctx, busName, busPath, busName+".GetId")
	return err
}

// ErrNameTaken is why a name could not be had: somebody else has it.
var ErrNameTaken = errors.New("another program owns the name")

// RequestName asks for a well-known name. It does not queue for it and does not
// let anybody take it away.
func (c *Conn) RequestName(ctx context.Context, name string) error {
	var n uint32
	r, err := c.Call(ctx, busName, busPath, busName+".RequestName", name, uint32(dbus.NameFlagDoNotQueue))
	if err == nil {
		err = r.Store(&n)
	}
	if err != nil {
		return fmt.Errorf("cannot ask the bus for the name %s: %w", name, err)
	}
	if got := dbus.RequestNameReply(n); got != dbus.RequestNameReplyPrimaryOwner && got != dbus.RequestNameReplyAlreadyOwner {
		return fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return nil
}

// ReleaseName gives a name back. When it returns, every call that was sent to
// the name has been handed to the handler.
func (c *Conn) ReleaseName(ctx context.Context, name string) error {
	_, err := c.Call(ctx, busName, busPath, busName+".ReleaseName", name)
	return err
}

// AddMatch asks the bus for signals; RemoveMatch undoes one AddMatch.
func (c *Conn) AddMatch(ctx context.Context, rule string) error {
	_, err := c.Call(ctx, busName, busPath, busName+".AddMatch", rule)
	return err
}

// RemoveMatch stops what one AddMatch with the same rule asked for.
func (c *Conn) RemoveMatch(ctx context.Context, rule string) error {
	_, err := c.Call(ctx, busName, busPath, busName+".RemoveMatch", rule)
	return err
}
