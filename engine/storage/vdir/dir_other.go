//go:build !linux

package vdir

import (
	"time"

	"golang.org/x/sys/unix"
)

// The renames that exchange two names, or refuse a name that is taken, are
// Linux's own. Elsewhere hard links take their place.

func renameNew(int, string, string) error { return unix.ENOSYS }

func renameSwap(int, string, string) error { return unix.ENOSYS }

// clock is not later than the clock that files are stamped with.
func clock() time.Time { return time.Now().Add(-tick) }

// peek cannot do without the right to read.
func (d *dir) peek(string) (*dir, error) { return nil, unix.EACCES }

// syncsAll is false: each file is made durable by itself.
const syncsAll = false

func (d *dir) syncAll() error { return unix.ENOSYS }

func written(int) bool { return false }

func (d *dir) identity() (string, error) { return d.fsIdentity() }
