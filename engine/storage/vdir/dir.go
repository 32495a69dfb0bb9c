package vdir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"davbus.org/davbus/engine/turn"
	"golang.org/x/sys/unix"
)

// largest is the size of the largest file that is an item.
const largest = 64 << 20

var (
	errIrregular = errors.New("it is a symbolic link, a folder or a device; only plain files are items")
	errMoving    = errors.New("somebody is writing to it")
)

// A dir is an open folder. Its methods take the name of one entry and follow no
// link, so that nothing outside the folder is ever reached, wherever the folder
// is moved. (os.Root promises the same, but follows links inside.)
type dir struct {
	f    *os.File
	step func(op, name string) error
	turn turn.Turn
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

func openDir(path string) (*dir, error) {
	return newDir(path, func() (int, error) { return unix.Open(path, dirFlags, 0) })
}

func (d *dir) sub(name string) (*dir, error) {
	return newDir(filepath.Join(d.f.Name(), name), func() (int, error) {
		return unix.Openat(d.fd(), name, dirFlags|unix.O_NOFOLLOW, 0)
	})
}

func newDir(path string, open func() (int, error)) (*dir, error) {
	fd := -1
	err := again(func() (err error) { fd, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &dir{f: os.NewFile(uintptr(fd), path), step: anyStep}, nil
}

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) close() { d.f.Close() }

// names reads all names, from the start.
func (d *dir) names() ([]string, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.f.Readdirnames(-1)
}

// writable reports whether names can be made and removed in the folder.
func (d *dir) writable() bool {
	return again(func() error { return unix.Faccessat(d.fd(), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) }) == nil
}

func (d *dir) stat(name string) (stamp, error) {
	d.turn.Pass()
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return stampOf(&st), err
}

// self is the stamp of the folder.
func (d *dir) self() (stamp, error) { return fdStamp(d.fd()) }

func fdStamp(fd int) (stamp, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &st) })
	return stampOf(&st), err
}

// open opens a plain file for reading. Nothing else is opened: opening a device
// can do things, and opening a FIFO can wait for ever.
func (d *dir) open(name string) (int, stamp, error) {
	st, err := d.stat(name)
	if err == nil && !st.regular() {
		err = errIrregular
	}
	if err != nil {
		return -1, st, err
	}
	if err := d.step("open", name); err != nil {
		return -1, st, err
	}
	fd := -1
	err = again(func() (err error) {
		fd, err = unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, st, err
	}
	if st, err = fdStamp(fd); err == nil && !st.regular() {
		err = errIrregular
	}
	if err != nil {
		unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// read reads a plain file; errMoving says that it changed meanwhile.
func (d *dir) read(name string) ([]byte, stamp, error) {
	fd, st, err := d.open(name)
	if err != nil {
		return nil, st, err
	}
	defer unix.Close(fd)
	text, err := readAll(fd, st.size)
	if err != nil {
		return nil, st, err
	}
	after, err := fdStamp(fd)
	if err == nil && (!after.sameFile(st) || uint64(len(text)) != st.size) {
		err = errMoving
	}
	return text, after, err
}

func readAll(fd int, size uint64) ([]byte, error) {
	if size > largest {
		return nil, unix.EFBIG
	}
	text := make([]byte, 0, size+1) // one more, to see the end
	for len(text) < cap(text) {
		n := 0
		err := again(func() (err error) { n, err = unix.Read(fd, text[len(text):cap(text)]); return err })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return text, nil
}

// write makes a new file; durable says that it must be on the disk afterwards.
// What it could not write whole it removes.
func (d *dir) write(name string, mode uint32, text []byte, durable bool) error {
	d.turn.Pass()
	if err := d.step("create", name); err != nil {
		return err
	}
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Openat(d.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.fill(fd, mode, text, durable); err != nil {
		d.remove(name) // what stays is found by the next run
		return err
	}
	return nil
}

// fill writes a file and closes it.
func (d *dir) fill(fd int, mode uint32, text []byte, durable bool) (err error) {
	defer func() {
		if e := unix.Close(fd); err == nil && e != unix.EINTR {
			err = e // some file systems tell here that the disk is full
		}
	}()
	if err := d.step("write", ""); err != nil {
		return err
	}
	if err := writeAll(fd, text); err != nil {
		return err
	}
	if mode != 0 {
		if err := unix.Fchmod(fd, mode); err != nil {
			return err
		}
	}
	if !durable {
		return nil
	}
	if err := d.step("sync", ""); err != nil {
		return err
	}
	return again(func() error { return unix.Fsync(fd) })
}

func writeAll(fd int, text []byte) error {
	for len(text) > 0 {
		n := 0
		err := again(func() (err error) { n, err = unix.Write(fd, text); return err })
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func (d *dir) remove(name string) error {
	if err := d.step("remove", name); err != nil {
		return err
	}
	return again(func() error { return unix.Unlinkat(d.fd(), name, 0) })
}

func (d *dir) mkdir(name string) error {
	if err := d.step("mkdir", name); err != nil {
		return err
	}
	return again(func() error { return unix.Mkdirat(d.fd(), name, 0o777) })
}

// sync makes names durable.
func (d *dir) sync() error {
	if err := d.step("sync folder", ""); err != nil {
		return err
	}
	return again(func() error { return unix.Fsync(d.fd()) })
}

// unlock lets other writers in.
func (d *dir) unlock() { unix.Flock(d.fd(), unix.LOCK_UN) }

// lock keeps other writers of the folder out until the folder is closed. It is
// false while there is one. Where folders cannot be locked nobody is kept out.
func (d *dir) lock() (held, known bool) {
	err := again(func() error { return unix.Flock(d.fd(), unix.LOCK_EX|unix.LOCK_NB) })
	return err != unix.EWOULDBLOCK, err == nil
}

// fsIdentity is the id of the file system and the folder's inode number.
func (d *dir) fsIdentity() (string, error) {
	var fs unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(d.fd(), &fs) }); err != nil {
		return "", err
	}
	st, err := d.self()
	return fmt.Sprintf("folder:%x:%x", st.ino, fs.Fsid), err
}
