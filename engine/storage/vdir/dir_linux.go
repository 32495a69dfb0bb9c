package vdir

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func renameNew(fd int, from, to string) error {
	return unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
}

func renameSwap(fd int, a, b string) error {
	return unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
}

// peek opens a folder that may not be read, to tell which one it is.
func (d *dir) peek(name string) (*dir, error) {
	return newDir(name, d.step, func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// syncsAll says that syncAll makes durable whatever was written to the file
// system of a folder.
const syncsAll = true

func (d *dir) syncAll() error {
	if err := d.step("sync all"); err != nil {
		return err
	}
	return again(func() error { return unix.Syncfs(d.fd()) })
}

// written reports whether somebody has the file open for writing: then a read
// lease is refused. It is false where leases are not known.
func written(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return err == unix.EAGAIN
}

// identity tells a folder from every other, also from one that takes its name
// or its inode number later: by inode number and birth, which stay when a disk
// gets another device number; where births are not known, by inode number and
// the file system's id.
func (d *dir) identity() (string, error) {
	var st unix.Statx_t
	err := again(func() error {
		return unix.Statx(d.fd(), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st)
	})
	if err == nil && st.Mask&unix.STATX_BTIME != 0 && st.Btime != (unix.StatxTimestamp{}) {
		return fmt.Sprintf("folder:%x:%x.%x", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
	}
	return d.fsIdentity()
}
