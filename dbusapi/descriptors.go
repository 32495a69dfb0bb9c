package dbusapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/engine"
)

const (
	maxSecret = 64 << 10
	maxItem   = 8 << 20
	readTime  = 5 * time.Second // for a caller to write all and close its end
)

// readSecret reads a secret from a descriptor. One final newline is not part of
// it. The text of a secret is never put into an error.
func readSecret(ctx context.Context, f *os.File, wait time.Duration) ([]byte, error) {
	const op = "read the secret"
	value, err := readAll(ctx, f, op, maxSecret+1, wait)
	if err != nil {
		return nil, err
	}
	value = bytes.TrimSuffix(value, []byte("\n"))
	if len(value) > maxSecret {
		clear(value)
		return nil, engine.Fail(engine.TooLarge, op, "", "it has more than %d bytes", maxSecret)
	}
	return value, nil
}

// readAll reads a descriptor to its end, but no more than most bytes and no
// longer than wait.
func readAll(ctx context.Context, f *os.File, op string, most int64, wait time.Duration) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, engine.Fail(engine.Invalid, op, "", "its descriptor cannot be looked at: %w", err)
	}
	switch info.Mode().Type() {
	case os.ModeNamedPipe, os.ModeSocket, 0:
	default:
		return nil, invalid(op, "its descriptor must be a pipe or a memory file, not a terminal, a folder or a device")
	}
	f, err = waitable(f)
	if err != nil {
		return nil, engine.Fail(engine.Internal, op, "", "%w", err)
	}
	defer f.Close()
	// A memory file knows no deadlines, and needs none.
	f.SetReadDeadline(time.Now().Add(wait))
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	value, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return nil, engine.Fail(engine.Cancelled, op, "", "%w", context.Cause(ctx))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, engine.Fail(engine.Timeout, op, "", "its descriptor did not end within %v; close the writing end", wait)
	case err != nil:
		return nil, engine.Fail(engine.Invalid, op, "", "%w", err)
	case int64(len(value)) > most:
		clear(value)
		return nil, engine.Fail(engine.TooLarge, op, "", "it has more than %d bytes", most)
	}
	return value, nil
}

// waitable gives a second descriptor of a file with which reads can end by a
// deadline, whatever the one who sent it has set.
func waitable(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(p uintptr) { fd, dupErr = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "got"), nil
}

// untilClosed gives the reading end of a pipe on which nothing is ever sent, and
// calls closed when all copies of it are closed, or when the face closes.
func (f *Face) untilClosed(closed func()) (*os.File, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		closed()
		return nil, engine.Fail(engine.StorageError, "open a pipe", "", "%w", err)
	}
	f.work(func() {
		defer closed()
		defer ours.Close()
		stop := context.AfterFunc(f.closing, func() { ours.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		awaitHangUp(ours)
	})
	return theirs, nil
}

// awaitHangUp waits until nobody can read from a pipe any more, or until the
// deadline of its writing end. The kernel wakes a writer that waits for nothing
// by exactly this one thing.
func awaitHangUp(w *os.File) {
	raw, err := w.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool { // an error is the deadline: the face closes
		p := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(p, 0)
		return err != nil && !errors.Is(err, unix.EINTR) || n > 0 && p[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
	})
}
