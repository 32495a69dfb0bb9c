package conn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// A source is where bytes and descriptors come from: the socket, or a test.
type source interface {
	// recv reads some bytes and the descriptors that came with the first of them.
	recv(p []byte) (n int, fds []int, err error)
}

// A framer cuts what a source gives into messages.
type framer struct {
	from source
	max  int // longer messages are dropped unbuffered

	chunk [64 << 10]byte
	buf   []byte // read and not yet used, in chunk
	fds   []int  // received and not yet given to their message
}

// A dropped message was too long to be read.
type dropped struct{ *Incoming }

func (dropped) Error() string { return "a message was too long" }

// next gives the next message. A *dropped error concerns one message; every
// other error ends the stream.
func (f *framer) next() (*Incoming, error) {
	var fixed [fixedLen]byte
	if err := f.full(fixed[:]); err != nil {
		return nil, err
	}
	p, err := readPrefix(fixed[:])
	if err != nil {
		return nil, err
	}
	if p.headLen() > f.max {
		// Whoever sent it is told nothing, since the name of the sender is
		// somewhere in there. Descriptors come with the first byte of their
		// message, so those at hand are all of this one.
		f.closeAll()
		return nil, errors.Join(f.skip(p.length()-fixedLen), &dropped{&Incoming{}})
	}
	head := make([]byte, p.headLen())
	copy(head, fixed[:])
	if err := f.full(head[fixedLen:]); err != nil {
		return nil, err
	}
	m, err := readHeader(p, head)
	if err != nil {
		return nil, fmt.Errorf("the bus sent a header that makes no sense: %w", err)
	}
	if uint64(m.descriptors) > uint64(len(f.fds)) {
		return nil, errors.New("the bus announced more descriptors than it sent")
	}
	mine := f.fds[:m.descriptors]
	f.fds = f.fds[m.descriptors:]
	for _, fd := range mine {
		m.Files = append(m.Files, os.NewFile(uintptr(fd), "descriptor from the bus"))
	}
	if p.length() > f.max {
		m.Close()
		return nil, errors.Join(f.skip(p.body), &dropped{m})
	}
	m.body = make([]byte, p.body)
	if err := f.full(m.body); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// full fills p.
func (f *framer) full(p []byte) error {
	for len(p) > 0 {
		if err := f.fill(); err != nil {
			return err
		}
		n := copy(p, f.buf)
		p, f.buf = p[n:], f.buf[n:]
	}
	return nil
}

// skip drops n bytes.
func (f *framer) skip(n int) error {
	for n > 0 {
		if err := f.fill(); err != nil {
			return err
		}
		k := min(n, len(f.buf))
		n, f.buf = n-k, f.buf[k:]
	}
	return nil
}

// fill sees to it that there is at least one byte.
func (f *framer) fill() error {
	if len(f.buf) > 0 {
		return nil
	}
	n, fds, err := f.from.recv(f.chunk[:])
	f.fds = append(f.fds, fds...)
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	f.buf = f.chunk[:n]
	return nil
}

func (f *framer) closeAll() {
	for _, fd := range f.fds {
		syscall.Close(fd)
	}
	f.fds = nil
}

// A socketSource reads from a Unix socket. Package net sees to close-on-exec.
type socketSource struct {
	c   *net.UnixConn
	oob []byte
}

// maxDescriptors is how many the kernel passes at once.
const maxDescriptors = 253

func newSocketSource(c *net.UnixConn) *socketSource {
	return &socketSource{c, make([]byte, syscall.CmsgSpace(maxDescriptors*4))}
}

func (s *socketSource) recv(p []byte) (int, []int, error) {
	n, oobn, flags, _, err := s.c.ReadMsgUnix(p, s.oob)
	if oobn == 0 {
		return n, nil, err
	}
	var fds []int
	messages, perr := syscall.ParseSocketControlMessage(s.oob[:oobn])
	for i := range messages {
		if some, err := syscall.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		perr = errors.Join(perr, errors.New("descriptors were lost: the limit of open files is reached"))
	}
	return n, fds, errors.Join(err, perr)
}

// read runs until the connection ends.
func (c *Conn) read() {
	f := &framer{from: newSocketSource(c.socket), max: c.opts.MaxMessage}
	defer f.closeAll()
	for {
		m, err := f.next()
		if d, ok := errors.AsType[*dropped](err); ok && !endsStream(err) {
			c.tooLong(d.Incoming)
			continue
		}
		if err != nil {
			c.end(fmt.Errorf("the connection to the bus broke: %w", err))
			c.pending.dropAll()
			return
		}
		c.dispatch(m)
	}
}

// endsStream reports whether there is more in err than a dropped message.
func endsStream(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	return ok && len(joined.Unwrap()) > 1
}

func (c *Conn) dispatch(m *Incoming) {
	switch m.Type {
	case dbus.TypeMethodCall:
		if c.opts.Handler == nil {
			m.Close()
			c.Refuse(m, "org.freedesktop.DBus.Error.UnknownObject", "there are no objects here")
			return
		}
		c.opts.Handler.HandleCall(c, m)
	case dbus.TypeMethodReply, dbus.TypeError:
		c.pending.settle(m)
	case dbus.TypeSignal:
		m.Close()
		if body, err := m.Body(); err == nil {
			c.deliver(&dbus.Signal{Sender: m.Sender, Path: m.Path, Name: m.Interface + "." + m.Member, Body: body})
		}
	default:
		m.Close()
	}
}

// tooLong settles a message that was not read.
func (c *Conn) tooLong(m *Incoming) {
	switch m.Type {
	case dbus.TypeMethodCall:
		c.Refuse(m, "org.freedesktop.DBus.Error.LimitsExceeded",
			fmt.Sprintf("the call is too long: at most %d bytes are read; pass large data through a stream", c.opts.MaxMessage))
	case dbus.TypeMethodReply, dbus.TypeError:
		c.pending.settle(&Incoming{Type: dbus.TypeError, ReplySerial: m.ReplySerial, ErrorName: "org.freedesktop.DBus.Error.LimitsExceeded"})
	}
}
