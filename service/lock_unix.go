//go:build unix

package service

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A stateLock makes its holder the only writer of a state folder.
type stateLock struct{ file *os.File }

const (
	leavingMark = "leaving"

	// handOver is how long a daemon that is leaving is waited for: its jobs stop at
	// the next item, or are broken off after a while.
	handOver = 20 * time.Second
)

// lock takes the lock. One that another daemon holds is an error, unless that one
// has said that it is leaving: then it is waited for.
func lock(ctx context.Context, path string) (*stateLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the state folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		said := make([]byte, len(leavingMark))
		n, _ := f.ReadAt(said, 0) // a file that cannot be read says nothing
		if string(said[:n]) == leavingMark {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		f.Close()
		return nil, fmt.Errorf("another davbusd uses this state folder (%s is locked); stop it first", path)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock the state folder: %w", err)
	}
	return &stateLock{f}, nil
}

// leaving tells whoever comes next to wait.
func (l *stateLock) leaving() { _, _ = l.file.WriteAt([]byte(leavingMark), 0) } // else they do not

func (l *stateLock) unlock() { l.file.Close() }

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}
