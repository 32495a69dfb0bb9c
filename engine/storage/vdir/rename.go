package vdir

import "golang.org/x/sys/unix"

// over renames a file over whatever bears the name.
func (d *dir) over(from, to string) error {
	if err := d.step("over", to); err != nil {
		return err
	}
	return again(func() error { return unix.Renameat(d.fd(), from, d.fd(), to) })
}

// place renames a file to a name that nothing bears, else EEXIST.
func (d *dir) place(from, to string) error {
	d.turn.Pass()
	err := d.step("place", to)
	if err == nil {
		err = again(func() error { return renameNew(d.fd(), from, to) })
	}
	if !unsupported(err) {
		return err
	}
	if err = d.link(from, to); err == nil {
		return d.remove(from)
	}
	if !unsupported(err) {
		return err
	}
	if _, err := d.stat(to); err == nil {
		return unix.EEXIST
	}
	return d.over(from, to)
}

// link gives a file a second name, that nothing bears.
func (d *dir) link(from, to string) error {
	if err := d.step("link", to); err != nil {
		return err
	}
	return again(func() error { return unix.Linkat(d.fd(), from, d.fd(), to, 0) })
}

// exchange swaps two names in one step.
func (d *dir) exchange(a, b string) error {
	if err := d.step("exchange", b); err != nil {
		return err
	}
	return again(func() error { return renameSwap(d.fd(), a, b) })
}

// unsupported reports whether a file system does not know a kind of rename or
// link.
func unsupported(err error) bool {
	return err == unix.ENOSYS || err == unix.EINVAL || err == unix.EOPNOTSUPP || err == unix.ENOTSUP || err == unix.EPERM || err == unix.EMLINK
}
