package route

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"davbus.org/davbus/transports/peer"
)

// maxKept is how much may be sent before a program says whether it carries bytes
// itself. One that reads nothing never gets as much: the kernel's own buffer is
// smaller.
const maxKept = 1 << 20

// A turning is a connection to a program that may, instead of its first answer,
// hand back a socket that it connected (SCM_RIGHTS on its standard output, as
// nc -F and the ProxyUseFdpass of ssh have it). A program that does so reads
// nothing of what it was sent, so that is kept until its first answer, and sent
// again on the socket.
type turning struct {
	pipe *net.UnixConn

	looking sync.Mutex     // held by the one who waits for the first answer
	sending sync.Mutex     // held while bytes go out, until it is settled where to
	again   sync.WaitGroup // of what is sent again

	mu          sync.Mutex
	to          net.Conn // where the bytes go; nil while that is open
	first       []byte   // of the first answer, not given out yet
	kept        []byte
	half        bool      // nothing more will be sent
	closed      bool      // by us
	read, write time.Time // deadlines, for the socket that may come
}

func (t *turning) settled() net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to
}

// Read reads from the program, or from the socket that it handed back.
func (t *turning) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := t.look(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	to, n := t.to, copy(p, t.first)
	t.first = t.first[n:]
	t.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return to.Read(p)
}

// look waits for the first answer, which settles where the bytes go.
func (t *turning) look() error {
	if t.settled() != nil {
		return nil
	}
	t.looking.Lock()
	defer t.looking.Unlock()
	if t.settled() != nil {
		return nil
	}
	first, sock, err := receive(t.pipe)
	if err != nil {
		return err
	}
	if sock != nil {
		return t.turn(sock)
	}
	t.settle(t.pipe, first)
	return nil
}

func (t *turning) settle(to net.Conn, first []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to, t.first, t.kept = to, first, nil
}

// turn goes over to the socket that was handed back.
func (t *turning) turn(sock net.Conn) error {
	if u, ok := sock.(*net.UnixConn); ok {
		if _, err := peer.Server(u); err != nil {
			sock.Close()
			return err
		}
	}
	_ = t.pipe.CloseWrite() // who is just sending to the program, stops
	t.sending.Lock()
	t.mu.Lock()
	defer t.mu.Unlock()
	kept, half := t.kept, t.half
	if t.closed || len(kept) > maxKept {
		t.sending.Unlock()
		sock.Close()
		if t.closed {
			return net.ErrClosed
		}
		return fmt.Errorf("the program of the route handed back a socket after it had read %d bytes itself", len(kept))
	}
	t.to, t.kept = sock, nil
	_ = sock.SetReadDeadline(t.read)
	_ = sock.SetWriteDeadline(t.write)
	// Who turned goes on reading: the other end may answer before it has heard
	// all. If it does not hear it, the next to send or to read is told.
	t.again.Go(func() {
		defer t.sending.Unlock()
		if _, err := sock.Write(kept); err == nil && half {
			_ = closeWrite(sock)
		}
	})
	return nil
}

// Write sends to the program, or to the socket that it handed back.
func (t *turning) Write(p []byte) (int, error) {
	n, err := t.send(p)
	if !brokenPipe(err) || t.settled() == t.pipe {
		return n, err
	}
	// The program reads no more: it has ended, or handed back a socket.
	if err := t.look(); err != nil {
		return n, err
	}
	if t.settled() == t.pipe {
		return n, err
	}
	m, err := t.send(p[n:])
	return n + m, err
}

func (t *turning) send(p []byte) (int, error) {
	if to := t.settled(); to != nil && to == t.pipe {
		return to.Write(p)
	}
	t.sending.Lock()
	defer t.sending.Unlock()
	if to := t.settled(); to != nil {
		return to.Write(p)
	}
	n, err := t.pipe.Write(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil && len(t.kept) <= maxKept {
		t.kept = append(t.kept, p[:n]...)
	}
	return n, err
}

// CloseWrite tells the other end that nothing more will come.
func (t *turning) CloseWrite() error {
	t.sending.Lock()
	defer t.sending.Unlock()
	t.mu.Lock()
	t.half = true
	to := t.to
	t.mu.Unlock()
	if to == nil {
		to = t.pipe
	}
	return closeWrite(to)
}

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close ends both.
func (t *turning) Close() error {
	t.mu.Lock()
	t.closed = true
	to := t.to
	t.mu.Unlock()
	err := t.pipe.Close()
	if to != nil && to != net.Conn(t.pipe) {
		err = errors.Join(err, to.Close())
	}
	t.again.Wait()
	return err
}

// LocalAddr is that of the program's pipe.
func (t *turning) LocalAddr() net.Addr { return t.pipe.LocalAddr() }

// RemoteAddr is that of the program's pipe.
func (t *turning) RemoteAddr() net.Addr { return t.pipe.RemoteAddr() }

// SetDeadline holds for the socket that may come, too.
func (t *turning) SetDeadline(d time.Time) error {
	return errors.Join(t.SetReadDeadline(d), t.SetWriteDeadline(d))
}

// SetReadDeadline is as SetDeadline.
func (t *turning) SetReadDeadline(d time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read = d
	if t.to != nil {
		return t.to.SetReadDeadline(d)
	}
	return t.pipe.SetReadDeadline(d)
}

// SetWriteDeadline is as SetDeadline.
func (t *turning) SetWriteDeadline(d time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write = d
	if t.to != nil {
		return t.to.SetWriteDeadline(d)
	}
	return t.pipe.SetWriteDeadline(d)
}

// receive reads the first byte of an answer, or the socket that came with it.
func receive(pipe *net.UnixConn) (first []byte, sock net.Conn, err error) {
	buf, rights := make([]byte, 1), make([]byte, rightsSpace)
	n, used, _, _, err := pipe.ReadMsgUnix(buf, rights)
	if err != nil {
		return nil, nil, err
	}
	files, err := filesOf(rights[:used])
	for _, f := range files {
		if sock == nil && err == nil && len(files) == 1 {
			sock, err = net.FileConn(f)
		}
		f.Close()
	}
	switch {
	case len(files) > 1:
		err = fmt.Errorf("it handed back %d descriptors; one is expected", len(files))
	case err == nil && n == 0:
		err = io.EOF
	}
	if len(files) > 0 && err == nil && !connected(sock) {
		sock.Close()
		err = errors.New("it is not connected, or no stream")
	}
	if len(files) > 0 && err != nil {
		return nil, nil, fmt.Errorf("the program of the route handed back what is no connected socket: %w", err)
	}
	return buf[:n], sock, err
}

func connected(sock net.Conn) bool {
	far := sock.RemoteAddr()
	return far != nil && (far.Network() == "tcp" || far.Network() == "unix")
}
