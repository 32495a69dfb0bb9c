package private

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/transports/peer"
)

// maxWaiting is how many descriptors may have come that nobody took yet.
const maxWaiting = 16

// A FileConn is a connection over which descriptors come along with bytes. They
// are taken in the order in which they came: one has come when the first byte
// that was sent with it is read. A plain read would lose it.
//
// Where the system tells who sent each part, all of it must be this user's.
type FileConn struct {
	// Patience is how long the other side may leave unread what is sent; 0 is for
	// ever. It is set before anything is sent.
	Patience time.Duration

	sock *net.UnixConn

	begun bool // the credential byte, if there was one, is behind us

	mu     sync.Mutex
	files  []*os.File
	closed bool
}

// Files gives a connection of a Listener that form, before anything was read.
func (c *Conn) Files() *FileConn { return NewFileConn(c.UnixConn) }

// NewFileConn is Files for a socket that was dialled.
func NewFileConn(sock *net.UnixConn) *FileConn { return &FileConn{sock: sock} }

// SetReadDeadline is when Read gives up; zero is never.
func (c *FileConn) SetReadDeadline(t time.Time) error { return c.sock.SetReadDeadline(t) }

// Read reads what was sent, without the credential byte.
func (c *FileConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := c.read(p)
		if n > 0 && !c.begun {
			c.begun = true
			if p[0] == 0 {
				copy(p, p[1:n])
				n--
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *FileConn) read(p []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4*maxWaiting)+credentialSpace)
	n, oobn, flags, _, err := c.sock.ReadMsgUnix(p, oob)
	if err != nil {
		return 0, err
	}
	if err := c.keep(oob[:oobn]); err != nil {
		return 0, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return 0, fmt.Errorf("more than %d descriptors came at once", maxWaiting)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// keep looks at what came beside the bytes.
func (c *FileConn) keep(oob []byte) error {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	var files []*os.File
	for _, m := range messages {
		if cred := credentialOf(&m); cred != nil && cred.UID != uint32(os.Geteuid()) {
			err = fmt.Errorf("what was sent: %w", &peer.Refusal{UID: cred.UID, What: "client"})
		}
		fds, parseErr := syscall.ParseUnixRights(&m)
		if parseErr != nil {
			continue // of another kind
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
	case c.closed:
		err = net.ErrClosed
	case len(c.files)+len(files) > maxWaiting:
		err = fmt.Errorf("more than %d descriptors came that no line names", maxWaiting)
	}
	if err != nil {
		closeAll(files)
		return err
	}
	c.files = append(c.files, files...)
	return nil
}

// TakeFiles hands over the next descriptors, which are the caller's to close.
func (c *FileConn) TakeFiles(n int) ([]*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 0 || n > len(c.files) {
		return nil, fmt.Errorf("%d descriptors are named and %d came", n, len(c.files))
	}
	taken := c.files[:n:n]
	c.files = c.files[n:]
	return taken, nil
}

// Write sends bytes alone.
func (c *FileConn) Write(p []byte) (int, error) {
	if err := c.hurry(); err != nil {
		return 0, err
	}
	return c.sock.Write(p)
}

func (c *FileConn) hurry() error {
	if c.Patience == 0 {
		return nil
	}
	return c.sock.SetWriteDeadline(time.Now().Add(c.Patience))
}

// WriteFiles sends bytes with descriptors. The files stay open.
func (c *FileConn) WriteFiles(p []byte, files []*os.File) (int, error) {
	if len(files) == 0 || len(p) == 0 {
		return 0, errors.New("descriptors are sent with at least one byte")
	}
	if err := c.hurry(); err != nil {
		return 0, err
	}
	n := 0
	err := withNumbers(files, nil, func(fds []int) (err error) {
		n, _, err = c.sock.WriteMsgUnix(p, unix.UnixRights(fds...), nil)
		return err
	})
	if err == nil && n < len(p) {
		var more int
		more, err = c.sock.Write(p[n:])
		n += more
	}
	return n, err
}

// withNumbers does something with the numbers of open files. (File.Fd would
// make them blocking, for whoever gets them too.)
func withNumbers(files []*os.File, fds []int, do func([]int) error) error {
	if len(files) == 0 {
		return do(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	return errors.Join(raw.Control(func(fd uintptr) { inner = withNumbers(files[1:], append(fds, int(fd)), do) }), inner)
}

// Close closes the connection and what nobody took.
func (c *FileConn) Close() error {
	c.mu.Lock()
	c.closed = true
	files := c.files
	c.files = nil
	c.mu.Unlock()
	closeAll(files)
	return c.sock.Close()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
