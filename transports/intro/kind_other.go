//go:build !linux

package intro

import (
	"errors"

	"golang.org/x/sys/unix"
)

func socketKind(fd int) (family, kind int, err error) {
	name, err1 := unix.Getsockname(fd)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if _, ok := name.(*unix.SockaddrUnix); ok {
		family = unix.AF_UNIX
	}
	return family, kind, errors.Join(err1, err2)
}
