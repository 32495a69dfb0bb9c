package intro

import (
	"errors"

	"golang.org/x/sys/unix"
)

func socketKind(fd int) (family, kind int, err error) {
	family, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return family, kind, errors.Join(err1, err2)
}
