package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// A queue holds encoded messages until the socket takes them.
type queue struct {
	mu     sync.Mutex
	frames []outgoing
	size   int
	closed bool
	wake   chan struct{} // holds a token while frames is not empty
}

type outgoing struct {
	bytes []byte
	files []*os.File
	sent  func(error) // may be nil
}

// ErrTooLong is why a message was not sent that is longer than this connection
// sends.
var ErrTooLong = errors.New("the message is too long for the bus")

// Encode turns a message into bytes. It is apart from Write so that a caller
// can encode at leisure and decide later when the message takes its place in
// the queue. Descriptors are [dbus.UnixFDIndex] in the body.
func (c *Conn) Encode(m *dbus.Message, files int) (frame []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the message cannot be encoded: %v", r)
		}
	}()
	if files > 0 && !c.files {
		return nil, errors.New("this bus does not carry descriptors")
	}
	if len(m.Body) > 0 {
		setHeader(m, dbus.FieldSignature, dbus.SignatureOf(m.Body...))
	}
	if files > 0 {
		setHeader(m, dbus.FieldUnixFDs, uint32(files))
	}
	var buf bytes.Buffer
	if err := m.EncodeTo(&buf, binary.LittleEndian); err != nil {
		return nil, err
	}
	return c.bounded(buf.Bytes())
}

// EncodeWith is Encode for a message whose body has been written already.
func (c *Conn) EncodeWith(m *dbus.Message, signature dbus.Signature, body []byte) (frame []byte, err error) {
	setHeader(m, dbus.FieldSignature, signature)
	var buf bytes.Buffer
	if err := m.EncodeTo(&buf, binary.LittleEndian); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(buf.Bytes()[4:], uint32(len(body)))
	buf.Write(body)
	return c.bounded(buf.Bytes())
}

func setHeader(m *dbus.Message, field dbus.HeaderField, v any) {
	if m.Headers == nil {
		m.Headers = map[dbus.HeaderField]dbus.Variant{}
	}
	m.Headers[field] = dbus.MakeVariant(v)
}

func (c *Conn) bounded(frame []byte) ([]byte, error) {
	if len(frame) > c.opts.MaxSend {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are sent", ErrTooLong, len(frame), c.opts.MaxSend)
	}
	return frame, nil
}

// Write puts an encoded message into the queue and gives it a serial. It never
// waits. The files are closed when the message has been written or will never
// be; then sent is called, if it is not nil, on a goroutine of the connection:
// it must not wait.
func (c *Conn) Write(frame []byte, files []*os.File, sent func(error)) {
	c.enqueue(c.nextSerial(), outgoing{frame, files, sent})
}

func (c *Conn) nextSerial() uint32 {
	for {
		if n := c.serial.Add(1); n != 0 {
			return n
		}
	}
}

func (c *Conn) enqueue(serial uint32, o outgoing) {
	binary.LittleEndian.PutUint32(o.bytes[8:], serial)
	c.queued.Add(1)
	full, ok := c.out.put(o, c.opts.MaxBacklog)
	if !ok {
		o.settle(ErrClosed)
	}
	if full {
		c.end(fmt.Errorf("the bus does not read: more than %d bytes wait for it", c.opts.MaxBacklog))
	}
}

func (o outgoing) settle(err error) {
	for _, f := range o.files {
		f.Close()
	}
	if o.sent != nil {
		o.sent(err)
	}
}

func (q *queue) put(o outgoing, most int) (full, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, false
	}
	q.frames = append(q.frames, o)
	q.size += len(o.bytes)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return q.size > most, true
}

func (q *queue) takeAll() []outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.frames
	q.frames = nil
	return all
}

func (q *queue) wrote(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= n
}

func (q *queue) close() []outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	all := q.frames
	q.frames = nil
	return all
}

// Sent is how many messages have been queued so far.
func (c *Conn) Sent() uint64 { return c.queued.Load() }

// Backlog is how many bytes wait for the bus to read them.
func (c *Conn) Backlog() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.size
}

// write runs until the connection ends.
func (c *Conn) write() {
	defer func() {
		for _, o := range c.out.close() {
			o.settle(c.err)
		}
	}()
	for {
		select {
		case <-c.out.wake:
		case <-c.done:
			return
		}
		batch := c.out.takeAll()
		for i := 0; i < len(batch); {
			n, err := c.writeSome(batch[i:])
			if err != nil {
				c.end(fmt.Errorf("the connection to the bus broke: %w", err))
				for _, o := range batch[i:] {
					o.settle(c.err)
				}
				return
			}
			for _, o := range batch[i : i+n] {
				c.out.wrote(len(o.bytes))
				o.settle(nil)
			}
			i += n
		}
	}
}

// writeSome writes one message with its descriptors, or as many as there are
// without, and tells how many.
func (c *Conn) writeSome(batch []outgoing) (int, error) {
	if len(batch[0].files) > 0 {
		return 1, c.writeFiles(batch[0])
	}
	var plain net.Buffers
	n := 0
	for n < len(batch) && n < 64 && len(batch[n].files) == 0 {
		plain = append(plain, batch[n].bytes)
		n++
	}
	_, err := plain.WriteTo(c.socket)
	return n, err
}

func (c *Conn) writeFiles(o outgoing) error {
	var fds []int
	for _, f := range o.files {
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return err
		}
	}
	n, _, err := c.socket.WriteMsgUnix(o.bytes, syscall.UnixRights(fds...), nil)
	if err == nil && n < len(o.bytes) {
		_, err = c.socket.Write(o.bytes[n:])
	}
	return err
}
