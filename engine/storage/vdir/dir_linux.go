package vdir

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func renameNew(fd int, from, to string) error {
	return unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
}

func renameSwap(fd int, a, b string) error {
	return unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
}

// clock is the clock that files are stamped with: it moves once in a few
// milliseconds.
func clock() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return time.Now().Add(-tick)
	}
	return time.Unix(ts.Unix())
}

// peek opens a folder that may not be read, to tell which one it is.
func (d *dir) peek(name string) (*dir, error) {
	return newDir(filepath.Join(d.f.Name(), name), func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// syncsAll says that syncAll makes durable whatever was written to the file
// system of a folder.
const syncsAll = true

func (d *dir) syncAll() error {
	if err := d.step("sync all", ""); err != nil {
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
// or its inode number later: by the handle that the file system gives it (inode
// and generation) and its birth. Both stay when the disk gets another device
// number.
func (d *dir) identity() (string, error) {
	var fs unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(d.fd(), &fs) }); err != nil {
		return "", err
	}
	switch fs.Type {
	case unix.FUSE_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		// Inode numbers are made up anew whenever a folder is looked up. What is
		// left tells whether it is mounted.
		return fmt.Sprintf("folder:%x:%s", fs.Type, d.f.Name()), nil
	case unix.OVERLAYFS_SUPER_MAGIC: // births change with the first write
		return d.fsIdentity()
	}
	h, _, err := unix.NameToHandleAt(d.fd(), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return d.fsIdentity()
	}
	id := fmt.Sprintf("folder:%x:%x:%x", fs.Type, h.Type(), h.Bytes())
	var st unix.Statx_t
	err = again(func() error { return unix.Statx(d.fd(), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st) })
	if err == nil && st.Mask&unix.STATX_BTIME != 0 {
		id += fmt.Sprintf(":%x.%x", st.Btime.Sec, st.Btime.Nsec)
	}
	return id, nil
}
